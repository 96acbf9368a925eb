/**
 * One zip on its way in: bytes go to waiting clients as they come, full chunks to the writer.
 *
 *     upstream ──bytes──▶ open chunk ──full──▶ pending ──committed──▶ store (and the weak cache)
 *                             └─────────────────┴──────────────────────┴──▶ clients, each at its pace
 *
 * The last chunk is held back until the whole is checked, so that no client ever gets a clean end
 * of a wrong body. Nothing points to the blob until then. What is stored of a download that broke
 * stays, and the next one of that key goes on from there.
 */

import type { ByteStream } from '../core/answer.ts';
import { UpstreamFailed } from '../core/errors.ts';
import { CHUNK_BYTES, ZIP_BYTES_MAX } from '../core/limits.ts';
import type { FetchEvent, Progress, Upstream, Validator } from '../core/ports.ts';
import type { Builder, PartialRow, Store } from '../core/store-port.ts';
import type { Memory } from './memory.ts';

export type DownloadOptions = {
  readonly key: string;
  readonly module: string;
  readonly version: string;
  readonly via: string | undefined;
  readonly partial: PartialRow | undefined;
  readonly store: Store & { room(): Promise<void> };
  readonly builder: Builder;
  readonly upstream: Upstream;
  readonly memory: Memory;
  readonly wallMs: () => number;
};

/** What came of a download, for the key to point to. */
export type Landed = {
  readonly size: number;
  readonly sha256: string;
  readonly blob: number | undefined;
  /** All of it, where it is less than a chunk. */
  readonly body: Uint8Array | undefined;
};

/** What one client was told: the size in its header, and the start from 0 its bytes are of. */
type Reader = { generation: number; readonly size: number | undefined };

/** Bytes compared where an upstream gives nothing to tell two versions of a file apart. */
const TAIL_BYTES = 4096;

export class Download {
  /** When the upstream has begun to answer. Rejects with why it did not. */
  readonly started: Promise<void>;
  /** When the whole is checked and committed. */
  readonly landed: Promise<Landed>;
  readonly #options: DownloadOptions;
  #size: number | undefined;
  #blob: number;
  #upstream = '';
  #isOpen = false;
  #validator: Validator = {};
  /** Whether some of it was joined to the rest without a validator: then CRCs decide. */
  #isPatched = false;
  /** Full chunks so far: the open one has this seq. */
  #chunks = 0;
  #open = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  readonly #pending = new Map<number, { bytes: Uint8Array; committed: Promise<unknown> }>();
  /** Counts starts from 0: a client with bytes of an earlier one can't go on. */
  #generation = 0;
  #isWhole = false;
  #failure: Error | undefined;
  #waiters: (() => void)[] = [];
  #onStarted: () => void = () => {};

  constructor(options: DownloadOptions) {
    this.#options = options;
    const { partial } = options;
    this.#blob = partial?.blob ?? options.store.nextBlob();
    if (partial !== undefined) {
      this.#isOpen = partial.chunks > 0; // Else it is opened anew, with what the upstream says now.
      this.#chunks = partial.chunks;
      this.#size = partial.size;
    }
    const begun = new Promise<void>((resolve) => {
      this.#onStarted = resolve;
    });
    this.landed = this.#run();
    this.landed.catch(() => {}); // Whoever waits sees it; the service logs it.
    this.started = Promise.race([begun, this.landed.then(() => {})]);
    this.started.catch(() => {});
  }

  /** The upstream that gives it, for logs. */
  get upstream(): string {
    return this.#upstream;
  }

