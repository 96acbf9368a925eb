/**
 * What readers ask of the store: the reader's side of `core/store-port.ts`.
 *
 * A read-only connection with its statements prepared once. The calls of a task share a transaction,
 * whose locks would cost a small row as much as reading it; it ends with the task, so that no
 * reader holds the WAL back for longer than a batch. Writing a file takes longer, and has none.
 */

import { closeSync, constants, openSync, statSync, writeSync } from 'node:fs';
import { messageOf, StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES, CHUNKS_PER_BLOB, KEYS_PER_CALL_MAX, SUMDB_UNKNOWN_MS_MAX } from '../core/limits.ts';
import type {
  EntryRow,
  KeyRow,
  PartialRow,
  ReaderPort,
  Source,
  Trust,
  Unsettled,
  UnsettledRow,
} from '../core/store-port.ts';
import { type Connection, chunkId, FROM_UNSETTLED, openReadable, UNSETTLED_COUNTS } from './schema.ts';

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

type UnsettledColumns = {
  key: string;
  sha256: Buffer;
  trust: Trust;
  h1: string | null;
  unknown_times: number;
};

type PartialColumns = { id: number; size: number | null; etag: string | null; last_modified: string | null };

export class StoreReader implements ReaderPort {
  readonly #db: Connection;
  readonly #path: string;
  readonly #entry;
  readonly #partial;
  readonly #chunk;
  readonly #sha256;
  readonly #chunkCount;
  readonly #keys;
  readonly #unsettled;
  readonly #unsettledCounts;
  readonly #stored;
  readonly #listed;
  readonly #growing;
  readonly #batch;

