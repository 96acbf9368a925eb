/**
 * Bounds how slowly a body may come. A zip that brings next to nothing for `stallMs` has stalled. A small file may trickle for
 * `smallMs`; then it must have had a mean rate, because its key is held until it is complete.
 */

import { SMALL_ANSWER_BYTES_PER_MS, STALL_BYTES_MIN } from './limits.ts';
import { Setback } from './setback.ts';
import type { Timeouts } from './settings.ts';

/** A body just above its mean rate is looked at so often. */
const LOOK_AGAIN_MS = 1_000;

export type PaceOptions = {
  readonly timeouts: Pick<Timeouts, 'stallMs' | 'smallMs'>;
  /** A small file: the mean rate counts too. */
  readonly isSmall: boolean;
  /** Called once the body is too slow, until {@link Pace.end}. */
  readonly onSlow: (setback: Setback) => void;
};

export class Pace {
  readonly #options: PaceOptions;
  #stall: NodeJS.Timeout | undefined;
  #mean: NodeJS.Timeout | undefined;
  /** Bytes since the stall's time began anew. */
  #fresh = 0;
  #bytes = 0;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** The head is there: from now on the body is expected. */
  begin(): void {
    this.resume();
    if (this.#options.isSmall) this.#meanAfter(this.#options.timeouts.smallMs, 0);
  }

  got(bytes: number): void {
    this.#bytes += bytes;
    this.#fresh += bytes;
    const bytesMin = this.#options.isSmall ? 1 : STALL_BYTES_MIN;
    if (this.#fresh < bytesMin || this.#stall === undefined) return;
    this.pause();
    this.resume();
  }

  /** Its reader keeps the body waiting: it does not stall. */
  pause(): void {
    clearTimeout(this.#stall);
    this.#stall = undefined;
  }

  /** Its reader goes on after a pause; nothing happens without one. */
  resume(): void {
    if (this.#stall !== undefined) return;
    this.#fresh = 0;
    this.#stall = setTimeout(
      () => this.#options.onSlow(new Setback('stall', 'stalled in the middle')),
      this.#options.timeouts.stallMs,
    );
  }

  end(): void {
    clearTimeout(this.#stall);
    clearTimeout(this.#mean);
  }

  // The time that the bytes so far may have taken; then it is time for another look.
  #meanAfter(ms: number, waitedMs: number): void {
    this.#mean = setTimeout(() => {
      const nowMs = waitedMs + ms;
      const restMs = Math.ceil(this.#bytes / SMALL_ANSWER_BYTES_PER_MS) - nowMs;
      if (restMs > 0) this.#meanAfter(Math.max(restMs, LOOK_AGAIN_MS), nowMs);
      else this.#options.onSlow(new Setback('slow', 'its bytes come too slowly'));
    }, ms);
  }
}
