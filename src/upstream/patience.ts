/**
 * The number of tries, and the waits between them. Only tries without new bytes count, and only their waits. A download
 * of 20 MB over a line that breaks at each megabyte makes twenty tries, and each of them gets further.
 */

import timers from 'node:timers/promises';
import type { Setback, SetbackKind } from './setback.ts';
import type { Backoff } from './settings.ts';

/** The bounds on tries in a row without a new byte, by the end of the last one. */
type Tries = Readonly<Record<SetbackKind, number>>;

/**
 * Before the first byte. An upstream that answers 502 half of the time fails sixteen tries in a row
 * once in 65,000 requests, in some 5 s; eight cut connections, once in 256. Three that are refused mark it down,
 * and one that is silent has used up all of the wait, so there is no use in more.
 */
const FIRST_TRIES: Tries = {
  connect: 3,
  silence: 1,
  stall: 2,
  slow: 2,
  cut: 8,
  answer: 16,
  local: 3,
  refused: 1,
};

/**
 * After it: a client waits with half a file, and the `go` command does not try again by itself.
 * Ten waits from 100 ms to 5 s are half a minute, the time a router takes to find its line again.
 */
const RESUME_TRIES: Tries = {
  connect: 10,
  silence: 1,
  stall: 3,
  slow: 2,
  cut: 8,
  answer: 16,
  local: 10,
  refused: 10,
};

/** Tries at an upstream that answers "later", if the list has another member or all its answers are bad. */
const SHORT_TRIES = 3;

/** The longest wait before the first byte: another member may be asked instead. */
const FIRST_CAP_MS = 500;

/** An upstream's Retry-After is followed up to here. */
const RETRY_AFTER_MAX_MS = 5_000;

export type PatienceOptions = {
  readonly backoff: Backoff;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** How long all tries without new bytes together may wait for their answers to begin. */
  readonly firstByteMs: number;
  /** Whether few tries must do, because there is another member or all of this one's answers are bad. */
  readonly isShort: () => boolean;
};

export class Patience {
  readonly #options: PatienceOptions;
  #fruitless = 0;
  #waitedMs = 0;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** Runs `ask` with the time that it may take, and counts the time until its answer begins. */
  async waiting<T>(ask: (waitMs: number) => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    try {
      return await ask(this.#leftMs);
    } finally {
      this.#waitedMs += performance.now() - beganMs;
    }
  }

  /**
   * Counts a try that failed and waits for the next.
   *
   * @param state `hasBegun`: bytes went to the caller already; `hasGained`: new ones came, enough for the tries to be
   * counted anew. A try that was too slow counts all the same
   * @returns false if there shall be no further try
   */
  async after(setback: Setback, state: { hasBegun: boolean; hasGained: boolean }): Promise<boolean> {
    const isFruitful = state.hasGained && setback.kind !== 'slow';
    this.#fruitless = isFruitful ? 0 : this.#fruitless + 1;
    if (isFruitful) this.#waitedMs = 0;
    if (this.#fruitless >= this.#triesMax(setback.kind, state.hasBegun) || this.#leftMs === 0) return false;
    const waitMs = this.#waitMs(setback.retryAfterMs, state.hasBegun);
    await timers.setTimeout(waitMs, undefined, { signal: this.#options.signal }).catch(() => {
      this.#options.signal.throwIfAborted();
    });
    return true;
  }

  get #leftMs(): number {
    return Math.max(0, Math.ceil(this.#options.firstByteMs - this.#waitedMs));
  }

  #triesMax(kind: SetbackKind, hasBegun: boolean): number {
    if (hasBegun) return RESUME_TRIES[kind];
    return this.#options.isShort() ? Math.min(FIRST_TRIES[kind], SHORT_TRIES) : FIRST_TRIES[kind];
  }

  #waitMs(retryAfterMs: number, hasBegun: boolean): number {
    const { backoff, random } = this.#options;
    const capMs = hasBegun ? backoff.capMs : Math.min(backoff.capMs, FIRST_CAP_MS);
    const fullMs = Math.min(backoff.baseMs * 2 ** Math.max(this.#fruitless - 1, 0), capMs);
    return Math.max(fullMs * (0.5 + random() / 2), Math.min(retryAfterMs, RETRY_AFTER_MAX_MS));
  }
}
