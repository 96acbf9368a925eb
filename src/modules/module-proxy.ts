/**
 * The module proxy's answers, without HTTP.
 *
 *     memory ─▶ store ─▶ upstream
 *
 * Two flights a key, one after the other: `read:`, and for what that does not bring fresh `fetch:`. Who must
 * not go out joins the first alone. What may change has a time; when that is over the upstream is
 * asked again, and the client waits for it only so long (DESIGN, Freshness).
 * A stored answer wins over any failure; a failure is never remembered.
 */

import { type Answer, StoredFile } from '../core/answer.ts';
import { isServeError, messageOf, NotFound, type ServeError } from '../core/errors.ts';
import { SMALL_BYTES_MAX, WHOLE_BODY_BYTES_MAX } from '../core/limits.ts';
import { type Resource, resourceKey } from '../core/resource.ts';
import type { EntryRow, PartialRow } from '../core/store-port.ts';
import type { Singleflight } from '../flight/singleflight.ts';
import { computeAnswer } from './computed.ts';
import { type Errand, Fetcher, type FetcherOptions, type Found } from './fetcher.ts';
import type { LastUse } from './last-use.ts';
import { Overdue } from './overdue.ts';
import type { StoredCheck } from './stored-check.ts';

export type ModuleProxyOptions = FetcherOptions & {
  /** Flights of the `read:` and `fetch:` key spaces. */
  readonly reads: Singleflight<Read>;
  readonly fetches: Singleflight<Found>;
  readonly lastUse: LastUse;
  readonly staleWaitMs: number;
  readonly isOffline: boolean;
  readonly storedCheck: Pick<StoredCheck, 'settle'>;
};

export type ProxyRequest = {
  readonly resource: Resource;
  /** The resource's own: see `resourceKey`. */
  readonly key: string;
  /** False: answer from what is stored. */
  readonly mayFetch: boolean;
  readonly isHead: boolean;
  /** The client's `Via`, passed on so that loops are seen. */
  readonly via: string | undefined;
};

export type Read = {
  readonly file: StoredFile | undefined;
  readonly partial: PartialRow | undefined;
  /** What is stored, where that is as good as nothing as long as it is not confirmed. */
  readonly distrusted?: EntryRow;
};

export class ModuleProxy {
  readonly #options: ModuleProxyOptions;
  readonly #fetcher: Fetcher;
  readonly #overdue = new Overdue();

  constructor(options: ModuleProxyOptions) {
    this.#options = options;
    this.#fetcher = new Fetcher(options);
  }

  /** The fresh file under `key`: the hot path, without a promise. */
  peek(key: string): StoredFile | undefined {
    const { memory, freshness } = this.#options;
    const file = memory.file(key);
    return file !== undefined && freshness.isFresh(file) ? file : undefined;
  }

  /**
   * All of a file's body of up to WHOLE_BODY_BYTES_MAX, where it is in memory. A zip's is lent for this
   * turn of the event loop.
   */
  bodyNow({ body, blob, size }: StoredFile): Uint8Array | undefined {
    if (size > WHOLE_BODY_BYTES_MAX) return undefined;
    if (body !== undefined || blob === undefined) return body;
    const bytes = this.#options.memory.heldPiece(blob, 0)?.bytes;
    return bytes?.byteLength === size ? bytes : undefined;
  }

  /** @throws any of `core/errors.ts` but BadRequest */
  async get(request: ProxyRequest): Promise<Answer> {
    const { resource, key } = request;
    const { memory, fetches, freshness } = this.#options;
    this.#options.sources.of(resource);
    const held = memory.file(key);
    if (held !== undefined && freshness.isFresh(held)) return this.#answer({ file: held, origin: 'memory' });
    if (!request.mayFetch || this.#options.isOffline)
      return this.#answer(await this.#storedOnly(resource, key));
    if (request.isHead && held === undefined) return this.#head(request);
    // Who comes while that is fetched need not read: what is fetched is newer.
    if (held !== undefined || fetches.has(`fetch:${key}`)) return this.#answer(await this.#fetched(request));
    const read = await this.#read(request);
    if (read.file !== undefined && freshness.isFresh(read.file))
      return this.#answer({ file: read.file, origin: 'store' });
    return this.#answer(await this.#fetched(request, read));
  }

  /**
   * What the flight that asks the upstream brings.
   *
   * @param read what was read this very moment: nothing was awaited since, so that no fetch can have come and gone
   */
  #fetched(request: ProxyRequest, read?: Read): Promise<Found> {
    const { key, via } = request;
    const { fetches, ingest } = this.#options;
    ingest.admit(key);
    if (!via?.includes('astera-') || !fetches.has(`fetch:${key}`)) return this.#fly(request, read);
    return this.#refuseLoop(request, via).then(() => this.#fly(request, undefined));
  }

