/** What `astera push` has done: all that waits for the bucket goes out now. */

import type { ControlPort } from '../core/control-port.ts';
import { BadRequest } from '../core/errors.ts';
import type { Remote, Store } from '../core/store-port.ts';
import type { BucketTier } from './bucket-tier.ts';
import { clock } from './clock.ts';

/** @throws {BadRequest} there is no bucket */
export function pushUploadsBy(
  store: Store,
  tier: Pick<BucketTier, 'pump'> | undefined,
): Remote<ControlPort>['pushUploads'] {
  return async ({ isAll }) => {
    if (tier === undefined)
      throw new BadRequest('cannot push: this server has no bucket: start it with --bucket');
    await store.retryUploads({});
    const queued = isAll ? await queueAll(store) : 0;
    tier.pump.hurry();
    return { queued };
  };
}

/** Queues all that is stored. @returns how many were not queued before */
async function queueAll(store: Store): Promise<number> {
  let queued = 0;
  for (const kind of ['entry', 'action', 'set'] as const) {
    for (let after: number | undefined = 0; after !== undefined; ) {
      const step: Awaited<ReturnType<Store['queueStored']>> = await store.queueStored({
        kind,
        after,
        nowMs: clock.wallMs(),
      });
      queued += step.queued;
      after = step.last;
    }
  }
  return queued;
}
