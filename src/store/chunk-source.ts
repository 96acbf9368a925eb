/**
 * One blob's bytes by offset, for the builders and for `astera verify`.
 *
 * Holds one chunk at a time: a 500 MiB zip is read in the memory of one chunk.
 */

import { StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import { type Connection, chunkId, openReadable } from './schema.ts';

export class ChunkSource {
  readonly size: number;
  readonly #db: Connection;
  readonly #isOwn: boolean;
  readonly #blob: number;
  readonly #chunk;
  #seq = -1;
  #bytes: Uint8Array = new Uint8Array(0);

  /** Told of each chunk read, in bytes: the one before it is garbage, outside V8's heap. */
  onLoad: ((bytes: number) => void) | undefined;

  /** @param store an open connection, or a path to open a read-only one of its own */
  constructor(store: Connection | string, blob: number, size: number) {
    this.size = size;
    this.#blob = blob;
    this.#isOwn = typeof store === 'string';
    this.#db = typeof store === 'string' ? openReadable(store) : store;
    this.#chunk = this.#db.prepare<[number], { bytes: Buffer }>('SELECT bytes FROM chunk WHERE id = ?');
  }

  /** Bytes from `offset` to the end of its chunk, `length` at most: at least one. @throws {StoreFailed} no such chunk */
  read(offset: number, length: number): Uint8Array {
    const seq = Math.floor(offset / CHUNK_BYTES);
    if (seq !== this.#seq) this.#load(seq);
    const from = offset - seq * CHUNK_BYTES;
    return this.#bytes.subarray(from, from + length);
  }

  /** Closes its own connection. */
  close(): void {
    if (this.#isOwn) this.#db.close();
  }

  #load(seq: number): void {
    const row = this.#chunk.get(chunkId(this.#blob, seq));
    if (row === undefined) throw new StoreFailed(`cannot read blob ${this.#blob}: no chunk ${seq}`);
    this.#bytes = row.bytes;
    this.#seq = seq;
    this.onLoad?.(row.bytes.byteLength);
  }
}
