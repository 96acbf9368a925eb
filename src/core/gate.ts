/**
 * Bounds the work of one kind that is done at one time, and the work that waits for a place: first come, first served.
 *
 * A fetch holds its place to its end, through all new tries and waits. So a download that breaks does not go to the end
 * of the queue.
 */

import { Busy } from './errors.ts';

export type GateOptions = {
  readonly placesMax: number;
  readonly queueMax: number;
  /** The error's text for work that finds the queue full. */
  readonly full: string;
};

type Waiter = { readonly admit: () => void; readonly refuse: (error: Error) => void };

export class Gate {
  readonly #options: GateOptions;
  #taken = 0;
  // A Set keeps the order of insertion, and deletes a waiter in constant time.
  readonly #waiting = new Set<Waiter>();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Whether no place is free, so that {@link enter} would wait. */
  get isFull(): boolean {
    return this.#taken >= this.#options.placesMax;
  }

  /**
   * Takes a place, at once or in turn. {@link leave} gives it back.
   *
   * @throws {Busy} the queue is full
   * @throws the signal's reason, if it is aborted during the wait
   */
  async enter(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.isFull) {
      this.#taken += 1;
      return;
    }
    const { queueMax, full } = this.#options;
    if (this.#waiting.size >= queueMax) throw new Busy(full);
    await this.#turn(signal);
  }

  /** Does `work` in a place of its own. @throws {Busy} the queue is full. @throws what `work` throws */
  async run<T>(work: () => Promise<T>): Promise<T> {
    await this.enter();
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leaveQueue = () => {
        this.#waiting.delete(waiter);
        signal?.removeEventListener('abort', aborted);
      };
      const waiter: Waiter = {
        admit: () => {
          leaveQueue();
          resolve();
        },
        refuse: (error) => {
          leaveQueue();
          reject(error);
        },
      };
      const aborted = () => waiter.refuse(signal?.reason);
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }

  /** Gives the place to the first waiter, if there is one. */
  leave(): void {
    const [first] = this.#waiting;
    if (first === undefined) this.#taken -= 1;
    else first.admit();
  }

  /** Fails all waiters, as the upstream can't be reached. */
  refuseWaiting(error: () => Error): void {
    for (const waiter of [...this.#waiting]) waiter.refuse(error());
  }
}