  /** The bytes as one client reads them. */
  stream(): ByteStream {
    const reader = { generation: this.#generation, size: this.#size };
    return { size: this.#size, at: (offset) => this.#at(offset, reader) };
  }

  get #received(): number {
    return this.#chunks * CHUNK_BYTES + this.#filled;
  }

  /** How far clients may read: all of it when it is checked, else not into the last chunk. */
  get #visible(): number {
    if (this.#isWhole) return this.#received;
    if (this.#size === undefined) return Math.max(0, this.#received - CHUNK_BYTES);
    const lastStart = Math.floor(Math.max(0, this.#size - 1) / CHUNK_BYTES) * CHUNK_BYTES;
    return Math.min(this.#received, lastStart);
  }

  #at(offset: number, reader: Reader): Uint8Array | Promise<Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure;
    if (reader.generation !== this.#generation) {
      if (offset > 0 || reader.size !== this.#size) {
        throw new UpstreamFailed(`cannot go on with ${this.#name}: the upstream's file changed`);
      }
      reader.generation = this.#generation;
    }
    const visible = this.#visible;
    if (offset < visible) return this.#read(offset, visible);
    if (this.#isWhole) return NOTHING;
    return new Promise<void>((resolve) => this.#waiters.push(resolve)).then(() => this.#at(offset, reader));
  }

  #read(offset: number, visible: number): Uint8Array | Promise<Uint8Array> {
    const seq = Math.floor(offset / CHUNK_BYTES);
    const from = offset - seq * CHUNK_BYTES;
    const to = visible - seq * CHUNK_BYTES;
    if (seq === this.#chunks) return this.#open.subarray(from, Math.min(this.#filled, to));
    const piece = this.#pending.get(seq)?.bytes ?? this.#options.memory.piece(this.#blob, seq);
    if (piece instanceof Promise) return piece.then((bytes) => bytes.subarray(from, to));
    return piece.subarray(from, to);
  }

  async #run(): Promise<Landed> {
    try {
      const { upstream, key, via } = this.#options;
      const resume = await this.#progress();
      const request = { path: key, bytesMax: ZIP_BYTES_MAX, ...(resume && { resume }), ...(via && { via }) };
      for await (const event of upstream.stream(request)) {
        if (event.kind === 'start') this.#start(event);
        else await this.#append(event.bytes);
      }
      const landed = await this.#land();
      return landed;
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      this.#wake();
    }
  }

  /** Where a partial download of an earlier flight stands. */
  async #progress(): Promise<Progress | undefined> {
    const { partial, memory } = this.#options;
    if (partial === undefined || partial.chunks === 0) return undefined;
    const last = await memory.piece(partial.blob, partial.chunks - 1);
    this.#validator = {
      ...(partial.etag !== undefined && { etag: partial.etag }),
      ...(partial.lastModified !== undefined && { lastModified: partial.lastModified }),
    };
    return {
      offset: partial.chunks * CHUNK_BYTES,
      tail: last.subarray(-TAIL_BYTES),
      size: partial.size,
      validator: this.#validator,
    };
  }

  #start(event: FetchEvent & { kind: 'start' }): void {
    if (event.offset === 0 && this.#received > 0) this.#startAgain();
    else if (event.offset !== this.#received) {
      throw new UpstreamFailed(
        `cannot go on with ${this.#name}: at ${event.offset} instead of ${this.#received}`,
      );
    }
    this.#isPatched ||= event.offset > 0 && event.validator.etag === undefined;
    this.#size = event.size;
    this.#validator = event.validator;
    this.#upstream = event.upstream;
    this.#onStarted();
  }

  #startAgain(): void {
    if (this.#isOpen) this.#drop();
    this.#blob = this.#options.store.nextBlob();
    this.#isOpen = false;
    this.#isPatched = false;
    this.#generation++;
    this.#chunks = 0;
    this.#filled = 0;
    this.#open = new Uint8Array(CHUNK_BYTES);
    this.#pending.clear();
    this.#wake();
  }

  async #append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength; ) {
      const part = bytes.subarray(at, at + CHUNK_BYTES - this.#filled);
      this.#open.set(part, this.#filled);
      this.#filled += part.byteLength;
      at += part.byteLength;
      if (this.#filled === CHUNK_BYTES) this.#closeChunk();
    }
    this.#wake();
    // Waiting here is what pauses the upstream's socket while the writer is behind.
    await this.#options.store.room();
    const [oldest] = this.#pending.values();
    if (oldest !== undefined && this.#pending.size >= PENDING_CHUNKS_MAX) await oldest.committed;
  }

  #closeChunk(): void {
    const { store, memory } = this.#options;
    if (!this.#isOpen) this.#openBlob();
    const [blob, seq, bytes] = [this.#blob, this.#chunks, this.#open.subarray(0, this.#filled)];
    const committed = store.putChunk({ blob, seq, bytes }).then(() => {
      if (blob === this.#blob) this.#pending.delete(seq);
    });
    committed.catch(() => {}); // Awaited by #append or #land.
    this.#pending.set(seq, { bytes, committed });
    memory.setPiece(blob, seq, bytes);
    if (this.#filled < CHUNK_BYTES) return; // The last one: stays open for its readers.
    this.#chunks++;
    this.#open = new Uint8Array(CHUNK_BYTES);
    this.#filled = 0;
  }

  #openBlob(): void {
    const { store, key, wallMs } = this.#options;
    const { etag, lastModified } = this.#validator;
    const opened = store.openBlob({
      blob: this.#blob,
      key,
      size: this.#size,
      etag,
      lastModified,
      nowMs: wallMs(),
    });
    opened.catch(() => {}); // The chunks behind it fail too, and say why.
    this.#isOpen = true;
  }

  async #land(): Promise<Landed> {
    if (!this.#isOpen) return this.#landSmall();
    const size = this.#received;
    if (this.#filled > 0) this.#closeChunk();
    await Promise.all(Array.from(this.#pending.values(), ({ committed }) => committed));
    await this.#check({ size });
    this.#finish();
    const { store, key, wallMs } = this.#options;
    const sealed = await store.sealBlob({ blob: this.#blob, key, size, source: 'upstream', nowMs: wallMs() });
    this.#blob = sealed.blob;
    return { size, ...sealed, body: undefined };
  }

  /** It never filled a chunk: one call stores it, and no growing blob was made. */
  async #landSmall(): Promise<Landed> {
    const { store, key, wallMs } = this.#options;
    const bytes = this.#open.slice(0, this.#filled);
    await this.#check({ size: bytes.byteLength, bytes: bytes.slice() });
    this.#finish();
    const [blob, size] = [this.#blob, bytes.byteLength];
    const put = { key, status: 200, source: 'upstream', nowMs: wallMs(), blob, bytes } as const;
    const kept = await store.putEntry(put);
    return { size, sha256: kept.sha256, blob: kept.blob, body: bytes };
  }

  async #check(what: { size: number; bytes?: Uint8Array }): Promise<void> {
    const { builder, module, version } = this.#options;
    try {
      await builder.checkZip({ module, version, blob: this.#blob, content: this.#isPatched, ...what });
    } catch (error) {
      if (this.#isOpen) this.#drop();
      throw error;
    }
  }

  #drop(): void {
    this.#options.store.dropBlob({ blob: this.#blob }).catch(() => {}); // A later download of the key drops it.
  }

  #finish(): void {
    this.#isWhole = true;
    this.#size = this.#received;
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }

  get #name(): string {
    return JSON.stringify(this.#options.key);
  }
}

/** Chunks a download may have on their way to the writer: more would hold memory, fewer would idle it. */
const PENDING_CHUNKS_MAX = 4;
const NOTHING = new Uint8Array(0);
