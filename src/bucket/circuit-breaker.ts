/** Leaves a server alone that failed several times in a row: for a while at first, twice as long after each failure that follows. */

import { BUCKET_FAILURES_MAX, BUCKET_PAUSE_MS, BUCKET_PAUSE_MS_MAX } from './limits.ts';

export class CircuitBreaker {
  readonly #now: () => number;
  readonly #onOpen: (why: string, forMs: number) => void;
  #failures = 0;
  #pauseMs = BUCKET_PAUSE_MS;
  #openUntilMs = Number.NEGATIVE_INFINITY;

  /** @param now monotonic ms. @param onOpen told of each pause */
  constructor(now: () => number, onOpen: (why: string, forMs: number) => void) {
    this.#now = now;
    this.#onOpen = onOpen;
  }

  /** Nothing is to be sent now. After the pause requests go out again, and the first failure begins the next pause. */
  get isOpen(): boolean {
    return this.#now() < this.#openUntilMs;
  }

  worked(): void {
    this.#failures = 0;
    this.#pauseMs = BUCKET_PAUSE_MS;
  }

  failed(why: string): void {
    // Requests that were open together fail together: they begin one pause.
    if (this.isOpen) return;
    this.#failures++;
    if (this.#failures < BUCKET_FAILURES_MAX) return;
    this.#openUntilMs = this.#now() + this.#pauseMs;
    this.#onOpen(why, this.#pauseMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, BUCKET_PAUSE_MS_MAX);
  }
}
