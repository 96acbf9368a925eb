/**
 * Whether one upstream counts as down: after three connection failures or stalls in a row, for
 * 10 s doubling to 2 m, until anything is heard of it again.
 *
 * An error status is an answer and clears the state, as does a first byte; a connection that is
 * cut in the middle changes nothing, for the upstream was there. While it is down one probe at a
 * time goes out, so a line that comes back is noticed by the next request and not minutes later;
 * the period only says how long {@link isDown} holds, that is, how long stored answers go out
 * without waiting for a probe.
 */

import type { Clock } from '../core/ports.ts';

const FAILURES_MAX = 3;
const PERIOD_MIN_MS = 10_000;
const PERIOD_MAX_MS = 120_000;

export type HealthOptions = {
  readonly clock: Clock;
  readonly probeGapMs: number;
  readonly onDown: (forMs: number) => void;
};

export class Health {
  readonly #options: HealthOptions;
  #failures = 0;
  #periodMs = 0;
  #untilMs = 0;
  #isProbing = false;
  #probedMs = Number.NEGATIVE_INFINITY;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /**
   * Down, and nobody should wait for it. False again when the period is over and nobody is
   * probing, so that some request waits for the probe and finds out.
   */
  get isDown(): boolean {
    if (!this.isSuspect) return false;
    return this.#isProbing || this.#options.clock.monotonicMs() < this.#untilMs;
  }

  /** Nothing was heard since it failed three times: only probes may go out. */
  get isSuspect(): boolean {
    return this.#failures >= FAILURES_MAX;
  }

  /** A probe may go out now: none is under way, and the last one ended a while ago. */
  get mayProbe(): boolean {
    if (this.#isProbing) return false;
    return this.#options.clock.monotonicMs() - this.#probedMs >= this.#options.probeGapMs;
  }

  probing(): void {
    this.#isProbing = true;
  }

  probed(): void {
    this.#isProbing = false;
    this.#probedMs = this.#options.clock.monotonicMs();
  }

  /** Something came from it. */
  heard(): void {
    this.#failures = 0;
    this.#periodMs = 0;
    this.#untilMs = 0;
  }

  /** A connection failed or stalled; `times` more than one where one failure stands for several. */
  failed(times = 1): void {
    this.#failures = Math.min(this.#failures + times, FAILURES_MAX);
    const nowMs = this.#options.clock.monotonicMs();
    // Requests that were under way when it went down fail too; they are the same event.
    if (!this.isSuspect || nowMs < this.#untilMs) return;
    this.#periodMs = Math.min(Math.max(this.#periodMs * 2, PERIOD_MIN_MS), PERIOD_MAX_MS);
    this.#untilMs = nowMs + this.#periodMs;
    this.#options.onDown(this.#periodMs);
  }

  /** Nothing was heard for as long as three SYNs take: as good as three failures. */
  silent(): void {
    this.failed(FAILURES_MAX);
  }
}
