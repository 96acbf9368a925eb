/**
 * How long a client waits for a refresh of a file that is stored: up to `--stale-wait`, and not at all while nobody
 * outside answers. The refresh itself goes on.
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
   * What the refresh brings in time, else `stale`.
   *
   * @param how `isDown`: nobody can be asked now; `onKept`: told why the refresh failed, by an error of `core/errors.ts`
   * @throws what the refresh throws, where that is none of `core/errors.ts`
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
