/**
 * What readers ask of the store: the reader's side of `core/store-port.ts`.
 *
 * A read-only connection with its statements prepared once. Every statement runs in a
 * transaction of its own, so that no reader holds the WAL back for longer than one row.
 */

import { statSync } from 'node:fs';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { EntryRow, PartialRow, ReaderPort, Source } from '../core/store-port.ts';
import { CHUNKS_PER_BLOB, type Connection, chunkId, openReadable } from './schema.ts';

type EntryColumns = {
  status: number;
  size: number;
  sha256: Buffer;
  source: Source;
  checked_at_ms: number;
  used_at_ms: number;
  blob: number | null;
  bytes: Buffer | null;
};

type PartialColumns = { id: number; size: number | null; etag: string | null; last_modified: string | null };

export class StoreReader implements ReaderPort {
  readonly #db: Connection;
  readonly #path: string;
  readonly #entry;
  readonly #partial;
  readonly #chunk;
  readonly #chunkCount;
  readonly #keys;

  constructor(path: string) {
    this.#path = path;
    this.#db = openReadable(path);
    this.#entry = this.#db.prepare<[string], EntryColumns>(
      `SELECT status, size, sha256, source, checked_at_ms, used_at_ms, blob,
              coalesce(body, (SELECT bytes FROM chunk WHERE chunk.id = entry.blob * ${CHUNKS_PER_BLOB})) AS bytes
       FROM entry WHERE key = ?`,
    );
    this.#partial = this.#db.prepare<[string], PartialColumns>(
      'SELECT id, size, etag, last_modified FROM blob WHERE growing_key = ?',
    );
    this.#chunk = this.#db.prepare<[number], { bytes: Buffer }>('SELECT bytes FROM chunk WHERE id = ?');
    this.#chunkCount = this.#db.prepare<[number, number], { n: number }>(
      `SELECT count(*) AS n FROM chunk WHERE id >= ? AND id < ? AND length(bytes) = ${CHUNK_BYTES}`,
    );
    this.#keys = this.#db.prepare<[string, string], { key: string }>(
      'SELECT key FROM entry WHERE key >= ? AND key < ? AND status = 200',
    );
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

  getSizes: ReaderPort['getSizes'] = () => {
    return { storeBytes: bytesOfFile(this.#path), walBytes: bytesOfFile(`${this.#path}-wal`) };
  };

  close(): void {
    this.#db.close();
  }

  #getPartial(key: string): PartialRow | undefined {
    const row = this.#partial.get(key);
    if (row === undefined) return undefined;
    const first = chunkId(row.id, 0);
    // Chunks are stored in order, so their count says that there is no gap.
    const chunks = this.#chunkCount.get(first, first + CHUNKS_PER_BLOB)?.n ?? 0;
    return {
      blob: row.id,
      chunks,
      size: row.size ?? undefined,
      etag: row.etag ?? undefined,
      lastModified: row.last_modified ?? undefined,
    };
  }
}

const VERSION_FILE = /^([^/]+)\.(info|mod|zip)$/;

function entryOf(row: EntryColumns): EntryRow {
  return {
    status: row.status,
    size: row.size,
    sha256: row.sha256.toString('hex'),
    source: row.source,
    checkedAtMs: row.checked_at_ms,
    usedAtMs: row.used_at_ms,
    blob: row.blob ?? undefined,
  };
}

function bytesOf(row: EntryColumns): { bytes?: Uint8Array } {
  return row.bytes === null ? {} : { bytes: row.bytes };
}

function bytesOfFile(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
