/**
 * How long a client waits for the refresh of a stored file: up to `--stale-wait`, and not at all while the outside is
 * silent. The refresh itself goes on.
 */

import { isServeError } from '../core/errors.ts';
import { Overdue } from './overdue.ts';

export class StaleWait<T> {
  readonly #waitMs: number;
  readonly #overdue = new Overdue();

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /**
   * Gives the result of `refresh` if it comes in time, and else `stale`.
   *
   * @param how `isDown`: no source can be reached now. `onKept`: called with the error if the refresh fails with one
   * of `core/errors.ts`
   * @throws any other error of the refresh
   */
  freshOr(
    stale: T,
    refresh: Promise<T>,
    { isDown, onKept }: { readonly isDown: boolean; readonly onKept: (error: Error) => void },
  ): Promise<T> {
    const orStale = refresh.catch((error: unknown): T => {
      if (!isServeError(error)) throw error;
      onKept(error);
      return stale;
    });
    const isSilent = isDown || this.#overdue.isSilent;
    this.#overdue.watch(refresh);
    if (isSilent) {
      orStale.catch(() => {}); // A bug in the refresh is not this client's.
      return Promise.resolve(stale);
    }
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<T>((resolve) => {
      timer = setTimeout(() => {
        this.#overdue.add(refresh);
        resolve(stale);
      }, this.#waitMs);
    });
    return Promise.race([orStale, patience]).finally(() => clearTimeout(timer));
  }
}
