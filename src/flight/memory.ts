/**
 * What the front thread holds in memory: files by key and pieces of blobs by chunk, in one weak cache with one budget.
 *
 * Strings are keys of files and numbers of pieces, so the two never meet.
 */

import type { StoredFile } from '../core/answer.ts';
import { StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES, ONE_SEND_BYTES_MAX } from '../core/limits.ts';
import type { Store } from '../core/store-port.ts';
import type { Singleflight } from './singleflight.ts';
import type { WeakCache } from './weak-cache.ts';

/** One chunk of a blob, or a short one's whole, as the cache and those who read it share it. */
export class Piece {
  /** What it is known by: see {@link Memory}. */
  readonly id: number;
  readonly bytes: Uint8Array;
  /** Streams that stand at it. */
  users = 0;

  constructor(id: number, bytes: Uint8Array) {
    this.id = id;
    this.bytes = bytes;
  }
}

/**
 * For the cache's `isIdle`: pieces are held weakly only while somebody reads them. What nobody reads would
 * stay until the collector comes by, and new pieces on top of it are what makes it come: each time for the
 * whole heap, for every 100 MB of zips.
 */
export function isIdle(value: object): boolean {
  return value instanceof Piece && value.users === 0;
}

/**
 * Gives an evicted piece's memory back at once, for the cache's `onEvict`: the collector comes by only
 * when some 64 MiB of it have gathered. A reader that still holds the piece finds it empty, and reads it again.
 */
export function freeEvicted(value: object): void {
  if (!(value instanceof Piece)) return; // Files are small, and others may hold their bodies.
  const { bytes } = value;
  if (bytes.byteLength === bytes.buffer.byteLength) (bytes.buffer as ArrayBuffer).transfer(0);
}

/** A part of a piece; nothing of one that was given back meanwhile, which its reader then asks for again. */
export function partOf({ bytes }: Pick<Piece, 'bytes'>, from: number, to?: number): Uint8Array {
  return bytes.byteLength === 0 || (from === 0 && to === undefined) ? bytes : bytes.subarray(from, to);
}

/** More chunks than any blob has; keeps piece keys of different blobs apart. */
const SEQ_MAX = 2 ** 20;
const PIECE_OVERHEAD_BYTES = 256;

/**
 * A piece stands for more memory than its bytes: the allocator keeps holes between those that come and go, some 45 MB
 * beside 67 in bench/soak.ts, and the half of it is counted. At 1 a soak takes 20 MB more; at 1.5 a third fewer zips fit.
 */
const HOLES = 1.25;

/** In place of a chunk's number: the whole of a short blob. */
const WHOLE = SEQ_MAX - 1;

function idOf(blob: number, seq: number): number {
  return blob * SEQ_MAX + seq;
}

export class Memory {
  readonly #cache: WeakCache<StoredFile | Piece>;
  readonly #store: Store;
  readonly #flights: Singleflight<Piece>;

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

  /** What is stored under `key` has changed, or is gone. */
  deleteFile(key: string): void {
    this.#cache.delete(key);
  }

  setPiece(blob: number, seq: number, bytes: Uint8Array): void {
    this.#keep(new Piece(idOf(blob, seq), bytes));
  }

  /** Chunk `seq` of `blob`: from memory at once, else from the store, in one flight for all who ask. */
  piece(blob: number, seq: number): Piece | Promise<Piece> {
    const held = this.heldPiece(blob, seq);
    if (held !== undefined) return held;
    const id = idOf(blob, seq);
    return this.#flights.do(`chunk:${id}`, async () => {
      const { bytes } = await this.#store.getChunk({ blob, seq });
      if (bytes === undefined) throw new StoreFailed(`cannot read blob ${blob}: no chunk ${seq}`);
      return this.#keep(new Piece(id, bytes));
    });
  }

  /** Chunk `seq` of `blob`, if it is in memory. */
  heldPiece(blob: number, seq: number): Piece | undefined {
    return this.#cache.get(idOf(blob, seq)) as Piece | undefined; // Numbers are keys of pieces.
  }

  /**
   * A short blob as one piece, where its chunks were joined before.
   *
   * @param mayJoin they are now, if all of them are in memory: it is asked for again, so that the copy is made once and
   * not for each client. The piece takes their place.
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
    if (bytesHeld !== size) return undefined; // A damaged store's chunk: whoever reads it will see.
    const bytes = new Uint8Array(size);
    for (const [seq, chunk] of chunks.entries()) {
      bytes.set(chunk.bytes, seq * CHUNK_BYTES);
      if (chunk.users === 0) this.#cache.giveUp(chunk.id);
    }
    return this.#keep(new Piece(idOf(blob, WHOLE), bytes));
  }

  /** Starts loading a chunk that will be asked for soon. */
  prefetch(blob: number, seq: number): void {
    const loading = this.piece(blob, seq);
    if (loading instanceof Promise) loading.catch(() => {}); // Whoever needs it will see why.
  }

  /** A user of `piece` is done with it: nobody waits for the collector to take the last one's. */
  release(piece: Piece): void {
    piece.users--;
    if (piece.users === 0) this.#cache.dropWeak(piece.id, piece);
  }

  /** A whole blob as a stream, one chunk read ahead. */
  stream(blob: number, size: number): ByteStreamOfBlob {
    return new ByteStreamOfBlob(this, blob, size);
  }

  #keep(piece: Piece): Piece {
    this.#cache.set(piece.id, piece, piece.bytes.byteLength * HOLES + PIECE_OVERHEAD_BYTES);
    return piece;
  }
}

/** Stands at one piece at a time, which is in use until it goes on to another or ends. */
class ByteStreamOfBlob {
  readonly size: number;
  readonly #memory: Memory;
  readonly #blob: number;
  #piece: Piece | undefined;
  #isClosed = false;

  constructor(memory: Memory, blob: number, size: number) {
    this.#memory = memory;
    this.#blob = blob;
    this.size = size;
  }

  at(offset: number): Uint8Array | Promise<Uint8Array> {
    if (offset >= this.size) return NOTHING;
    // Joined for who begins, not for the first one, who comes to its end.
    const whole = this.#isShort && this.#memory.whole(this.#blob, this.size, this.#piece === undefined);
    if (whole) return this.#use(whole, offset);
    const seq = Math.floor(offset / CHUNK_BYTES);
    const piece = this.#memory.piece(this.#blob, seq);
    if ((seq + 1) * CHUNK_BYTES < this.size) this.#memory.prefetch(this.#blob, seq + 1);
    const from = offset - seq * CHUNK_BYTES;
    if (piece instanceof Promise) return piece.then((loaded) => this.#use(loaded, from));
    return this.#use(piece, from);
  }

  /** Longer than a chunk, and short enough to go out by one send. */
  get #isShort(): boolean {
    return this.size > CHUNK_BYTES && this.size <= ONE_SEND_BYTES_MAX;
  }

  close(): void {
    this.#isClosed = true;
    this.#leave();
  }

  #use(piece: Piece, from: number): Uint8Array {
    if (piece !== this.#piece && !this.#isClosed) {
      this.#leave();
      piece.users++;
      this.#piece = piece;
    }
    return partOf(piece, from);
  }

  #leave(): void {
    if (this.#piece !== undefined) this.#memory.release(this.#piece);
    this.#piece = undefined;
  }
}

const NOTHING = new Uint8Array(0);
