/**
 * The download of one zip. Bytes go to its clients as they come, and to the store.
 *
 *     upstream ──bytes──▶ growing blob ──whole──▶ check ──good──▶ sealed under its key
 *                              └──▶ clients, each at its pace, up to the last chunk
 *
 * The last chunk is held back until the whole zip is checked, so that no client gets a wrong body with a clean end.
 * No entry points to the blob until then. If a download breaks, its stored chunks stay, and the next download of the
 * key goes on from them.
 *
 * On a full disk the bytes pass through a window. A zip that must be checked is refused as soon as it no longer can be:
 * its clients get an error or are cut off. Other zips pass unchecked, but only in one piece: `go` compares them with
 * its go.sum.
 */

import type { ByteStream } from '../core/answer.ts';
import { Busy, isServeError, messageOf, StoreFailed, serveError, UpstreamFailed } from '../core/errors.ts';
import { CHUNK_BYTES, WHOLE_BODY_BYTES_MAX, ZIP_BYTES_MAX } from '../core/limits.ts';
import type { FetchEvent, ModuleRequest, SourceName } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import type { Resource } from '../core/resource.ts';
import type { Builder, Checked, PartialRow, Store, Trust } from '../core/store-port.ts';
import { WakeUp } from '../core/wake-up.ts';
import type { YoungGarbage } from '../flight/young-garbage.ts';
import type { Check } from './checked-ingest.ts';
import { GrowingBlob, type GrowingBlobOptions } from './growing-blob.ts';
import type { Position } from './pass-through.ts';
import type { SourcedEvent, Sources } from './sources.ts';

export type DownloadOptions = GrowingBlobOptions & {
  readonly resource: Extract<Resource, { readonly version: unknown }>;
  /** Sent to the source with the request. */
  readonly requestOptions: Pick<ModuleRequest, 'via' | 'avoid'>;
  readonly partial: PartialRow | undefined;
  readonly store: Store;
  readonly builder: Builder;
  readonly sources: Pick<Sources, 'stream'>;
  readonly garbage: YoungGarbage;
  /** Checks the zip's h1 against the checksum database. Undefined: no checksum covers the zip. */
  readonly confirm?: (h1: string, upstream: string) => Check;
  /** True: the zip is checked before it goes out, even if no checksum covers it. */
  readonly isStrict?: boolean;
  /** Longer zips are refused. By default ZIP_BYTES_MAX. */
  readonly bytesMax?: number;
  /** Called with the reason if a good zip could not be stored. */
  readonly onNotStored: (why: string) => void;
};

/** The result of a download, for the file in memory. */
export type Landed = {
  readonly size: number;
  /** Empty if the zip could not be stored. */
  readonly sha256: string;
  readonly blob: number | undefined;
  /** The whole zip, if it has no blob and fits a chunk. */
  readonly body: Uint8Array | undefined;
  /** The checksum database's word, if it was asked. */
  readonly trust?: Trust | undefined;
};

/** One client: its position, the size in its header, and the start from 0 that its bytes belong to. */
type Reader = Position & { generation: number; readonly size: number | undefined };

export class Download {
  /**
   * Resolves when the source has begun to answer. A zip that may be shorter than a chunk is whole and checked by then,
   * as none of it can go out before. If the promise rejects, the client gets an error with a text, no cut connection.
   */
  readonly started: Promise<void>;
  /** Resolves when the whole zip is checked, and committed if it can be. */
  readonly landed: Promise<Landed>;
  readonly #options: DownloadOptions;
  readonly #blob: GrowingBlob;
  #size: number | undefined;
  #upstream = '';
  #source: SourceName | undefined;
  /** Whether parts were joined without a strong validator. Then the CRCs of the content are checked. */
  #isPatched = false;
  /** Counts starts from 0. A client that has bytes of an earlier start can't go on. */
  #generation = 0;
  /** Whether all bytes are here and checked. */
  #isWhole = false;
  /** The whole zip, checked, if it is at most WHOLE_BODY_BYTES_MAX long. */
  #whole: Uint8Array | undefined;
  #failure: Error | undefined;
  readonly #news = new WakeUp();
  #onStarted: () => void = () => {};

  constructor(options: DownloadOptions) {
    this.#options = options;
    this.#blob = new GrowingBlob(options);
    const begun = new Promise<void>((resolve) => {
      this.#onStarted = resolve;
    });
    this.landed = this.#run();
    this.landed.catch(() => {}); // Its waiters get the error, and the fetcher logs it.
    this.started = Promise.race([begun, this.landed.then(() => {})]);
    this.started.catch(() => {});
  }

  /** The server or repository that sends the zip, for logs. */
  get upstream(): string {
    return this.#upstream;
  }

