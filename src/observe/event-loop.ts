/**
 * The delay of the front thread's event loop, measured by a timer.
 *
 * Node's `monitorEventLoopDelay` includes its own interval, so an idle loop would show 10 ms. A timer of 10 ms takes over a
 * hundredth of a core, so it runs only while there is work: an idle loop is looked at now and then.
 */

import { createHistogram, performance } from 'node:perf_hooks';

/** Between two looks while there is work. At double, stalls of 10 ms are missed; at half, the timer itself is work. */
const TICK_MS = 10;

/** The same while there is none: 0.05 % of a core. It counts as 25 ticks, so that the quantiles go by time. */
const IDLE_TICK_MS = 250;

/** So long a loop with work goes unjudged. */
const WORK_MS = 2_000;

/** A loop that is busy for more of its time than this may spin. */
const BUSY_SHARE = 0.9;

/** A loop that is busy for more of its time than this has work, wherever that comes from. The fast timer alone takes 0.012. */
const WORK_SHARE = 0.05;

export type LoopDelay = { readonly p50: number; readonly p99: number; readonly max: number };

export class EventLoopDelay {
  readonly #histogram = createHistogram();
  readonly #onBusy: () => void;
  #isFast = true;
  #timer = this.#start();
  #lastMs = performance.now();
  #fromMs = this.#lastMs;
  #used = performance.eventLoopUtilization();

  /** @param onBusy told every two seconds while the loop is busy all the time */
  constructor(onBusy: () => void = () => {}) {
    this.#onBusy = onBusy;
  }

  /** Work has come, and is about to be done. Costs nothing while the timer is fast. */
  wake(): void {
    if (!this.#isFast) this.#pace(true);
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

  #look(): void {
    const nowMs = performance.now();
    const lateMs = nowMs - this.#lastMs - this.#tickMs;
    this.#lastMs = nowMs;
    this.#histogram.record(Math.max(1, Math.round(lateMs * 1e6)));
    for (let ticks = TICK_MS; ticks < this.#tickMs; ticks += TICK_MS) this.#histogram.record(1);
    if (this.#isFast && nowMs - this.#fromMs < WORK_MS) return;
    const { utilization } = performance.eventLoopUtilization(this.#used);
    if (utilization > BUSY_SHARE) this.#onBusy();
    this.#pace(utilization > WORK_SHARE);
  }

  /** Begins a stretch of time, at whose end the loop's work in it is judged. */
  #pace(isFast: boolean): void {
    this.#fromMs = performance.now();
    this.#used = performance.eventLoopUtilization();
    if (isFast === this.#isFast) return;
    this.#isFast = isFast;
    this.#lastMs = this.#fromMs;
    clearInterval(this.#timer);
    this.#timer = this.#start();
  }

  get #tickMs(): number {
    return this.#isFast ? TICK_MS : IDLE_TICK_MS;
  }

  #start(): NodeJS.Timeout {
    return setInterval(() => this.#look(), this.#tickMs).unref();
  }
}
