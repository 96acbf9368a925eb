/** Reads of partial downloads: growing blobs, by the keys they grow for. */

import { CHUNK_BYTES, CHUNKS_PER_BLOB, KEYS_PER_CALL_MAX } from '../core/limits.ts';
import type { PartialRow, ReaderPort } from '../core/store-port.ts';
import { type KeyColumns, keyRowOf, rangeOf } from './key-row.ts';
import { type Connection, chunkId } from './schema.ts';

type PartialColumns = { id: number; size: number | null; etag: string | null; last_modified: string | null };

export class PartialReader {
  readonly #partial;
  readonly #chunkCount;
  readonly #growing;

  constructor(db: Connection) {
    this.#partial = db.prepare<[string], PartialColumns>(
      "SELECT id, size, etag, last_modified FROM blob WHERE growing_kind = 'entry' AND growing_key = ?",
    );
    // Behind a gap a chunk's seq is above its place in the list: such chunks do not count.
    this.#chunkCount = db.prepare<[number, number, number], { n: number }>(
      `SELECT count(*) AS n FROM
         (SELECT id, row_number() OVER (ORDER BY id) AS place FROM chunk
          WHERE id >= ? AND id < ? AND length(bytes) = ${CHUNK_BYTES})
       WHERE id = ? + place - 1`,
    );
    this.#growing = db.prepare<[string, string, number], KeyColumns>(
      `SELECT growing_key AS key, 0 AS status, coalesce(size, 0) AS size, id AS blob FROM blob
       WHERE growing_kind = 'entry' AND growing_key > ? AND growing_key < ? ORDER BY growing_key LIMIT ?`,
    );
  }

  getPartialKeys: ReaderPort['getPartialKeys'] = ({ prefix, after }) => {
    const [first, end] = rangeOf(prefix, after);
    return { rows: this.#growing.all(first, end, KEYS_PER_CALL_MAX).map(keyRowOf) };
  };

  /** The partial download of `key`, if there is one. */
  get(key: string): PartialRow | undefined {
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
