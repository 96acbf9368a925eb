/**
 * Watches the exchanges of one upstream that wait for a connection. They fail together when neither they nor any other
 * exchange has heard a byte for `silenceMs`.
 *
 * So a dead line costs each of twenty waiting requests the same three seconds, not three seconds
 * each. A line that is only full is heard on its other connections, and a new one then has
 * `connectMs`. An exchange that has its connection but no answer yet goes with the others if it
 * has waited as long: its kept-alive socket leads nowhere either.
 */

import { Setback } from './setback.ts';
import type { Timeouts } from './settings.ts';

/** Connecting that took less than this was the reuse of a connection, and says nothing about the line. */
const FRESH_CONNECT_MS = 5;

/** One exchange, seen from here. */
export type Waiting = { fail(setback: Setback): void };

type Entry = {
  readonly waiting: Waiting;
  readonly beganMs: number;
  /** The count of bytes heard when it began, or at the last look. */
  heardBefore: number;
  /** The count of bytes heard when it began. */
  readonly heardAtBegin: number;
  isConnected: boolean;
  timer: NodeJS.Timeout | undefined;
};

export class LineWatch {
  readonly #timeouts: Timeouts;
  readonly #onSilence: () => void;
  readonly #entries = new Map<Waiting, Entry>();
  #heard = 0;
  #slowestConnectMs = 0;

  constructor(timeouts: Timeouts, onSilence: () => void) {
    this.#timeouts = timeouts;
    this.#onSilence = onSilence;
  }

  /** A line that was slow to connect may be so again; forgotten by a quarter with each connection. */
  get silenceMs(): number {
    const { silenceMs, connectMs } = this.#timeouts;
    return Math.min(Math.max(silenceMs, 2 * this.#slowestConnectMs), connectMs);
  }

  began(waiting: Waiting): void {
    const entry: Entry = {
      waiting,
      beganMs: performance.now(),
      heardBefore: this.#heard,
      heardAtBegin: this.#heard,
      isConnected: false,
      timer: undefined,
    };
    this.#entries.set(waiting, entry);
    this.#arm(entry, this.silenceMs);
  }

  connected(waiting: Waiting): void {
    const entry = this.#entries.get(waiting);
    if (entry === undefined) return;
    this.connectTook(performance.now() - entry.beganMs);
    entry.isConnected = true;
    clearTimeout(entry.timer);
  }

  /** Also for a probe, which is not watched but says how slow the line is. */
  connectTook(tookMs: number): void {
    if (tookMs > FRESH_CONNECT_MS) this.#slowestConnectMs = Math.max(tookMs, this.#slowestConnectMs * 0.75);
  }

  /** A byte came, on any connection. */
  heard(): void {
    this.#heard += 1;
  }

  /** Whether another exchange was heard while this one waited for its answer. */
  hasHeardSince(waiting: Waiting): boolean {
    const entry = this.#entries.get(waiting);
    return entry !== undefined && this.#heard > entry.heardAtBegin;
  }

  /** It has its answer, or failed: no longer watched. */
  ended(waiting: Waiting): void {
    const entry = this.#entries.get(waiting);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#entries.delete(waiting);
  }

  #arm(entry: Entry, ms: number, waitedMs = 0): void {
    entry.timer = setTimeout(() => this.#late(entry, waitedMs + ms), ms);
  }

  #late(entry: Entry, waitedMs: number): void {
    const restMs = this.#timeouts.connectMs - waitedMs;
    if (this.#heard === entry.heardBefore) this.#silence(entry);
    else if (restMs <= 0) entry.waiting.fail(new Setback('connect', 'connection timed out'));
    else {
      entry.heardBefore = this.#heard;
      this.#arm(entry, Math.min(this.silenceMs, restMs), waitedMs);
    }
  }

  #silence(late: Entry): void {
    this.#onSilence();
    for (const entry of [...this.#entries.values()]) {
      if (entry.isConnected && entry.beganMs > late.beganMs) continue;
      entry.waiting.fail(new Setback('connect', 'connection timed out'));
    }
  }
}
