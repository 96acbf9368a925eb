/**
 * How long an answer may go out unasked: the table of DESIGN, Freshness.
 *
 * In memory times are monotonic; stored ones are wall time, and one from the future is never
 * fresh: a Pi may boot without a clock.
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

  /** Monotonic time until which an answer last confirmed at `checkedAtMs` is fresh. */
  until(resource: Resource, status: number, checkedAtMs: number): number {
    if (status === 200 && isImmutable(resource)) return Infinity;
    const { clock, listTtlMs, negativeTtlMs } = this.#options;
    const ageMs = clock.wallMs() - checkedAtMs;
    if (ageMs < 0) return 0;
    return clock.monotonicMs() + (status === 200 ? listTtlMs : negativeTtlMs) - ageMs;
  }
}
