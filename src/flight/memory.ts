/**
 * The front thread's memory: files by key, and pieces of blobs by chunk. One weak cache with one budget holds both.
 *
 * Files have strings as keys, and pieces have numbers. The two never collide.
 *
 * The cache owns the bytes of its pieces and lends them for one turn of the event loop. A piece that leaves the
 * cache is freed when that turn is over. A reader that goes on in a later turn asks again.
 */

import type { StoredFile } from '../core/answer.ts';
import { StoreFailed } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { Store } from '../core/store-port.ts';
import { ONE_SEND_BYTES_MAX } from './limits.ts';
import type { Singleflight } from './singleflight.ts';
import type { WeakCache } from './weak-cache.ts';

/** One chunk of a blob, or all of a short blob. The cache and its readers share it. */
export class Piece {
  /** Its key in the cache: blob and seq in one number. */
  readonly id: number;
  readonly bytes: Uint8Array;

  constructor(id: number, bytes: Uint8Array) {
    this.id = id;
    this.bytes = bytes;
  }
}

/**
 * For the cache's `isStrongOnly`: pieces are never held weakly. A weak piece would stay until a garbage collection.
 * New pieces on top of it would cause one of the whole heap for every 100 MB of zips.
 */
export function isPiece(value: object): value is Piece {
  return value instanceof Piece;
}

const leaving: Piece[] = [];

/**
 * For the cache's `onDrop`: frees a piece when this turn of the event loop is over. Until then its readers may still
 * hold it. V8 would collect such pieces only after about 64 MiB of them.
 */
export function freeAfterTurn(value: object): void {
  if (!isPiece(value)) return; // Files are small, and others may hold their bodies.
  if (leaving.push(value) === 1) setImmediate(freeLeaving);
}

function freeLeaving(): void {
  for (const { bytes } of leaving.splice(0)) freeBytes(bytes);
}

/** More chunks than any blob has, so that pieces of different blobs have different keys. */
const SEQ_MAX = 2 ** 20;
/** The memory of a piece beside its bytes: its object and its slot in the cache. */
const PIECE_OVERHEAD_BYTES = 256;

/**
 * A piece counts for more memory than its bytes, as the allocator leaves holes between pieces. In bench/soak.ts the
 * holes took 45 MB beside 67 MB of pieces; half of that is counted. At 1 a soak takes 20 MB more; at 1.5 a third
 * fewer zips fit.
 */
const HOLES = 1.25;

/** The seq of the piece that holds all of a short blob. */
const WHOLE = SEQ_MAX - 1;

function idOf(blob: number, seq: number): number {
  return blob * SEQ_MAX + seq;
}

/** One client's answer. Its blob must stay until it is read to the end. */
export type BlobReader = { readonly blob: number };

/** Reads one chunk of a blob from the store. Without `bytes` there is no such chunk. */
export type LoadChunk = (request: { readonly blob: number; readonly seq: number }) => Promise<{
  readonly bytes?: Uint8Array;
}>;

export class Memory {
  readonly #cache: WeakCache<StoredFile | Piece>;
  readonly #store: Store;
  readonly #flights: Singleflight<Piece>;
  readonly #readers = new Set<BlobReader>();