  /** The kind of place that the zip comes from. To be asked after `started` only. */
  get source(): SourceName {
    if (this.#source === undefined) throw new Error(`${this.#name} has not begun`);
    return this.#source;
  }

  /** Bytes that are here, and the whole size, if the source has said it. */
  get receivedBytes(): number {
    return this.#blob.received;
  }

  get sizeBytes(): number | undefined {
    return this.#size;
  }

  /** Whether the zip comes from such a place; false too if it has not begun. */
  isFrom(source: SourceName): boolean {
    return this.#source === source;
  }

  /** The body for one client: the whole zip if it is small and checked, else a stream. */
  body(): Uint8Array | ByteStream {
    return this.#whole ?? this.#stream();
  }

  /**
   * The bytes as one client reads them.
   *
   * @throws {Busy} the disk is full, and the beginning was dropped
   */
  #stream(): ByteStream {
    const { window } = this.#blob;
    if (window.hasLost)
      throw new Busy(`cannot give ${this.#name}: the disk is full, and its beginning is gone; try again`);
    const reader: Reader = { offset: 0, generation: this.#generation, size: this.#size };
    const sizeNow = () => this.#size;
    const blob = this.#blob;
    const { memory } = this.#options;
    // It reads on when the blob is whole, and may be dropped for want of room.
    const opened = {
      get blob() {
        return blob.id;
      },
    };
    return {
      get size() {
        return sizeNow();
      },
      at: (offset) => {
        memory.opened(opened);
        reader.offset = offset;
        window.moved(reader);
        return this.#at(offset, reader);
      },
      close: () => {
        memory.closed(opened);
        window.left(reader);
      },
    };
  }

  /** Clients may read up to here: to the end if the zip is checked, else to the start of the last chunk. */
  get #visible(): number {
    const { received } = this.#blob;
    if (this.#isWhole) return received;
    if (this.#size === undefined) return Math.max(0, received - CHUNK_BYTES);
    const lastStart = Math.floor(Math.max(0, this.#size - 1) / CHUNK_BYTES) * CHUNK_BYTES;
    return Math.min(received, lastStart);
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
    if (offset < visible) return this.#blob.read(offset, visible);
    if (this.#isWhole) return NOTHING;
    return this.#news.next().then(() => this.#at(offset, reader));
  }

  async #run(): Promise<Landed> {
    try {
      const { sources, resource, key, requestOptions, partial, store } = this.#options;
      // On a full disk nobody could check whether the rest fits the stored part.
      const isAdopting = partial !== undefined && store.full === undefined;
      const resume = isAdopting ? await this.#blob.adopt(partial) : undefined;
      const request = {
        resource,
        path: key,
        // The download itself refuses what is too long, as it must drop the stored part. A source only stops.
        bytesMax: this.#bytesMax + CHUNK_BYTES,
        ...(resume && { resume }),
        ...requestOptions,
      };
      for await (const event of sources.stream(request)) {
        if (event.kind === 'start') this.#start(event);
        else await this.#append(event);
      }
      return await this.#land();
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      this.#wake();
    }
  }

  #start(event: SourcedEvent & { kind: 'start' }): void {
    const { received } = this.#blob;
    if (event.offset === 0 && received > 0) {
      this.#blob.startAgain();
      this.#isPatched = false;
      this.#generation++;
    } else if (event.offset !== received) {
      throw new UpstreamFailed(`cannot go on with ${this.#name}: at ${event.offset} instead of ${received}`);
    }
    // The store does not say how the pieces of a partial were joined, and its validator belongs to the first answer.
    this.#isPatched ||= event.offset > 0;
    this.#size = event.size;
    this.#upstream = event.upstream;
    this.#source = event.source;
    this.#blob.describe(event);
    this.#refuseTooLong(event.size ?? 0);
    this.#refuseUncheckable();
    if (event.size !== undefined && event.size > CHUNK_BYTES) this.#onStarted();
    this.#wake();
  }

  async #append({ bytes, isPatched = false }: FetchEvent & { kind: 'bytes' }): Promise<void> {
    this.#isPatched ||= isPatched;
    this.#refuseTooLong(this.#blob.received + bytes.byteLength);
    this.#blob.append(bytes);
    this.#options.garbage.took(bytes);
    this.#refuseUncheckable();
    this.#wake();
    if (await this.#blob.waitForRoom()) return;
    throw new StoreFailed(
      `cannot keep ${this.#name}: ${this.#blob.refusal}, and no client waits for the rest`,
    );
  }

  get #bytesMax(): number {
    return this.#options.bytesMax ?? ZIP_BYTES_MAX;
  }

  /** Drops the stored part too: the next download would only go on to the same end. @throws {UpstreamFailed} */
  #refuseTooLong(bytes: number): void {
    if (bytes <= this.#bytesMax) return;
    this.#blob.drop();
    throw new UpstreamFailed(
      `cannot take ${this.#name} from ${this.#upstream}: larger than ${this.#bytesMax} bytes`,
    );
  }

  /** False: no checksum covers the zip and it came in one piece, so it may go out unchecked. */
  get #mustCheck(): boolean {
    const { confirm, isStrict } = this.#options;
    return confirm !== undefined || isStrict === true || this.#isPatched;
  }

  /** @throws {Busy} the zip must be checked, and there is no room for that */
  #refuseUncheckable(): void {
    if (!this.#mustCheck || this.#blob.canHoldWhole(this.#size)) return;
    throw this.#uncheckable();
  }

  #uncheckable(): Busy {
    return new Busy(
      `cannot give ${this.#name}: it must be checked, and it can't be stored for that: ${this.#blob.refusal}`,
    );
  }

