/** Action and output IDs as the tables have them. */

import { isCacheId } from '../core/cache-id.ts';
import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/** @throws {BadRequest} not 64 lower-case hex digits */
export function idBytes(id: string): Buffer {
  if (isCacheId(id)) return Buffer.from(id, 'hex');
  throw new BadRequest(`not an ID of the build cache: ${quote(String(id).slice(0, 100))}`);
}
