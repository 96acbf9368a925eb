/**
 * The one way to a file: memory, then the store, then the outside. Requests for one key share each step.
 *
 *     memory ──▶ read flight ──▶ fetch flight
 *
 * If the read finds nothing fresh, a fetch asks the outside. Requests that may not use the network join only the read.
 * So they neither wait for the network nor get the 404 of another request. A failure is never remembered.
 *
 * A loop is the error of the client whose `Via` shows it. Other clients of the same flight never get it.
 */

import { Busy, isServeError } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import type { Singleflight } from './singleflight.ts';

/** Keeps a flight's key taken until `until` settles. Its answer may go out before. */
export type Hold = (until: Promise<unknown>) => void;

/** One client's question, with the steps to answer it. `R` is the result of a read, `F` an answer. */
export type Question<R, F> = {
  readonly key: string;
  /** False: the answer comes from the store alone. */
  readonly mayFetch: boolean;
  /** The client's `Via`. */
  readonly via: string | undefined;
  /** The answer in memory. */
  held(): Held<F> | undefined;
  /** Reads the store. */
  read(): Promise<R>;
  /** The read's answer, if it is fresh: it may go out without a question to the outside. */
  fresh(read: R): F | undefined;
  /** The answer for a client that may not use the network. @throws {NotFound} nothing is stored */
  stored(read: R): F | Promise<F>;
  /** Asks the outside. `read` was made just now; if it is undefined, the store has yet to be read. */
  fetch(read: R | undefined, hold: Hold): Promise<F>;
  /** Asks the outside whether this request has been there before. @throws {Loop} it has */
  refuseLoop(via: string): Promise<void>;
};

/** An answer in memory; a fresh one may go out without a question to the outside. */
export type Held<F> = { readonly answer: F; readonly isFresh: boolean };

export type ReadThroughOptions<R, F> = {
  readonly reads: Singleflight<R>;
  readonly fetches: Singleflight<F>;
};

/** A client may join so many flights that end in their leader's loop. After that it gets Busy. */
const OTHERS_LOOPS_MAX = 3;

export class ReadThrough<R, F> {
  readonly #reads: Singleflight<R>;
  readonly #fetches: Singleflight<F>;

  constructor({ reads, fetches }: ReadThroughOptions<R, F>) {
    this.#reads = reads;
    this.#fetches = fetches;
  }

  /** @throws any of `core/errors.ts` but BadRequest */
  async get(question: Question<R, F>): Promise<F> {
    const held = question.held();
    if (held?.isFresh) return held.answer;
    if (!question.mayFetch) return held?.answer ?? question.stored(await this.read(question));
    // No read is needed: memory has a file that only the outside can renew, or a fetch of the key is under way.
    if (held !== undefined || this.isFetching(question.key)) return this.#fetch(question);
    const read = await this.read(question);
    return question.fresh(read) ?? this.#fetch(question, read);
  }

  /** Reads the store, in one flight for all callers. */
  read(question: Pick<Question<R, F>, 'key' | 'read'>): Promise<R> {
    return this.#reads.do(`read:${question.key}`, () => question.read());
  }

  isFetching(key: string): boolean {
    return this.#fetches.has(`fetch:${key}`);
  }

  /** Makes `write` the fetch of `key`: requests for the key that come meanwhile get its result. */
  write(key: string, write: () => Promise<F>): Promise<F> {
    return this.#fetches.do(`fetch:${key}`, write);
  }

  /** Waits until all reads of `key` that are under way now are over. */
  async readsOver(key: string): Promise<void> {
    if (!this.#reads.has(`read:${key}`)) return;
    await this.#reads.do(`read:${key}`, () => Promise.reject(new Busy('no such read'))).catch(() => {});
  }

  /** @param read made just now: nothing was awaited since, so no fetch can have begun and ended in between */
  #fetch(question: Question<R, F>, read?: R): Promise<F> {
    return shareButLoops(this.#fetches, `fetch:${question.key}`, question, (hold, isFirst) =>
      question.fetch(isFirst ? read : undefined, hold),
    );
  }
}

/**
 * Joins or starts a flight to the outside. If a joined flight ends in its leader's loop, another one is started.
 *
 * @param start its `isFirst`: nothing was awaited since the call
 * @throws {Loop} this client's own request is in a loop
 * @throws {Busy} OTHERS_LOOPS_MAX flights, one after the other, ended in their leaders' loops
 */
export async function shareButLoops<F>(
  flights: Singleflight<F>,
  flight: string,
  question: Pick<Question<unknown, F>, 'key' | 'via' | 'refuseLoop'>,
  start: (hold: Hold, isFirst: boolean) => Promise<F>,
): Promise<F> {
  const { via } = question;
  let isFirst = true;
  for (let loops = 0; loops < OTHERS_LOOPS_MAX; loops++) {
    if (via?.includes('astera-') && flights.has(flight)) {
      await question.refuseLoop(via);
      isFirst = false;
    }
    const isJoined = flights.has(flight);
    const isFirstStart = isFirst;
    try {
      return await flights.do(flight, (hold) => start(hold, isFirstStart));
    } catch (error) {
      if (!isJoined || !isServeError(error) || error.kind !== 'loop') throw error;
      isFirst = false;
    }
  }
  throw new Busy(`cannot fetch ${quote(question.key)}: other requests for it go in a circle`);
}
