/**
 * What the front thread holds in memory: files by key and pieces of blobs by chunk, in one weak cache with one budget.
 *
 * Strings are keys of files and numbers of pieces, so the two never meet.
 */

import { StoredFile } from '../core/answer.ts';
import { StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { Store } from '../core/store-port.ts';
import type { Singleflight } from './singleflight.ts';
import type { WeakCache } from './weak-cache.ts';

/** The object a WeakRef can point to: it owns one chunk's bytes. */
export type Piece = { readonly bytes: Uint8Array };

/**
 * Gives an evicted piece's memory back at once, for the cache's `onEvict`: the collector comes by only
 * when some 64 MiB of it have gathered. A reader that still holds the piece finds it empty, and reads it again.
 */
export function freeEvicted(value: object): void {
  if (value instanceof StoredFile) return; // Small, and others may hold its body.
  const { bytes } = value as Piece;
  if (bytes.byteLength === bytes.buffer.byteLength) (bytes.buffer as ArrayBuffer).transfer(0);
}

/** More chunks than any blob has; keeps piece keys of different blobs apart. */
const SEQ_MAX = 2 ** 20;
const PIECE_OVERHEAD_BYTES = 256;

export class Memory {
  readonly #cache: WeakCache<StoredFile | Piece>;
  readonly #store: Store;
  readonly #flights: Singleflight<Uint8Array>;

  constructor(options: {
    cache: WeakCache<StoredFile | Piece>;
    store: Store;
    /** The flights of the `chunk:` key space. */
    flights: Singleflight<Uint8Array>;
  }) {
    this.#cache = options.cache;
    this.#store = options.store;
    this.#flights = options.flights;
  }

  file(key: string): StoredFile | undefined {
    return this.#cache.get(key) as StoredFile | undefined; // Strings are keys of files.
  }

  setFile(key: string, file: StoredFile): void {
    this.#cache.set(key, file, file.memoryBytes);
  }

  /** What is stored under `key` has changed, or is gone. */
  deleteFile(key: string): void {
    this.#cache.delete(key);
  }

  setPiece(blob: number, seq: number, bytes: Uint8Array): void {
    this.#cache.set(blob * SEQ_MAX + seq, { bytes }, bytes.byteLength + PIECE_OVERHEAD_BYTES);
  }

  /** Chunk `seq` of `blob`: from memory at once, else from the store, in one flight for all who ask. */
  piece(blob: number, seq: number): Uint8Array | Promise<Uint8Array> {
    const id = blob * SEQ_MAX + seq;
    const held = this.#cache.get(id) as Piece | undefined; // Numbers are keys of pieces.
    if (held !== undefined) return held.bytes;
    return this.#flights.do(`chunk:${id}`, async () => {
      const { bytes } = await this.#store.getChunk({ blob, seq });
      if (bytes === undefined) throw new StoreFailed(`cannot read blob ${blob}: no chunk ${seq}`);
      this.setPiece(blob, seq, bytes);
      return bytes;
    });
  }

  /** Starts loading a chunk that will be asked for soon. */
  prefetch(blob: number, seq: number): void {
    const loading = this.piece(blob, seq);
    if (loading instanceof Promise) loading.catch(() => {}); // Whoever needs it will see why.
  }

  /** A whole blob as a stream, one chunk read ahead. */
  stream(blob: number, size: number): ByteStreamOfBlob {
    return new ByteStreamOfBlob(this, blob, size);
  }
}

class ByteStreamOfBlob {
  readonly size: number;
  readonly #memory: Memory;
  readonly #blob: number;

  constructor(memory: Memory, blob: number, size: number) {
    this.#memory = memory;
    this.#blob = blob;
    this.size = size;
  }

  at(offset: number): Uint8Array | Promise<Uint8Array> {
    if (offset >= this.size) return NOTHING;
    const seq = Math.floor(offset / CHUNK_BYTES);
    const piece = this.#memory.piece(this.#blob, seq);
    if ((seq + 1) * CHUNK_BYTES < this.size) this.#memory.prefetch(this.#blob, seq + 1);
    const from = offset - seq * CHUNK_BYTES;
    if (piece instanceof Promise) return piece.then((bytes) => bytes.subarray(from));
    return from === 0 ? piece : piece.subarray(from);
  }
}

const NOTHING = new Uint8Array(0);
