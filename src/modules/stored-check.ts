/**
 * Checks unconfirmed stored files against the checksum database: imported files, files kept under `--verify=off`, and
 * files kept while the database could not be asked.
 *
 *     h1, recorded or hashed now ──▶ database ──the same──▶ confirmed
 *                                       ├──another──▶ dropped, with a loud line in the log
 *                                       └──no answer, no such version──▶ unconfirmed
 *
 * Private files are neither hashed nor asked about. Only hashes that Astera made itself count.
 */

import { type Checksums, type Summed, summedOf, type Verdict } from '../core/checksums.ts';
import { isServeError, messageOf } from '../core/errors.ts';
import { SUMDB_UNKNOWN_MS_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Builder, Hashed, Store, UnsettledRow } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';

export type StoredCheckOptions = {
  readonly store: Pick<Store, 'setVerdict'>;
  readonly builder: Pick<Builder, 'hashStored'>;
  readonly checksums: Checksums;
  /** Drops the file under `key` if it still has this SHA-256. */
  readonly drop: (what: { readonly key: string; readonly sha256: string }) => Promise<void>;
  readonly clock: Clock;
  readonly events: Events;
  /** The first wait before the next question about a file that the database does not know. It doubles each time. */
  readonly unknownMs: number;
};

/** A stored file to check. With `unknownTimes` undefined, its stored wait does not change. */
export type UnsettledFile = Omit<UnsettledRow, 'unknownTimes'> & {
  readonly unknownTimes: number | undefined;
};

/** `dropped`: it was wrong. `private`: nobody may be asked. `gone`: nothing is stored under the key now. */
export type CheckOutcome = Verdict | 'dropped' | 'private' | 'gone';

export class StoredCheck {
  readonly #options: StoredCheckOptions;

  constructor(options: StoredCheckOptions) {
    this.#options = options;
  }

  /**
   * Asks about one file and records the outcome.
   *
   * @throws {StoreFailed} the file is damaged, or the outcome could not be recorded
   */
  async check(row: UnsettledFile): Promise<CheckOutcome> {
    const { checksums } = this.#options;
    const resource = summedOf(row.key);
    if (resource === undefined || !checksums.covers(resource)) return this.#setAside(row);
    const hashed = await this.#hashed(row, resource);
    if (typeof hashed === 'string') return hashed;
    try {
      const verdict = await checksums.judge(resource, hashed.h1);
      await this.#record(row, hashed, verdict);
      return verdict;
    } catch (error) {
      if (!isServeError(error) || error.kind !== 'check-failed') throw error;
      this.#options.events.contradictedLater(row.key, messageOf(error));
      return this.#drop(row.key, hashed.sha256);
    }
  }

  async #hashed(row: UnsettledFile, resource: Summed): Promise<Hashed | 'dropped' | 'gone'> {
    const { key, h1, sha256 } = row;
    if (h1 !== undefined) return { h1, sha256 };
    const { module, version, kind } = resource;
    try {
      const { hashed } = await this.#options.builder.hashStored({
        ...{ key, module, version },
        kind: kind === 'zip' ? kind : 'mod',
      });
      return hashed ?? 'gone';
    } catch (error) {
      if (!isServeError(error) || error.kind !== 'check-failed') throw error;
      // No database can confirm it, and `go` would refuse it.
      this.#options.events.unhashable(key, messageOf(error));
      return this.#drop(key, sha256);
    }
  }

  async #record(row: UnsettledFile, { h1, sha256 }: Hashed, verdict: Verdict): Promise<void> {
    const trust = verdict === 'confirmed' ? verdict : 'unconfirmed';
    const wait = verdict === 'unknown' ? this.#longerWait(row) : undefined;
    if (trust === row.trust && wait === undefined) return;
    await this.#options.store.setVerdict({ key: row.key, sha256, trust, h1, wait });
  }

  /** A version that the database does not know is most likely private, and each question names it to the database. */
  #longerWait({ unknownTimes }: UnsettledFile): { unknownTimes: number; askAfterMs: number } | undefined {
    if (unknownTimes === undefined) return undefined;
    const { clock, unknownMs } = this.#options;
    const waitMs = Math.min(Math.max(1, unknownMs) * 2 ** unknownTimes, SUMDB_UNKNOWN_MS_MAX);
    return { unknownTimes: unknownTimes + 1, askAfterMs: clock.wallMs() + waitMs };
  }

  /** Sets a private file aside for a day. After a restart with other settings it may be public. */
  async #setAside({ key, sha256 }: UnsettledFile): Promise<'private'> {
    const askAfterMs = this.#options.clock.wallMs() + SUMDB_UNKNOWN_MS_MAX;
    const wait = { unknownTimes: 0, askAfterMs };
    await this.#options.store.setVerdict({ key, sha256, trust: 'unchecked', wait });
    return 'private';
  }

  async #drop(key: string, sha256: string): Promise<'dropped'> {
    await this.#options.drop({ key, sha256 });
    return 'dropped';
  }
}
