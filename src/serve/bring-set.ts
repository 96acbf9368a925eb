/** What `astera pull --build-cache` has done for each set of the bucket. */

import type { Sessions } from '../buildcache/sessions.ts';
import { isCacheId } from '../core/cache-id.ts';
import type { ControlPort } from '../core/control-port.ts';
import { BadRequest } from '../core/errors.ts';
import type { Remote } from '../core/store-port.ts';
import type { BucketTier } from './bucket-tier.ts';

/** @throws {BadRequest} there is no bucket, or it is not to be asked */
export function bringSetBy(
  sessions: Pick<Sessions, 'bring'>,
  near: BucketTier | undefined,
): Remote<ControlPort>['bringSet'] {
  return async ({ key }) => {
    if (near === undefined)
      throw new BadRequest(
        'cannot pull: this server asks no bucket: start it with --bucket, without --offline',
      );
    if (!isCacheId(key)) throw new BadRequest('cannot pull: a set has 64 lower-case hex digits');
    return sessions.bring(key);
  };
}
