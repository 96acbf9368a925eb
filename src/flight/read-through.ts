/**
 * The one way to a file: memory, then the store, then outside. Each step is made once for all who ask at that moment.
 *
 *     memory ──▶ read flight ──▶ fetch flight
 *
 * The flights have keys of their own. A request that may not go out joins only the read, so that it neither waits
 * for the network nor takes another's 404. A failure is never remembered.
 *
 * A loop is the error of the client whose `Via` shows it. It is never the answer to others in the same flight.
 */

import { Busy, isServeError } from '../core/errors.ts';
import type { Singleflight } from './singleflight.ts';

/** Keeps a flight's key taken until that settles, though its answer went out before. */
export type Hold = (until: Promise<unknown>) => void;

/** One client's question, with the steps that its service makes to answer it. `R`: a read brings it; `F`: an answer. */
export type Question<R, F> = {
  readonly key: string;
  /** False: answer from what is stored. */
  readonly mayFetch: boolean;
  /** The client's `Via`. */
  readonly via: string | undefined;
  /** Memory's answer: one that is fresh, or any at all. */
  held(how: 'fresh' | 'any'): F | undefined;
  /** Reads the store. */
  read(): Promise<R>;
  /** What of a read may go out unasked. */
  fresh(read: R): F | undefined;
  /** The answer of a client that may not go out. @throws {NotFound} nothing is stored */
  stored(read: R): F | Promise<F>;
  /** Asks outside. `read` was made this very moment; without it nothing is known. */
  fetch(read: R | undefined, hold: Hold): Promise<F>;
  /** Asks outside whether this very request was there before. @throws {Loop} it was */
  refuseLoop(via: string): Promise<void>;
};

export type ReadThroughOptions<R, F> = {
  readonly reads: Singleflight<R>;
  readonly fetches: Singleflight<F>;
};

/** Flights whose leaders' loops a client may get to see before it is told to come again. */
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
    const held = question.held('fresh');
    if (held !== undefined) return held;
    if (!question.mayFetch) return question.held('any') ?? question.stored(await this.read(question));
    // Nobody need read what is being fetched, or what memory has and only the outside can renew.
    if (this.isFetching(question.key) || question.held('any') !== undefined) return this.#fetch(question);
    const read = await this.read(question);
    return question.fresh(read) ?? this.#fetch(question, read);
  }

  /** Reads the store, in one flight for all. */
  read({ key, read }: Pick<Question<R, F>, 'key' | 'read'>): Promise<R> {
    return this.#reads.do(`read:${key}`, read);
  }

  isFetching(key: string): boolean {
    return this.#fetches.has(`fetch:${key}`);
  }

  /** Makes `write` the fetch of `key`: whoever asks for the key meanwhile gets what is written. */
  write(key: string, write: () => Promise<F>): Promise<F> {
    return this.#fetches.do(`fetch:${key}`, write);
  }

  /** When no read of `key` is under way that was begun before now. */
  async readsOver(key: string): Promise<void> {
    if (!this.#reads.has(`read:${key}`)) return;
    await this.#reads.do(`read:${key}`, () => Promise.reject(new Busy('no such read'))).catch(() => {});
  }

  /** @param read made this very moment: nothing was awaited since, so that no fetch can have come and gone */
  #fetch(question: Question<R, F>, read?: R): Promise<F> {
    return shareButLoops(this.#fetches, `fetch:${question.key}`, {
      ...question,
      start: (hold, isFirst) => question.fetch(isFirst ? read : undefined, hold),
    });
  }
}

/**
 * Joins or starts a flight to the outside. A joined flight that ends in its leader's loop is flown again.
 *
 * @throws {Loop} this client's own
 * @throws {Busy} one flight after the other was led by a client with a loop
 */
export async function shareButLoops<F>(
  flights: Singleflight<F>,
  flight: string,
  asked: {
    readonly key: string;
    readonly via: string | undefined;
    /** @param isFirst nothing was awaited since the call */
    start(hold: Hold, isFirst: boolean): Promise<F>;
    refuseLoop(via: string): Promise<void>;
  },
): Promise<F> {
  const { via } = asked;
  let isFirst = true;
  for (let loops = 0; loops < OTHERS_LOOPS_MAX; loops++) {
    if (via?.includes('astera-') && flights.has(flight)) {
      await asked.refuseLoop(via);
      isFirst = false;
    }
    const isJoined = flights.has(flight);
    const isFirstStart = isFirst;
    try {
      return await flights.do(flight, (hold) => asked.start(hold, isFirstStart));
    } catch (error) {
      if (!isJoined || !isServeError(error) || error.kind !== 'loop') throw error;
      isFirst = false;
    }
  }
  throw new Busy(`cannot fetch ${JSON.stringify(asked.key)}: other requests for it go in a circle`);
}
