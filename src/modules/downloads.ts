/** The zips that are coming now, for those who look at the server. FETCH_FLIGHTS_MAX bounds how many there are. */

import type { ModulePath } from '../core/module-path.ts';
import type { Version } from '../core/version.ts';
import type { Download } from './download.ts';

export type Coming = {
  readonly module: ModulePath;
  readonly version: Version;
  /** Unix time. */
  readonly startedAtMs: number;
  readonly download: Pick<Download, 'receivedBytes' | 'sizeBytes'>;
};

export class Downloads {
  readonly #coming = new Set<Coming>();

  /** In the order in which they began. */
  get all(): readonly Coming[] {
    return [...this.#coming];
  }

  /** Notes a download until `over` is settled. */
  note(coming: Coming, over: Promise<unknown>): void {
    this.#coming.add(coming);
    const leave = () => this.#coming.delete(coming);
    over.then(leave, leave);
  }
}
