/** Reads of the zips and go.mod files that the checksum database has not confirmed. */

import { SUMDB_UNKNOWN_MS_MAX } from '../core/limits.ts';
import type { ReaderPort, Trust, UnsettledRow } from '../core/store-port.ts';
import type { Unsettled } from '../core/store-stats.ts';
import type { Connection } from './schema.ts';
import { FROM_UNSETTLED, UNSETTLED_COUNTS } from './unsettled.ts';

type UnsettledColumns = {
  key: string;
  sha256: Buffer;
  trust: Trust;
  h1: string | null;
  unknown_times: number;
};

export class VerdictReader {
  readonly #unsettled;
  readonly #counts;

  constructor(db: Connection) {
    // A time that is too far away was written by a clock that was wrong.
    this.#unsettled = db.prepare<[string, number, number, number], UnsettledColumns>(
      `SELECT key, sha256, trust, h1, unknown_times
       ${FROM_UNSETTLED} AND key > ? AND (ask_after_ms <= ? OR ask_after_ms > ?)
       ORDER BY key LIMIT ?`,
    );
    this.#counts = db.prepare<[], Unsettled>(UNSETTLED_COUNTS);
  }

  getUnsettled: ReaderPort['getUnsettled'] = ({ after, limit, nowMs }) => {
    const rows = this.#unsettled.all(after, nowMs, nowMs + SUMDB_UNKNOWN_MS_MAX, limit);
    return { rows: rows.map(unsettledOf) };
  };

  /** How many there are. */
  counts(): Unsettled {
    return this.#counts.get() ?? { unchecked: 0, unconfirmed: 0, unknown: 0 };
  }
}

function unsettledOf({ key, sha256, trust, h1, unknown_times }: UnsettledColumns): UnsettledRow {
  return { key, sha256: sha256.toString('hex'), trust, h1: h1 ?? undefined, unknownTimes: unknown_times };
}
