/** Holds work to a mean rate, with a burst after a rest. */

import { setTimeout as delay } from 'node:timers/promises';

export type PaceOptions = {
  readonly bytesPerMs: number;
  readonly burstBytes: number;
  /** Monotonic ms. */
  readonly now: () => number;
};

export class Pace {
  readonly #options: PaceOptions;
  /** When all that was taken so far is paid for. */
  #paidAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Resolves when `bytes` may go. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const { bytesPerMs, burstBytes, now } = this.#options;
    const nowMs = now();
    this.#paidAtMs = Math.max(this.#paidAtMs, nowMs - burstBytes / bytesPerMs) + bytes / bytesPerMs;
    const waitMs = this.#paidAtMs - nowMs;
    if (waitMs >= 1) await delay(waitMs, undefined, { signal, ref: false }).catch(() => {});
  }
}
