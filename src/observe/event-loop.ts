/**
 * The delay of the front thread's event loop, measured by a timer.
 *
 * Node's `monitorEventLoopDelay` includes its own interval, so an idle loop would show 10 ms.
 */

import { createHistogram } from 'node:perf_hooks';

const TICK_MS = 10;

export type LoopDelay = { readonly p50: number; readonly p99: number; readonly max: number };

export class EventLoopDelay {
  readonly #histogram = createHistogram();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let lastMs = performance.now();
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      const lateMs = Math.max(0, nowMs - lastMs - TICK_MS);
      this.#histogram.record(Math.max(1, Math.round(lateMs * 1e6)));
      lastMs = nowMs;
    }, TICK_MS).unref();
  }

  /** The delays since the last call, in seconds. */
  take(): LoopDelay {
    const histogram = this.#histogram;
    const delay =
      histogram.count === 0
        ? { p50: 0, p99: 0, max: 0 }
        : {
            p50: histogram.percentile(50) / 1e9,
            p99: histogram.percentile(99) / 1e9,
            max: histogram.max / 1e9,
          };
    histogram.reset();
    return delay;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
