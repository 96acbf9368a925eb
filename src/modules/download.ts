/**
 * One zip on its way in: bytes go to waiting clients as they come, and to the store.
 *
 *     upstream ──bytes──▶ growing blob ──whole──▶ check ──good──▶ sealed under its key
 *                              └──▶ clients, each at its pace, up to the last chunk
 *
 * The last chunk is held back until the whole is checked, so that no client ever gets a clean end
 * of a wrong body. Nothing points to the blob until then. What is stored of a download that broke
 * stays, and the next one of that key goes on from there.
 *
 * On a full disk the bytes pass through a window. A zip that has to be checked is refused there as soon as it
 * cannot be: its clients get an error, or a cut connection. Others pass unchecked, in one piece: `go` holds them
 * against its go.sum.
 */

import type { ByteStream } from '../core/answer.ts';
import { Busy, isServeError, messageOf, StoreFailed, serveError, UpstreamFailed } from '../core/errors.ts';
import { CHUNK_BYTES, WHOLE_BODY_BYTES_MAX, ZIP_BYTES_MAX } from '../core/limits.ts';
import type { FetchEvent, ModuleRequest, SourceName } from '../core/ports.ts';
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
  /** Goes to the source with the request. */
  readonly requestOptions: Pick<ModuleRequest, 'via' | 'avoid'>;
  readonly partial: PartialRow | undefined;
  readonly store: Store;
  readonly builder: Builder;
  readonly sources: Pick<Sources, 'stream'>;
  readonly garbage: YoungGarbage;
  /** Holds the zip's h1 against the checksum database; fails where it must not be kept. */
  readonly confirm?: (h1: string, upstream: string) => Check;
  /** No byte of it may go out unchecked, though no checksum covers it. */
  readonly isStrict?: boolean;
  /** Told why a good zip could not be stored. */
  readonly onNotStored: (why: string) => void;
};

/** What came of a download, for the key to point to. */
export type Landed = {
  readonly size: number;
  /** Empty where it could not be stored. */
  readonly sha256: string;
  readonly blob: number | undefined;
  /** All of it, where it is less than a chunk. */
  readonly body: Uint8Array | undefined;
  /** The checksum database's word, where it was asked. */
  readonly trust?: Trust | undefined;
};

/** One client: where it reads, the size in its header, and which start from 0 its bytes are of. */
type Reader = Position & { generation: number; readonly size: number | undefined };

export class Download {
  /**
   * When the upstream has begun to answer; what may be less than a chunk is awaited whole, as none of
   * it can go out before it is checked. Rejects with why nothing came of it: a clear error, no cut.
   */
  readonly started: Promise<void>;
  /** When the whole is checked, and committed where it can be. */
  readonly landed: Promise<Landed>;
  readonly #options: DownloadOptions;
  readonly #blob: GrowingBlob;
  #size: number | undefined;
  #upstream = '';
  #source: SourceName | undefined;
  /** Whether some of it was joined to the rest without a strong validator: then its CRCs decide. */
  #isPatched = false;
  /** Counts starts from 0: a client with bytes of an earlier one can't go on. */
  #generation = 0;
  #isWhole = false;
  /** All of it, checked, where it is small. */
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
    this.landed.catch(() => {}); // Whoever waits sees it; the service logs it.
    this.started = Promise.race([begun, this.landed.then(() => {})]);
    this.started.catch(() => {});
  }

  /** The server or repository that gives it, for logs. */
  get upstream(): string {
    return this.#upstream;
  }

  /** The kind of place it comes from, once it has begun. */
  get source(): SourceName {
    if (this.#source === undefined) throw new Error(`${this.#name} has not begun`);
    return this.#source;
  }

  /** For one client: what is small and checked as it is, else the bytes as that client reads them. */
  body(): Uint8Array | ByteStream {
    return this.#whole ?? this.#stream();
  }

  /**
   * The bytes as one client reads them.
   *
   * @throws {Busy} its beginning was not stored, for want of room, and is gone
   */
  #stream(): ByteStream {
    const { window } = this.#blob;
    if (window.hasLost)
      throw new Busy(`cannot give ${this.#name}: it is passed through, as the disk is full`);
    const reader: Reader = { offset: 0, generation: this.#generation, size: this.#size };
    const sizeNow = () => this.#size;
    return {
      get size() {
        return sizeNow();
      },
      at: (offset) => {
        reader.offset = offset;
        window.moved(reader);
        return this.#at(offset, reader);
      },
      close: () => window.left(reader),
    };
  }

  /** How far clients may read: all of it when it is checked, else not into the last chunk. */
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
      // On a full disk it could not be checked whether the rest fits to what is stored.
      const isAdopting = partial !== undefined && store.full === undefined;
      const resume = isAdopting ? await this.#blob.adopt(partial) : undefined;
      const request = {
        resource,
        path: key,
        bytesMax: ZIP_BYTES_MAX,
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
    // The store does not say how the pieces of a partial were joined, and its validator is of the first answer alone.
    this.#isPatched ||= event.offset > 0;
    this.#size = event.size;
    this.#upstream = event.upstream;
    this.#source = event.source;
    this.#blob.describe(event);
    this.#refuseUncheckable();
    if (event.size !== undefined && event.size > CHUNK_BYTES) this.#onStarted();
    this.#wake();
  }

  async #append({ bytes, isPatched = false }: FetchEvent & { kind: 'bytes' }): Promise<void> {
    this.#isPatched ||= isPatched;
    this.#blob.append(bytes);
    this.#options.garbage.took(bytes);
    this.#refuseUncheckable();
    this.#wake();
    if (await this.#blob.waitForRoom()) return;
    throw new StoreFailed(`cannot keep ${this.#name}: no room to store it, and nobody waits for it`);
  }

  /** Only a zip that no checksum covers, and that came in one piece, may go out without a look into it. */
  get #mustCheck(): boolean {
    const { confirm, isStrict } = this.#options;
    return confirm !== undefined || isStrict === true || this.#isPatched;
  }

  /** @throws {Busy} there is no room to check what must be checked */
  #refuseUncheckable(): void {
    if (!this.#mustCheck || this.#blob.canHoldWhole(this.#size)) return;
    throw this.#uncheckable();
  }

  #uncheckable(): Busy {
    return new Busy(
      `cannot give ${this.#name}: it must be checked, and the disk is too full to keep it for that`,
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
    if (!isStored) return { size, ...this.#notStored('no room') };
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

  /** None of it went to the store: one call keeps it, and no growing blob is made. */
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
        // A copy: its clients read on from the one here, which must not be given back before they are done.
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

  /** Its form, and its h1 where that is asked for: clients may have all of it. What fails is dropped. */
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

  /** What to keep it with, which may be known a little later than that clients may have it. */
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
    return JSON.stringify(this.#options.key);
  }
}

const NOTHING = new Uint8Array(0);
