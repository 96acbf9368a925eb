/** The stored versions that reports of vulnerabilities concern, for clients that may read some modules and not others. */

import type { ModulePath } from '../core/module-path.ts';
import type { Clock } from '../core/ports.ts';
import type { ConcernedList, ConcernedRow } from '../core/status.ts';
import { CONCERNED_KEPT_MS, CONCERNED_SHOWN_MAX } from './limits.ts';

type Found = {
  readonly modified: string | undefined;
  readonly rows: readonly (ConcernedRow & { readonly module: ModulePath })[];
};

export type ConcernedVersionsOptions = {
  /** Looks into the whole store. */
  readonly find: () => Promise<Found>;
  readonly clock: Clock;
};

export class ConcernedVersions {
  readonly #options: ConcernedVersionsOptions;
  #found: Promise<Found> | undefined;
  #againMs = Number.NEGATIVE_INFINITY;

  constructor(options: ConcernedVersionsOptions) {
    this.#options = options;
  }

  /** One look into the store serves all who ask for a while. @throws {StoreFailed} it can't be read */
  async list(mayName: (module: ModulePath) => boolean): Promise<ConcernedList> {
    const { modified, rows } = await this.#fresh();
    const own = rows.filter(({ module }) => mayName(module));
    const shown = own.slice(0, CONCERNED_SHOWN_MAX);
    return { changed: modified, shown, more: own.length - shown.length };
  }

  async #fresh(): Promise<Found> {
    const { find, clock } = this.#options;
    if (this.#found === undefined || clock.monotonicMs() >= this.#againMs) {
      this.#againMs = clock.monotonicMs() + CONCERNED_KEPT_MS;
      this.#found = find();
    }
    const finding = this.#found;
    let found: Found | undefined;
    try {
      found = await finding;
      return found;
    } finally {
      // Without a database, and after a failure, a look costs little.
      if (found?.modified === undefined && this.#found === finding) this.#found = undefined;
    }
  }
}
