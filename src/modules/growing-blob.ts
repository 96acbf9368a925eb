/**
 * The bytes of one download as they come. The last chunk is open, full ones are on their way to the writer, and older
 * ones are stored.
 *
 * If the store has no room for a chunk, this chunk and all later ones go into a window instead (`pass-through.ts`).
 * The chunks that are stored already stay, and a later download goes on from them.
 */

import { isServeError, messageOf } from '../core/errors.ts';
import { CHUNK_BYTES, RESUME_TAIL_BYTES } from '../core/limits.ts';
import type { Progress, Validator } from '../core/ports.ts';
import type { PartialRow, Store } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';
import { WINDOW_CHUNKS_MAX } from './limits.ts';
import { PassThrough } from './pass-through.ts';

export type GrowingBlobOptions = {
  readonly key: string;
  readonly store: Store;
  readonly memory: Memory;
  readonly wallMs: () => number;
};

/** The file's size and validator, as the upstream sent them. They are stored with the blob for a later resume. */
export type Described = { readonly size: number | undefined; readonly validator: Validator };

/** Chunks of one download on their way to the writer. More would hold memory, fewer would leave the writer idle. */
const PENDING_CHUNKS_MAX = 2;

export class GrowingBlob {
  readonly #options: GrowingBlobOptions;
  /** The chunks that the store had no room for. */
  readonly window = new PassThrough();
  #id: number;
  /** Whether the blob was opened in the store. */
  #isOpened = false;
  /** Whether chunks go into the window, as the store has no room. */
  #isPassing = false;
  #refusal: string | undefined;
  /** Full chunks so far. This is also the seq of the open chunk. */
  #chunks = 0;
  #open: Uint8Array = NOTHING;
  #filled = 0;
  #pending = new Map<number, { readonly bytes: Uint8Array; readonly committed: Promise<void> }>();
  #described: Described = { size: undefined, validator: {} };

  constructor(options: GrowingBlobOptions) {
    this.#options = options;
    this.#id = options.store.nextBlob();
  }

  get id(): number {
    return this.#id;
  }

  /** Bytes so far. */
  get received(): number {
    return this.#chunks * CHUNK_BYTES + this.#filled;
  }

  /** Whether any chunk went to the store. */
  get isOpened(): boolean {
    return this.#isOpened;
  }

  get isPassing(): boolean {
    return this.#isPassing;
  }