  constructor(path: string) {
    this.#path = path;
    this.#db = openReadable(path);
    this.#batch = this.#db.transaction((work: () => unknown) => work());
    this.#entry = this.#db.prepare<[string], EntryColumns>(
      // In hex already: a Buffer costs a row more than SQLite's own two functions.
      `SELECT status, size, lower(hex(sha256)) AS sha256, source, checked_at_ms, used_at_ms, blob, trust,
              coalesce(body, (SELECT bytes FROM chunk WHERE chunk.id = entry.blob * ${CHUNKS_PER_BLOB})) AS bytes
       FROM entry WHERE key = ?`,
    );
    this.#partial = this.#db.prepare<[string], PartialColumns>(
      'SELECT id, size, etag, last_modified FROM blob WHERE growing_key = ?',
    );
    this.#chunk = this.#db.prepare<[number], { bytes: Buffer }>('SELECT bytes FROM chunk WHERE id = ?');
    this.#sha256 = this.#db.prepare<[number], Buffer | null>('SELECT sha256 FROM blob WHERE id = ?').pluck();
    // Behind a gap a chunk's seq is above its place in the list: such chunks do not count.
    this.#chunkCount = this.#db.prepare<[number, number, number], { n: number }>(
      `SELECT count(*) AS n FROM
         (SELECT id, row_number() OVER (ORDER BY id) AS place FROM chunk
          WHERE id >= ? AND id < ? AND length(bytes) = ${CHUNK_BYTES})
       WHERE id = ? + place - 1`,
    );
    this.#keys = this.#db.prepare<[string, string], { key: string }>(
      'SELECT key FROM entry WHERE key >= ? AND key < ? AND status = 200',
    );
    // A time that is too far away was written by a clock that was wrong.
    this.#unsettled = this.#db.prepare<[string, number, number, number], UnsettledColumns>(
      `SELECT key, sha256, trust, h1, unknown_times
       ${FROM_UNSETTLED} AND key > ? AND (ask_after_ms <= ? OR ask_after_ms > ?)
       ORDER BY key LIMIT ?`,
    );
    this.#unsettledCounts = this.#db.prepare<[], Unsettled>(UNSETTLED_COUNTS);
    this.#stored = this.#db.prepare<[string], { status: number }>('SELECT status FROM entry WHERE key = ?');
    this.#listed = this.#db.prepare<[string, string, number], KeyColumns>(
      'SELECT key, status, size, blob FROM entry WHERE key > ? AND key < ? ORDER BY key LIMIT ?',
    );
    this.#growing = this.#db.prepare<[string, string, number], KeyColumns>(
      `SELECT growing_key AS key, 0 AS status, coalesce(size, 0) AS size, id AS blob FROM blob
       WHERE growing_key > ? AND growing_key < ? ORDER BY growing_key LIMIT ?`,
    );
  }

  /** Runs `work` in one transaction: all its calls see the store as of one moment. */
  inTransaction<T>(work: () => T): T {
    return this.#batch.deferred(work) as T;
  }

  getEntry: ReaderPort['getEntry'] = ({ key }) => {
    const row = this.#entry.get(key);
    if (row?.status === 200) return { entry: entryOf(row), ...bytesOf(row) };
    const partial = this.#getPartial(key);
    return {
      ...(row === undefined ? {} : { entry: entryOf(row), ...bytesOf(row) }),
      ...(partial === undefined ? {} : { partial }),
    };
  };

  getChunk: ReaderPort['getChunk'] = ({ blob, seq }) => {
    const row = this.#chunk.get(chunkId(blob, seq));
    return row === undefined ? {} : { bytes: row.bytes };
  };

  writeBlob: ReaderPort['writeBlob'] = ({ blob, size, path }) => {
    let file: number | undefined;
    try {
      // As its caller made it: what is a symbolic link now was put there by somebody else.
      file = openSync(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW);
      const sha256 = this.#sha256.get(blob);
      for (let at = 0, seq = 0; at < size; seq++) at += this.#writeChunk(file, chunkId(blob, seq));
      // Each chunk was read by itself: the number may have become another blob's, after a restart say.
      const isSame = sha256 != null && this.#sha256.get(blob)?.equals(sha256) === true;
      if (!isSame) throw new Error(`blob ${blob} was replaced meanwhile; run it again`);
      return {};
    } catch (cause) {
      throw new StoreFailed(`cannot write ${JSON.stringify(path)}: ${messageOf(cause)}`, { cause });
    } finally {
      if (file !== undefined) closeSync(file);
    }
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

  getUnsettled: ReaderPort['getUnsettled'] = ({ after, limit, nowMs }) => {
    const rows = this.#unsettled.all(after, nowMs, nowMs + SUMDB_UNKNOWN_MS_MAX, limit);
    return { rows: rows.map(unsettledOf) };
  };

  getStored: ReaderPort['getStored'] = ({ keys }) => {
    return { stored: keys.map((key) => this.#stored.get(key)?.status === 200) };
  };

  getKeys: ReaderPort['getKeys'] = ({ prefix, after }) => {
    const [first, end] = rangeOf(prefix, after);
    return { rows: this.#listed.all(first, end, KEYS_PER_CALL_MAX).map(keyRowOf) };
  };

  getPartialKeys: ReaderPort['getPartialKeys'] = ({ prefix, after }) => {
    const [first, end] = rangeOf(prefix, after);
    return { rows: this.#growing.all(first, end, KEYS_PER_CALL_MAX).map(keyRowOf) };
  };

  getSizes: ReaderPort['getSizes'] = () => {
    return {
      storeBytes: bytesOfFile(this.#path),
      walBytes: bytesOfFile(`${this.#path}-wal`),
      ...(this.#unsettledCounts.get() ?? { unchecked: 0, unconfirmed: 0, unknown: 0 }),
    };
  };

  close(): void {
    this.#db.close();
  }

  /** @returns its bytes */
  #writeChunk(file: number, id: number): number {
    const row = this.#chunk.get(id);
    if (row === undefined) throw new Error(`there is no chunk ${id}; run it again`);
    const { bytes } = row;
    const { byteLength } = bytes;
    for (let written = 0; written < byteLength; ) written += writeSync(file, bytes, written);
    // Given back at once: the collector would let them gather, and walk the heap for them again and again.
    if (bytes.buffer instanceof ArrayBuffer) bytes.buffer.transfer(0);
    return byteLength;
  }

  #getPartial(key: string): PartialRow | undefined {
    const row = this.#partial.get(key);
    if (row === undefined) return undefined;
    const first = chunkId(row.id, 0);
    const chunks = this.#chunkCount.get(first, first + CHUNKS_PER_BLOB, first)?.n ?? 0;
    return {
      blob: row.id,
      chunks,
      size: row.size ?? undefined,
      etag: row.etag ?? undefined,
      lastModified: row.last_modified ?? undefined,
    };
  }
}

function unsettledOf({ key, sha256, trust, h1, unknown_times }: UnsettledColumns): UnsettledRow {
  return { key, sha256: sha256.toString('hex'), trust, h1: h1 ?? undefined, unknownTimes: unknown_times };
}

type KeyColumns = { key: string; status: number; size: number; blob: number | null };

function keyRowOf({ key, status, size, blob }: KeyColumns): KeyRow {
  return { key, status, size, blob: blob ?? undefined };
}

/** Bounds, neither of them included. Keys are ASCII, and no key is a prefix that is asked for. */
function rangeOf(prefix: string, after: string): [string, string] {
  return [after > prefix ? after : prefix, `${prefix}\x7f`];
}

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

function bytesOfFile(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
