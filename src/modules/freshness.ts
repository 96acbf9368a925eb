/**
 * How long an answer is fresh: it may go out without a question to the source. See the table in DESIGN, Freshness.
 *
 * Times in memory are monotonic. Stored times are wall time. A stored time in the future is never fresh, as a Pi may
 * boot without a clock.
 */

import type { StoredFile } from '../core/answer.ts';
import type { Clock } from '../core/ports.ts';
import { isImmutable, type Resource } from '../core/resource.ts';

export type FreshnessOptions = {
  readonly clock: Clock;
  readonly listTtlMs: number;
  readonly negativeTtlMs: number;
};

export class Freshness {
  readonly #options: FreshnessOptions;

  constructor(options: FreshnessOptions) {
    this.#options = options;
  }

  isFresh(file: StoredFile): boolean {
    return file.freshUntilMs === Infinity || file.freshUntilMs > this.#options.clock.monotonicMs();
  }

  /**
   * The monotonic time in ms at which an answer stops being fresh. Infinity for immutable ones.
   *
   * @param checkedAtMs wall time of the last fetch or revalidation
   */
  until(resource: Resource, status: number, checkedAtMs: number): number {
    if (status === 200 && isImmutable(resource)) return Infinity;
    const { clock, listTtlMs, negativeTtlMs } = this.#options;
    const ageMs = clock.wallMs() - checkedAtMs;
    if (ageMs < 0) return 0;
    return clock.monotonicMs() + (status === 200 ? listTtlMs : negativeTtlMs) - ageMs;
  }
}