  /**
   * Whether the whole file can still be checked at its end: either it will be stored, or the window can hold all of it.
   *
   * @param size of the whole file, if the upstream sent it
   */
  canHoldWhole(size: number | undefined): boolean {
    if (!this.#isPassing && this.#options.store.full === undefined) return true;
    if (Math.max(size ?? 0, this.received) >= WINDOW_CHUNKS_MAX * CHUNK_BYTES) return false;
    for (let seq = 0; seq < this.#chunks; seq++) {
      if (!this.#pending.has(seq) && this.window.get(seq) === undefined) return false;
    }
    return true;
  }

  /** The reason why some of it can't be stored, on one line. */
  get refusal(): string {
    return this.#refusal ?? this.#options.store.full ?? 'the store has no room';
  }

  /** Takes over the chunks of an earlier download. @returns the resume point for the source; undefined: from 0 */
  async adopt(partial: PartialRow): Promise<Progress | undefined> {
    // If all chunks are stored, the last one is fetched again: a Range must not be empty.
    const isFull = partial.size !== undefined && partial.chunks * CHUNK_BYTES >= partial.size;
    const chunks = isFull ? partial.chunks - 1 : partial.chunks;
    if (chunks <= 0) return undefined;
    const last = await this.#lastOf(partial.blob, chunks - 1);
    if (last === undefined) return undefined;
    const { etag, lastModified, size } = partial;
    const validator = {
      ...(etag !== undefined && { etag }),
      ...(lastModified !== undefined && { lastModified }),
    };
    this.#id = partial.blob;
    this.#isOpened = true;
    this.#chunks = chunks;
    this.#described = { size, validator };
    this.#openBlob(); // Renews its time, so that a tidy does not delete it meanwhile.
    return { offset: this.received, tail: last.slice(-RESUME_TAIL_BYTES), size, validator };
  }

  /**
   * Reads a chunk, twice if need be: the first failure may pass.
   *
   * @returns undefined if it can't be read. The partial is then dropped, as it would stop the next download
   * @throws {Busy} the store has too much to do now; the partial stays
   */
  async #lastOf(blob: number, seq: number, tries = 2): Promise<Uint8Array | undefined> {
    try {
      return (await this.#options.memory.piece(blob, seq)).bytes;
    } catch (error) {
      if (!isServeError(error) || error.kind === 'busy') throw error;
      if (tries > 1) return this.#lastOf(blob, seq, tries - 1);
      this.#options.store.dropBlob({ blob }).catch(() => {}); // The next openBlob of the key drops it.
      return undefined;
    }
  }

  describe(described: Described): void {
    this.#described = described;
  }

  /** Drops all bytes, as they are of another file, and starts from 0 with a new blob. */
  startAgain(): void {
    this.drop();
    this.#id = this.#options.store.nextBlob();
    this.#isOpened = false;
    this.#chunks = 0;
    this.#filled = 0;
    this.#open = NOTHING;
    this.#pending = new Map();
    this.window.startAgain();
  }

  /** Copies `bytes` in. Full chunks go to the writer. */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const part = bytes.subarray(at, at + CHUNK_BYTES - this.#filled);
      this.#makeRoom(this.#filled + part.byteLength);
      this.#open.set(part, this.#filled);
      this.#filled += part.byteLength;
      at += part.byteLength;
      if (this.#filled < CHUNK_BYTES) continue;
      this.#send(this.#open);
      this.#chunks++;
      this.#open = NOTHING;
      this.#filled = 0;
    }
  }

  /** Makes the open chunk larger. Most zips are shorter than a chunk, so it gets their size if that is known. */
  #makeRoom(bytes: number): void {
    if (this.#open.byteLength >= bytes) return;
    const { size = Infinity } = this.#described;
    const wanted = Math.max(bytes, Math.min(CHUNK_BYTES, size - this.#chunks * CHUNK_BYTES));
    const open = new Uint8Array(wanted);
    open.set(this.#open.subarray(0, this.#filled));
    this.#open = open;
  }

  /**
   * Waits while the writer is behind. If chunks can't be stored, waits for the slowest reader. This wait pauses the
   * upstream's socket.
   *
   * @returns false if chunks can't be stored and no client reads them
   */
  async waitForRoom(): Promise<boolean> {
    await this.#options.store.waitForRoom();
    const [oldest] = this.#pending.values();
    if (oldest !== undefined && this.#pending.size >= PENDING_CHUNKS_MAX) await oldest.committed;
    return this.#isPassing ? this.window.waitForRoom() : true;
  }

  /** The bytes from `offset` to `to`, or to the end of their chunk. `offset < to <= received`. */
  read(offset: number, to: number): Uint8Array | Promise<Uint8Array> {
    const seq = Math.floor(offset / CHUNK_BYTES);
    const start = seq * CHUNK_BYTES;
    const cut = ({ bytes }: { readonly bytes: Uint8Array }) => bytes.subarray(offset - start, to - start);
    const isOpen = seq === this.#chunks && this.#open.byteLength > 0;
    if (isOpen) return this.#open.subarray(offset - start, Math.min(this.#filled, to - start));
    const unstored = this.#pending.get(seq)?.bytes ?? this.window.get(seq);
    if (unstored !== undefined) return cut({ bytes: unstored });
    const piece = this.#options.memory.piece(this.#id, seq);
    return piece instanceof Promise ? piece.then(cut) : cut(piece);
  }

  /** All bytes in a buffer of their own; undefined if a chunk was stored, or dropped from the window. */
  wholeBytes(): Uint8Array | undefined {
    if (this.#isOpened && !this.#isPassing) return undefined;
    const chunks = this.window.whole(this.#chunks);
    if (chunks?.length === 0 && this.#open.byteLength === this.#filled) return this.#open;
    return chunks && new Uint8Array(Buffer.concat([...chunks, this.#open.subarray(0, this.#filled)]));
  }

  /** Sends the last chunk to the writer and waits for all chunks. @returns whether every chunk is stored */
  async flush(): Promise<boolean> {
    if (this.#filled > 0) this.#send(this.#open.subarray(0, this.#filled));
    await Promise.all(Array.from(this.#pending.values(), ({ committed }) => committed));
    return !this.#isPassing;
  }

  /** Reads from blob `id` from now on: it has the same content, and this one was dropped. */
  becomes(id: number): void {
    this.#id = id;
  }

  drop(): void {
    if (!this.#isOpened) return;
    this.#options.store.dropBlob({ blob: this.#id }).catch(() => {}); // The next download of the key drops it.
  }

  #send(bytes: Uint8Array): void {
    const { store, memory } = this.#options;
    const [blob, seq] = [this.#id, this.#chunks];
    if (this.#isPassing || store.full !== undefined) {
      this.#isPassing = true;
      this.#refusal ??= store.full;
      this.window.put(seq, bytes);
      return;
    }
    if (!this.#isOpened) this.#openBlob();
    const pending = this.#pending;
    const committed = store.putChunk({ blob, seq, bytes }).then(
      () => {
        // From here on memory owns the bytes and may free them. Before this they were the only copy.
        pending.delete(seq);
        if (this.#open.buffer === bytes.buffer) this.#open = NOTHING;
        memory.setPiece(blob, seq, bytes);
      },
      (error: unknown) => {
        if (!isServeError(error)) throw error;
        this.#isPassing = true;
        this.#refusal ??= messageOf(error);
        if (pending !== this.#pending) return; // The chunk's file was dropped since.
        this.window.put(seq, bytes);
        pending.delete(seq);
      },
    );
    committed.catch(() => {}); // A bug: `waitForRoom` or `flush` throws it.
    pending.set(seq, { bytes, committed });
  }

  #openBlob(): void {
    const { store, key, wallMs } = this.#options;
    const { size, validator } = this.#described;
    const { etag, lastModified } = validator;
    const opened = store.openBlob({ blob: this.#id, key, size, etag, lastModified, nowMs: wallMs() });
    opened.catch(() => {}); // The chunks after it fail too, with the reason.
    this.#isOpened = true;
  }
}

const NOTHING = new Uint8Array(0);