  async #land(): Promise<Landed> {
    const size = this.#blob.received;
    const bytes = this.#blob.wholeBytes();
    if (bytes !== undefined) return this.#landWhole(bytes);
    const isStored = await this.#blob.flush();
    if (!isStored && this.#mustCheck) throw this.#uncheckable();
    const check = isStored ? await this.#check({ size }) : undefined;
    this.#finish();
    if (!isStored) return { size, ...this.#notStored(this.#blob.refusal) };
    const proof = await this.#proven(check);
    try {
      const { store, key, wallMs } = this.#options;
      const seal = { blob: this.#blob.id, key, size, source: this.source, nowMs: wallMs() };
      const sealed = await store.sealBlob({ ...seal, ...proof });
      this.#blob.becomes(sealed.blob);
      return { size, ...sealed, trust: proof.checked?.trust, body: undefined };
    } catch (error) {
      return { size, ...this.#notStored(error) };
    }
  }

  /** Lands a zip that is whole in memory: one call stores it, without a growing blob. */
  async #landWhole(bytes: Uint8Array): Promise<Landed> {
    const size = bytes.byteLength;
    const check = await this.#check({ size, bytes: bytes.slice() });
    if (size <= WHOLE_BODY_BYTES_MAX) this.#whole = bytes;
    this.#finish();
    const proof = await this.#proven(check);
    try {
      const { store, memory, garbage, key, wallMs } = this.#options;
      const put = {
        key,
        status: 200,
        source: this.source,
        nowMs: wallMs(),
        blob: this.#blob.id,
        bytes,
      };
      const { sha256, blob } = await store.putEntry({ ...put, ...proof });
      const landed = { size, sha256, blob, trust: proof.checked?.trust };
      if (blob === undefined) return { ...landed, body: bytes };
      if (size <= CHUNK_BYTES) {
        // A copy, as memory may free its piece while clients still read from `bytes`.
        memory.setPiece(blob, 0, bytes.slice());
        garbage.note(size);
      }
      return { ...landed, body: undefined };
    } catch (error) {
      return { size, ...this.#notStored(error), body: size <= CHUNK_BYTES ? bytes : undefined };
    }
  }

  #notStored(error: unknown): Omit<Landed, 'size'> {
    if (error instanceof Error && !isServeError(error)) throw error;
    this.#options.onNotStored(messageOf(error));
    return { sha256: '', blob: undefined, body: undefined };
  }

  /** Checks the zip's structure, and its h1 if a checksum covers it. Then clients may have it. A bad zip is dropped. */
  async #check(what: { size: number; bytes?: Uint8Array }): Promise<Check | undefined> {
    const { builder, resource, confirm } = this.#options;
    const how = { content: this.#isPatched, hash: confirm !== undefined };
    try {
      const zip = { module: resource.module, version: resource.version, blob: this.#blob.id };
      const { h1 } = await builder.checkZip({ ...zip, ...how, ...what }).catch((error: unknown) => {
        throw isServeError(error)
          ? serveError(error.kind, `cannot take ${this.#name} from ${this.#upstream}: ${messageOf(error)}`)
          : error;
      });
      const check = h1 === undefined ? undefined : confirm?.(h1, this.#upstream);
      await check?.passed;
      return check;
    } catch (error) {
      this.#blob.drop();
      throw error;
    }
  }

  /** The check's result, to be stored with the zip. It may come later than the clients' permission to read it. */
  async #proven(check: Check | undefined): Promise<{ checked?: Checked }> {
    if (check === undefined) return {};
    try {
      return { checked: await check.checked };
    } catch (error) {
      this.#blob.drop();
      throw error;
    }
  }

  #finish(): void {
    this.#isWhole = true;
    this.#size = this.#blob.received;
    this.#wake();
  }

  #wake(): void {
    if (this.#isWhole || this.#visible > 0) this.#onStarted();
    this.#news.call();
  }

  get #name(): string {
    return quote(this.#options.key);
  }
}

const NOTHING = new Uint8Array(0);
