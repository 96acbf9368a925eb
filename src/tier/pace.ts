/** Holds work to a mean rate, with a burst after a rest. */

import { setTimeout as delay } from 'node:timers/promises';
import { PACE_WAIT_MS_MAX } from './limits.ts';

export type PaceOptions = {
  /** The rate now. */
  readonly bytesPerMs: () => number;
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
    const { burstBytes, now } = this.#options;
    const bytesPerMs = this.#options.bytesPerMs();
    const nowMs = now();
    this.#paidAtMs = Math.max(this.#paidAtMs, nowMs - burstBytes / bytesPerMs) + bytes / bytesPerMs;
    this.#paidAtMs = Math.min(this.#paidAtMs, nowMs + PACE_WAIT_MS_MAX);
    const waitMs = this.#paidAtMs - nowMs;
    if (waitMs >= 1) await delay(waitMs, undefined, { signal, ref: false }).catch(() => {});
  }
}
