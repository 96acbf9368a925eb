/** Action and output IDs as the tables have them. */

import { isCacheId } from '../core/cache-id.ts';
import { BadRequest } from '../core/errors.ts';

/** @throws {BadRequest} not 64 lower-case hex digits */
export function idBytes(id: string): Buffer {
  if (isCacheId(id)) return Buffer.from(id, 'hex');
  throw new BadRequest(`not an ID of the build cache: ${JSON.stringify(String(id).slice(0, 100))}`);
}
