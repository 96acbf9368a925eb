/**
 * The bytes of one download as they come: an open chunk, full ones on their way to the writer,
 * stored ones behind that.
 *
 * A chunk the store refuses for want of room goes into a window instead (`pass-through.ts`), and so
 * do all after it; what was stored before stays, for a later download to go on from.
 */

import { isServeError } from '../core/errors.ts';
import { CHUNK_BYTES, RESUME_TAIL_BYTES, WINDOW_CHUNKS_MAX } from '../core/limits.ts';
import type { Progress, Validator } from '../core/ports.ts';
import type { PartialRow, Store } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';
import { PassThrough } from './pass-through.ts';

export type GrowingBlobOptions = {
  readonly key: string;
  readonly store: Store;
  readonly memory: Memory;
  readonly wallMs: () => number;
};

/** What the upstream said of the file: kept with the blob, to know it again. */
export type Described = { readonly size: number | undefined; readonly validator: Validator };

/** Chunks a download may have on their way to the writer: more would hold memory, fewer would idle it. */
const PENDING_CHUNKS_MAX = 2;

export class GrowingBlob {
  readonly #options: GrowingBlobOptions;
  /** Chunks that no store took. */
  readonly window = new PassThrough();
  #id: number;
  /** Whether the store knows of it. */
  #isOpened = false;
  #isPassing = false;
  /** Full chunks so far: the open one has this seq. */
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

  /** Whether any of it went to the store. */
  get isOpened(): boolean {
    return this.#isOpened;
  }

  get isPassing(): boolean {
    return this.#isPassing;
  }

  /**
   * Whether the whole can still be looked into at its end: because it is stored, or because the window holds it from
   * the first byte on. The window lets go of a longer one.
   *
   * @param size of the whole, where the upstream said it
   */
  canHoldWhole(size: number | undefined): boolean {
    if (!this.#isPassing && this.#options.store.full === undefined) return true;
    if (Math.max(size ?? 0, this.received) >= WINDOW_CHUNKS_MAX * CHUNK_BYTES) return false;
    for (let seq = 0; seq < this.#chunks; seq++) {
      if (!this.#pending.has(seq) && this.window.get(seq) === undefined) return false;
    }
    return true;
  }

  /** Goes on with what an earlier download left. @returns where the upstream should go on, if anywhere */
  async adopt(partial: PartialRow): Promise<Progress | undefined> {
    // The last byte must be asked for again, even when all were stored: else a Range would be empty.
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
    this.#openBlob(); // Renews its time: a tidy must not take it while it is gone on with.
    return { offset: this.received, tail: last.slice(-RESUME_TAIL_BYTES), size, validator };
  }

  /** @returns nothing where it cannot be read; the partial is then dropped, so that the next download is not held up */
  async #lastOf(blob: number, seq: number): Promise<Uint8Array | undefined> {
    try {
      return (await this.#options.memory.piece(blob, seq)).bytes;
    } catch (error) {
      if (!isServeError(error)) throw error;
      this.#options.store.dropBlob({ blob }).catch(() => {}); // The next openBlob of the key drops it.
      return undefined;
    }
  }

  describe(described: Described): void {
    this.#described = described;
  }

  /** What came was of another file: from 0 again, as another blob. */
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

  /** Takes bytes in; full chunks go to the writer. */
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

  /** Of most zips the open chunk is all there will be: it gets their size, if that is known. */
  #makeRoom(bytes: number): void {
    if (this.#open.byteLength >= bytes) return;
    const { size = Infinity } = this.#described;
    const wanted = Math.max(bytes, Math.min(CHUNK_BYTES, size - this.#chunks * CHUNK_BYTES));
    const open = new Uint8Array(wanted);
    open.set(this.#open.subarray(0, this.#filled));
    this.#open = open;
  }

  /**
   * Waits while the writer, or the slowest reader of what can't be stored, is behind: this is what
   * pauses the upstream's socket.
   *
   * @returns false when it can't be stored and nobody reads it
   */
  async waitForRoom(): Promise<boolean> {
    await this.#options.store.waitForRoom();
    const [oldest] = this.#pending.values();
    if (oldest !== undefined && this.#pending.size >= PENDING_CHUNKS_MAX) await oldest.committed;
    return this.#isPassing ? this.window.waitForRoom() : true;
  }

  /** Bytes from `offset` on, up to `to` or the end of their chunk. Both are below `received`. */
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

  /** All of it, where none went to the store and none was let go; with a buffer of its own. */
  wholeBytes(): Uint8Array | undefined {
    if (this.#isOpened && !this.#isPassing) return undefined;
    const chunks = this.window.whole(this.#chunks);
    if (chunks?.length === 0 && this.#open.byteLength === this.#filled) return this.#open;
    return chunks && new Uint8Array(Buffer.concat([...chunks, this.#open.subarray(0, this.#filled)]));
  }

  /** Sends the last chunk and waits for all. @returns whether every chunk is stored */
  async flush(): Promise<boolean> {
    if (this.#filled > 0) this.#send(this.#open.subarray(0, this.#filled));
    await Promise.all(Array.from(this.#pending.values(), ({ committed }) => committed));
    return !this.#isPassing;
  }

  /** Another blob has the same content and serves instead. */
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
      this.window.put(seq, bytes);
      return;
    }
    if (!this.#isOpened) this.#openBlob();
    const pending = this.#pending;
    const committed = store.putChunk({ blob, seq, bytes }).then(
      () => {
        // Memory owns the bytes from here on, and may free them. Until now they were the only copy.
        pending.delete(seq);
        if (this.#open.buffer === bytes.buffer) this.#open = NOTHING;
        memory.setPiece(blob, seq, bytes);
      },
      (error: unknown) => {
        if (!isServeError(error)) throw error;
        this.#isPassing = true;
        if (pending !== this.#pending) return; // It is of a file that was thrown away since.
        this.window.put(seq, bytes);
        pending.delete(seq);
      },
    );
    committed.catch(() => {}); // A bug: thrown again by whoever waits.
    pending.set(seq, { bytes, committed });
  }

  #openBlob(): void {
    const { store, key, wallMs } = this.#options;
    const { size, validator } = this.#described;
    const { etag, lastModified } = validator;
    const opened = store.openBlob({ blob: this.#id, key, size, etag, lastModified, nowMs: wallMs() });
    opened.catch(() => {}); // The chunks behind it fail too, and say why.
    this.#isOpened = true;
  }
}

const NOTHING = new Uint8Array(0);
