/** Reads of stored answers: one by its key, the versions of a module, and listings of keys. */

import { CHUNKS_PER_BLOB, KEYS_PER_CALL_MAX } from '../core/limits.ts';
import type { EntryRow, ReaderPort, Source, Trust } from '../core/store-port.ts';
import { type KeyColumns, keyRowOf, rangeOf } from './key-row.ts';
import { IS_UPLOADED, IS_ZIP } from './leaving-zips.ts';
import type { PartialReader } from './partial-reader.ts';
import type { Connection } from './schema.ts';

type EntryColumns = {
  status: number;
  size: number;
  sha256: string;
  source: Source;
  checked_at_ms: number;
  used_at_ms: number;
  blob: number | null;
  trust: Trust;
  bytes: Buffer | null;
};

export class EntryReader {
  readonly #partials: PartialReader;
  readonly #entry;
  readonly #keys;
  readonly #stored;
  readonly #listed;
  readonly #leastUsed;

  constructor(db: Connection, partials: PartialReader) {
    this.#partials = partials;
    this.#entry = db.prepare<[string], EntryColumns>(
      // In hex already: a Buffer costs a row more than SQLite's own two functions.
      `SELECT status, size, lower(hex(sha256)) AS sha256, source, checked_at_ms, used_at_ms, blob, trust,
              coalesce(body, (SELECT bytes FROM chunk WHERE chunk.id = entry.blob * ${CHUNKS_PER_BLOB})) AS bytes
       FROM entry WHERE key = ?`,
    );
    this.#keys = db.prepare<[string, string], { key: string }>(
      'SELECT key FROM entry WHERE key >= ? AND key < ? AND status = 200',
    );
    this.#stored = db.prepare<[string], { status: number }>('SELECT status FROM entry WHERE key = ?');
    this.#listed = db.prepare<[string, string, number], KeyColumns>(
      'SELECT key, status, size, blob FROM entry WHERE key > ? AND key < ? ORDER BY key LIMIT ?',
    );
    this.#leastUsed = db.prepare<[number, string, number], ZipColumns>(
      `SELECT key, size, blob, source, used_at_ms FROM entry
       WHERE ${IS_ZIP} AND ${IS_UPLOADED} AND (used_at_ms, key) > (?, ?) ORDER BY used_at_ms, key LIMIT ?`,
    );
  }

  getEntry: ReaderPort['getEntry'] = ({ key }) => {
    const row = this.#entry.get(key);
    if (row?.status === 200) return { entry: entryOf(row), ...bytesOf(row) };
    const partial = this.#partials.get(key);
    return {
      ...(row === undefined ? {} : { entry: entryOf(row), ...bytesOf(row) }),
      ...(partial === undefined ? {} : { partial }),
    };
  };

  getVersions: ReaderPort['getVersions'] = ({ module }) => {
    const prefix = `${module}/@v/`;
    const hasInfo = new Map<string, boolean>();
    for (const { key } of this.#keys.iterate(prefix, `${module}/@v0`)) {
      const match = VERSION_FILE.exec(key.slice(prefix.length));
      if (match === null) continue;
      const [, version = '', extension] = match;
      hasInfo.set(version, extension === 'info' || hasInfo.get(version) === true);
    }
    return { versions: Array.from(hasInfo, ([version, has]) => ({ version, hasInfo: has })) };
  };

  getStored: ReaderPort['getStored'] = ({ keys }) => {
    return { stored: keys.map((key) => this.#stored.get(key)?.status === 200) };
  };

  getKeys: ReaderPort['getKeys'] = ({ prefix, after }) => {
    const [first, end] = rangeOf(prefix, after);
    return { rows: this.#listed.all(first, end, KEYS_PER_CALL_MAX).map(keyRowOf) };
  };

  getLeastUsedZips: ReaderPort['getLeastUsedZips'] = ({ after, limit }) => {
    const rows = this.#leastUsed.all(after.usedAtMs, after.key, limit);
    return {
      zips: rows.map(({ blob, used_at_ms, ...zip }) => ({
        ...zip,
        blob: blob ?? undefined,
        usedAtMs: used_at_ms,
      })),
    };
  };
}

type ZipColumns = Pick<EntryColumns, 'size' | 'blob' | 'source' | 'used_at_ms'> & { key: string };

const VERSION_FILE = /^([^/]+)\.(info|mod|zip)$/;

function entryOf(row: EntryColumns): EntryRow {
  return {
    status: row.status,
    size: row.size,
    sha256: row.sha256,
    source: row.source,
    checkedAtMs: row.checked_at_ms,
    usedAtMs: row.used_at_ms,
    blob: row.blob ?? undefined,
    trust: row.trust,
  };
}

function bytesOf(row: EntryColumns): { bytes?: Uint8Array } {
  return row.bytes === null ? {} : { bytes: row.bytes };
}
