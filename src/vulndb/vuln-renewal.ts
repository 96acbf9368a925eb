/**
 * Renews a stored vulnerability database once a day, so that what is said about stored versions does not grow old. A database
 * that nobody ever asked for is left alone.
 */

import type { Clock } from '../core/ports.ts';
import type { VulnStore } from './vuln-store.ts';

const DAY_MS = 86_400_000;

/** After a failure, and between two looks at the stored database. */
const LOOK_MS = 3_600_000;

export type VulnRenewalOptions = {
  readonly vulns: Pick<VulnStore, 'get'>;
  readonly clock: Clock;
  readonly refresh: () => Promise<void>;
};

export class VulnRenewal {
  readonly #options: VulnRenewalOptions;
  /** Monotonic time. */
  #nextLookMs = -Infinity;

  constructor(options: VulnRenewalOptions) {
    this.#options = options;
  }

  /** To be called often. @throws what `refresh` throws */
  async look(): Promise<void> {
    const { vulns, clock, refresh } = this.#options;
    if (clock.monotonicMs() < this.#nextLookMs) return;
    this.#nextLookMs = clock.monotonicMs() + LOOK_MS;
    const db = await vulns.get('index/db');
    // A clock that was set back makes it due too.
    const isDue = db !== undefined && Math.abs(clock.wallMs() - db.checkedAtMs) >= DAY_MS;
    if (isDue) await refresh();
  }
}