  constructor(options: {
    cache: WeakCache<StoredFile | Piece>;
    store: Store;
    /** The flights of the `chunk:` key space. */
    flights: Singleflight<Piece>;
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

  /** Forgets the file under `key`. To be called when its entry in the store changed or went. */
  deleteFile(key: string): void {
    this.#cache.delete(key);
  }

  /** The same of all keys that begin so. */
  deleteFiles(prefix: string): void {
    this.#cache.deleteAll((key) => typeof key === 'string' && key.startsWith(prefix));
  }

  /** Whether the file was asked for since it came into memory, or since the last call. */
  takeUse(key: string): boolean {
    return this.#cache.takeUse(key);
  }

  /** Notes that a client reads a blob, piece by piece, until `closed`. */
  opened(reader: BlobReader): void {
    this.#readers.add(reader);
  }

  closed(reader: BlobReader): void {
    this.#readers.delete(reader);
  }

  /** The blobs that clients read now. */
  get openBlobs(): number[] {
    return Array.from(this.#readers, ({ blob }) => blob);
  }

  setPiece(blob: number, seq: number, bytes: Uint8Array): void {
    this.#keep(new Piece(idOf(blob, seq), bytes));
  }

  /**
   * Chunk `seq` of `blob`: from memory at once, else by one read of the store that all callers share.
   *
   * @param load reads it from the store; all callers of one blob give the same one
   * @throws {StoreFailed} the store has no such chunk
   */
  piece(blob: number, seq: number, load: LoadChunk = this.#store.getChunk): Piece | Promise<Piece> {
    const held = this.heldPiece(blob, seq);
    if (held !== undefined) return held;
    const id = idOf(blob, seq);
    return this.#flights.do(`chunk:${id}`, async () => {
      const { bytes } = await load({ blob, seq });
      if (bytes === undefined) throw new StoreFailed(`cannot read blob ${blob}: no chunk ${seq}`);
      return this.#keep(new Piece(id, bytes));
    });
  }

  /** Chunk `seq` of `blob`, if it is in memory. */
  heldPiece(blob: number, seq: number): Piece | undefined {
    return this.#cache.get(idOf(blob, seq)) as Piece | undefined; // Numbers are keys of pieces.
  }

  /**
   * All of a short blob as one piece, if its chunks were joined.
   *
   * @param mayJoin joins the chunks now, if all of them are in memory. The piece takes their place, so that the copy is
   * made once and not for each client.
   */
  whole(blob: number, size: number, mayJoin: boolean): Piece | undefined {
    const held = this.heldPiece(blob, WHOLE);
    return held === undefined && mayJoin ? this.#join(blob, size) : held;
  }

  #join(blob: number, size: number): Piece | undefined {
    const chunks: Piece[] = [];
    let bytesHeld = 0;
    for (let seq = 0; seq * CHUNK_BYTES < size; seq++) {
      const chunk = this.heldPiece(blob, seq);
      if (chunk === undefined) return undefined;
      chunks.push(chunk);
      bytesHeld += chunk.bytes.byteLength;
    }
    if (bytesHeld !== size) return undefined; // A chunk is damaged in the store: its reader gets the error.
    const bytes = new Uint8Array(size);
    for (const [seq, chunk] of chunks.entries()) {
      bytes.set(chunk.bytes, seq * CHUNK_BYTES);
      this.#cache.delete(chunk.id);
    }
    return this.#keep(new Piece(idOf(blob, WHOLE), bytes));
  }

  /** Starts to read a chunk that a client will need soon. */
  prefetch(blob: number, seq: number, load?: LoadChunk): void {
    const loading = this.piece(blob, seq, load);
    if (loading instanceof Promise) loading.catch(() => {}); // Its reader gets the error.
  }

  /** A blob as a stream. One chunk is read ahead. */
  stream(blob: number, size: number, load?: LoadChunk): ByteStreamOfBlob {
    return new ByteStreamOfBlob(this, { blob, size, load });
  }

  #keep(piece: Piece): Piece {
    this.#cache.set(piece.id, piece, piece.bytes.byteLength * HOLES + PIECE_OVERHEAD_BYTES);
    return piece;
  }
}

class ByteStreamOfBlob {
  readonly size: number;
  readonly blob: number;
  readonly #memory: Memory;
  readonly #load: LoadChunk | undefined;
  #isBegun = false;

  constructor(memory: Memory, of: { blob: number; size: number; load: LoadChunk | undefined }) {
    this.#memory = memory;
    this.blob = of.blob;
    this.#load = of.load;
    this.size = of.size;
  }

  at(offset: number): Uint8Array | Promise<Uint8Array> {
    if (offset >= this.size) return NOTHING;
    if (!this.#isBegun) this.#memory.opened(this);
    // Only a stream that begins may join chunks. The first stream reads them from the store and does not join them.
    const whole = this.#isShort && this.#memory.whole(this.blob, this.size, !this.#isBegun);
    this.#isBegun = true;
    if (whole) return whole.bytes.subarray(offset);
    const seq = Math.floor(offset / CHUNK_BYTES);
    const piece = this.#memory.piece(this.blob, seq, this.#load);
    if ((seq + 1) * CHUNK_BYTES < this.size) this.#memory.prefetch(this.blob, seq + 1, this.#load);
    const from = offset - seq * CHUNK_BYTES;
    return piece instanceof Promise
      ? piece.then(({ bytes }) => bytes.subarray(from))
      : piece.bytes.subarray(from);
  }

  close(): void {
    this.#memory.closed(this);
  }

  /** Longer than a chunk, and short enough for one send. */
  get #isShort(): boolean {
    return this.size > CHUNK_BYTES && this.size <= ONE_SEND_BYTES_MAX;
  }
}

const NOTHING = new Uint8Array(0);
