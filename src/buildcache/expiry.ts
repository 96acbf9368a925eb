/** Expires the build cache: outputs that nobody used for long, and the least recently used ones past the bound in bytes. */

import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';

/** Steps of one round; each is a short transaction, so that clients' writes come in between. The rest waits for the next round. */
const STEPS_MAX = 100;

export type ExpiryOptions = {
  readonly store: Pick<Store, 'expireActions' | 'full'>;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly unusedMs: number;
  /** Bytes that all outputs may take in the store. */
  readonly storedBytesMax: number;
  /** Asked before each step; false ends the round. By default it goes on. */
  readonly isWanted?: () => boolean;
};

/**
 * Does one round. Outputs that were used within a day stay, unless the disk is full. Then one step drops some of them,
 * and the next round sees whether that was enough.
 */
export async function expireBuildCache({
  store,
  clock,
  unusedMs,
  storedBytesMax,
  isWanted = () => true,
}: ExpiryOptions): Promise<void> {
  for (let step = 0; step < STEPS_MAX && isWanted(); step++) {
    const isFull = store.full !== undefined;
    const { isDone } = await store.expireActions({
      nowMs: clock.wallMs(),
      unusedMs,
      storedBytesMax: isFull ? 0 : storedBytesMax,
      mayDropRecent: isFull,
    });
    if (isDone || isFull) return;
  }
}
