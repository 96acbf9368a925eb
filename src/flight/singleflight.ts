/**
 * One flight per key at a time. Callers that come while it runs share its outcome.
 *
 * Nothing is kept after a flight lands; `flight/weak-cache.ts` keeps values. A flight may answer before it lands.
 * Until it lands its key stays taken, and new callers get the answer at once.
 */

import { Busy } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/** `waiters` counts callers until the answer; after it nobody waits, though the key may stay taken. */
type Flight<V> = { readonly answer: Promise<V>; waiters: number; isAnswered: boolean };

export type SingleflightOptions = {
  /** Flights at one time; more are refused with Busy. */
  readonly flightsMax: number;
  /** Callers waiting for one flight; more are refused with Busy. */
  readonly waitersMax: number;
  /** Called when a caller joins a flight that another one started. */
  readonly onJoin?: () => void;
};

export class Singleflight<V> {
  readonly #flights = new Map<string, Flight<V>>();
  readonly #options: SingleflightOptions;

  constructor(options: SingleflightOptions) {
    this.#options = options;
  }

  /** Keys in flight now. */
  get size(): number {
    return this.#flights.size;
  }

  has(key: string): boolean {
    return this.#flights.has(key);
  }

  /**
   * Joins the flight for `key`, or starts one.
   *
   * `start` may call `hold` with a promise. Then the key is free only when that promise settles too. After a failure
   * the key is free before any waiter resumes, so a failure is never remembered.
   *
   * @throws {Busy} there are `flightsMax` flights, or `waitersMax` callers of this one
   */
  do(key: string, start: (hold: (until: Promise<unknown>) => void) => Promise<V>): Promise<V> {
    const joined = this.#flights.get(key);
    if (joined !== undefined) return this.#join(key, joined);
    if (this.#flights.size >= this.#options.flightsMax) {
      return Promise.reject(new Busy(`cannot fetch ${quote(key)}: ${this.#flights.size} keys are in flight`));
    }
    let held: Promise<unknown> | undefined;
    const land = () => this.#flights.delete(key);
    const answer = start((until) => {
      held = until;
      until.catch(() => {}); // After a failed answer nobody asks how it ended.
    }).then(
      (value) => {
        flight.isAnswered = true;
        if (held === undefined) land();
        else held.then(land, land);
        return value;
      },
      (error: unknown) => {
        land();
        throw error;
      },
    );
    const flight: Flight<V> = { answer, waiters: 1, isAnswered: false };
    this.#flights.set(key, flight);
    return answer;
  }

  #join(key: string, flight: Flight<V>): Promise<V> {
    if (!flight.isAnswered && ++flight.waiters > this.#options.waitersMax) {
      flight.waiters--;
      return Promise.reject(new Busy(`cannot fetch ${quote(key)}: ${flight.waiters} clients wait for it`));
    }
    this.#options.onJoin?.();
    return flight.answer;
  }
}