  #fly({ resource, key, via }: ProxyRequest, before: Read | undefined): Promise<Found> {
    const { fetches } = this.#options;
    return fetches.do(`fetch:${key}`, (hold) => this.#bring({ resource, key, via, hold }, before));
  }

  /**
   * Another Astera asks for what we are just asking for ourselves. If it is our upstream, each would wait
   * for the other: so the upstream is asked, by HEAD, whether the request has been there before.
   *
   * @throws {Loop} it has
   */
  async #refuseLoop({ resource, key }: ProxyRequest, via: string): Promise<void> {
    try {
      await this.#options.sources.head({ resource, path: key, bytesMax: SMALL_BYTES_MAX, via });
    } catch (error) {
      if (isServeError(error) && error.kind === 'loop') throw error;
    }
  }

  #answer(found: Found): Answer {
    if ('download' in found) {
      const body = found.download.body();
      const size = body instanceof Uint8Array ? body.byteLength : body.size;
      return { kind: 'zip', status: 200, origin: found.download.source, size, sha256: undefined, body };
    }
    const { file, origin } = found;
    const { kind, status, size, blob } = file;
    const body = file.body ?? (blob === undefined ? undefined : this.#options.memory.stream(blob, size));
    return { kind, status, origin, size, sha256: file.sha256 || undefined, body };
  }

  /** A flight's work: what is known and fresh, else what the upstream says, else what is known. */
  async #bring(errand: Errand, before: Read | undefined): Promise<Found> {
    const { memory, freshness } = this.#options;
    const held = memory.file(errand.key);
    const { file, partial } =
      held === undefined
        ? await this.#confirmed(errand, before ?? (await this.#read(errand)))
        : { file: held };
    if (file === undefined) return this.#fetch(errand, partial, undefined);
    if (freshness.isFresh(file)) return { file, origin: held === undefined ? 'store' : 'memory' };
    let until: Promise<unknown> = Promise.resolve();
    const hold = (kept: Promise<unknown>) => {
      until = kept;
    };
    const refresh = this.#fetch({ ...errand, hold }, partial, file);
    errand.hold(refresh.then(() => until));
    return this.#freshOrStale(refresh, file, errand);
  }

  /** Waits for a refresh up to `staleWaitMs`; without an answer by then, or at a failure, what is stored goes out. */
  #freshOrStale(refresh: Promise<Found>, file: StoredFile, { resource, key }: Errand): Promise<Found> {
    const { events, sources, staleWaitMs } = this.#options;
    const stale: Found = { file, origin: 'stale' };
    const orStale = refresh.catch((error: unknown): Found => {
      if (!isServeError(error)) throw error;
      events.keptStale(key, messageOf(error));
      return stale;
    });
    const isSilent = sources.isDown(resource) || this.#overdue.isSilent;
    this.#overdue.watch(refresh);
    if (isSilent) {
      orStale.catch(() => {}); // A bug in the refresh is not this client's.
      return Promise.resolve(stale);
    }
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<Found>((resolve) => {
      timer = setTimeout(() => {
        this.#overdue.add(refresh);
        resolve(stale);
      }, staleWaitMs);
    });
    return Promise.race([orStale, patience]).finally(() => clearTimeout(timer));
  }

  /** What is stored and not confirmed is held against the database before it is fetched anew over the line. */
  async #confirmed(errand: Errand, read: Read): Promise<Read> {
    if (read.distrusted === undefined) return read;
    const { trust, sha256 } = read.distrusted;
    const { key } = errand;
    try {
      const row = { key, trust, sha256, h1: undefined, unknownTimes: undefined };
      return (await this.#options.storedCheck.settle(row)) === 'confirmed' ? await this.#read(errand) : read;
    } catch (error) {
      if (!isServeError(error)) throw error;
      this.#options.events.housekeepingFailed(`cannot check ${JSON.stringify(key)}: ${messageOf(error)}`);
      return read;
    }
  }

  #read({ resource, key }: Pick<Errand, 'resource' | 'key'>): Promise<Read> {
    const { reads, store, memory, lastUse, clock, freshness, ingest } = this.#options;
    return reads.do(`read:${key}`, async () => {
      const { entry, partial, bytes } = await store.getEntry({ key });
      if (entry === undefined) return { file: undefined, partial };
      if (ingest.distrusts(resource, entry)) return { file: undefined, partial, distrusted: entry };
      // Memory frees a zip's chunks by hand; the few other files of that size may wait for the collector.
      const isWhole =
        entry.blob === undefined || (resource.kind !== 'zip' && entry.size <= WHOLE_BODY_BYTES_MAX);
      const file = new StoredFile({
        kind: resource.kind,
        status: entry.status as StoredFile['status'], // The table's own CHECK.
        size: entry.size,
        body: isWhole ? bytes : undefined,
        blob: entry.blob,
        sha256: entry.sha256,
        freshUntilMs: freshness.until(resource, entry.status, entry.checkedAtMs),
      });
      if (!isWhole && entry.blob !== undefined && bytes !== undefined) memory.setPiece(entry.blob, 0, bytes);
      memory.setFile(key, file);
      file.usedAtMs = entry.usedAtMs;
      lastUse.note(key, file, clock.wallMs());
      return { file, partial };
    });
  }

  async #storedOnly(resource: Resource, key: string): Promise<Found> {
    const { memory, store } = this.#options;
    const held = memory.file(key);
    if (held !== undefined) return { file: held, origin: 'memory' };
    const { file } = await this.#read({ resource, key });
    if (file !== undefined) return { file, origin: 'store' };
    const computed = await computeAnswer(store, resource);
    if (computed !== undefined) return { file: computed, origin: 'computed' };
    throw new NotFound(
      `cannot find ${JSON.stringify(key)}: not stored, and the request or --offline forbids to ask`,
    );
  }

  async #head({ resource, key, via }: ProxyRequest): Promise<Answer> {
    const { freshness, sources } = this.#options;
    const { file } = await this.#read({ resource, key });
    if (file !== undefined && (freshness.isFresh(file) || file.status === 200)) {
      return this.#answer({ file, origin: freshness.isFresh(file) ? 'store' : 'stale' });
    }
    try {
      const asked = { resource, path: key, bytesMax: SMALL_BYTES_MAX, ...(via !== undefined && { via }) };
      const { size, source } = await sources.head(asked);
      return {
        kind: resource.kind,
        status: 200,
        origin: source,
        size,
        sha256: undefined,
        body: undefined,
      };
    } catch (error) {
      if (!isServeError(error)) throw error;
      if (file !== undefined) return this.#answer({ file, origin: 'stale' });
      return this.#answer(await this.#computed(resource, error));
    }
  }

  /** @throws {ServeError} `error`: it says more than that nobody could be asked, or nothing is stored to compute from */
  async #computed(resource: Resource, error: ServeError): Promise<Found> {
    const file =
      error.kind === 'upstream-down' ? await computeAnswer(this.#options.store, resource) : undefined;
    if (file === undefined) throw error;
    this.#options.events.keptStale(resourceKey(resource), messageOf(error));
    return { file, origin: 'computed' };
  }

  async #fetch(
    errand: Errand,
    partial: PartialRow | undefined,
    known: StoredFile | undefined,
  ): Promise<Found> {
    const { resource, key } = errand;
    try {
      if (resource.kind === 'zip') return await this.#fetcher.zip(errand, resource, partial);
      return await this.#fetcher.small(errand, known);
    } catch (error) {
      if (!isServeError(error)) throw error;
      if (error.kind === 'not-found' || error.kind === 'gone')
        return this.#fetcher.absent(errand, error, known);
      if (resource.kind !== 'zip') this.#options.events.fetchFailed(key, error); // A zip's landing tells it.
      if (known !== undefined) throw error;
      return await this.#computed(resource, error);
    }
  }
}
