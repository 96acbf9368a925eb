/**
 * The module proxy's answers, without HTTP.
 *
 *     memory ─▶ store ─▶ upstream
 *
 * One flight per key over all of it (`fetch:`); it contains a read of its own (`read:`), which
 * is all that a client who must not go out gets to join. What may change has a time; when that
 * is over the upstream is asked again, and the client waits for it only so long (DESIGN, Freshness).
 * A stored answer wins over any failure; a failure is never remembered.
 */

import { type Answer, type Origin, StoredFile } from '../core/answer.ts';
import { Forbidden, type Gone, isServeError, messageOf, NotFound, UpstreamDown } from '../core/errors.ts';
import { matchPrefixPatterns } from '../core/glob.ts';
import { SMALL_BYTES_MAX } from '../core/limits.ts';
import type { Clock, Upstream } from '../core/ports.ts';
import { isImmutable, type Resource, resourceKey } from '../core/resource.ts';
import type { Builder, PartialRow, Store } from '../core/store-port.ts';
import type { Singleflight } from '../flight/singleflight.ts';
import type { Events } from '../observe/events.ts';
import { computeAnswer } from './computed.ts';
import { Download } from './download.ts';
import type { LastUse } from './last-use.ts';
import type { Memory } from './memory.ts';
import { checkSmall } from './small-check.ts';

export type ModuleProxyOptions = {
  readonly store: Store;
  readonly builder: Builder;
  readonly upstream: Upstream;
  readonly memory: Memory;
  /** Flights of the `read:` and `fetch:` key spaces. */
  readonly reads: Singleflight<Read>;
  readonly fetches: Singleflight<Found>;
  readonly lastUse: LastUse;
  readonly clock: Clock;
  readonly events: Events;
  readonly listTtlMs: number;
  readonly negativeTtlMs: number;
  readonly staleWaitMs: number;
  readonly isOffline: boolean;
  /** GOPRIVATE patterns: these reach no upstream. */
  readonly privatePatterns: string;
};

export type ProxyRequest = {
  readonly resource: Resource;
  /** False: answer from what is stored. */
  readonly mayFetch: boolean;
  readonly isHead: boolean;
  /** The client's `Via`, passed on so that loops are seen. */
  readonly via: string | undefined;
};

/** What a flight brings: a file that is there, or one that is coming. */
export type Found = { readonly file: StoredFile; readonly origin: Origin } | { readonly download: Download };

type Versioned = Extract<Resource, { readonly version: unknown }>;

export type Read = { readonly file: StoredFile | undefined; readonly partial: PartialRow | undefined };

export class ModuleProxy {
  readonly #options: ModuleProxyOptions;

  constructor(options: ModuleProxyOptions) {
    this.#options = options;
  }

  /** The fresh file under `key` whose body is in memory as a whole: the hot path, without a promise. */
  peek(key: string): StoredFile | undefined {
    const file = this.#options.memory.file(key);
    return file?.body !== undefined && this.#isFresh(file) ? file : undefined;
  }

  /** @throws any of `core/errors.ts` but BadRequest */
  async get(request: ProxyRequest): Promise<Answer> {
    const { resource } = request;
    const key = resourceKey(resource);
    const { memory, fetches, privatePatterns } = this.#options;
    if (matchPrefixPatterns(privatePatterns, resource.module)) {
      throw new Forbidden(
        `cannot give ${JSON.stringify(key)}: ${JSON.stringify(resource.module)} is private here (--private), and this Astera does not fetch from Git`,
      );
    }
    const held = memory.file(key);
    if (held !== undefined && this.#isFresh(held)) return this.#answer({ file: held, origin: 'memory' });
    if (!request.mayFetch || this.#options.isOffline)
      return this.#answer(await this.#storedOnly(resource, key));
    if (request.isHead && held === undefined) return this.#head(request, key);
    const found = await fetches.do(`fetch:${key}`, (hold) => this.#bring(request, key, hold));
    return this.#answer(found);
  }

  #isFresh(file: StoredFile): boolean {
    return file.freshUntilMs === Infinity || file.freshUntilMs > this.#options.clock.monotonicMs();
  }

  #answer(found: Found): Answer {
    if ('download' in found) {
      const { download } = found;
      const body = download.stream();
      return { kind: 'zip', status: 200, origin: 'upstream', size: body.size, sha256: undefined, body };
    }
    const { file, origin } = found;
    const { kind, status, size, blob } = file;
    const body = file.body ?? (blob === undefined ? undefined : this.#options.memory.stream(blob, size));
    return { kind, status, origin, size, sha256: file.sha256 || undefined, body };
  }

  /** A flight's work: what is known and fresh, else what the upstream says, else what is known. */
  async #bring(request: ProxyRequest, key: string, hold: (until: Promise<unknown>) => void): Promise<Found> {
    const held = this.#options.memory.file(key);
    const { file, partial } = held === undefined ? await this.#read(request.resource, key) : { file: held };
    if (file === undefined) return this.#fetch(request, key, { partial, known: undefined }, hold);
    if (this.#isFresh(file)) return { file, origin: held === undefined ? 'store' : 'memory' };
    let held2: Promise<unknown> = Promise.resolve();
    const refresh = this.#fetch(request, key, { partial, known: file }, (until) => {
      held2 = until;
    });
    hold(refresh.then(() => held2));
    return this.#freshOrStale(refresh, file, key);
  }

  /** Waits for a refresh up to `staleWaitMs`; without an answer by then, or at a failure, what is stored goes out. */
  async #freshOrStale(refresh: Promise<Found>, file: StoredFile, key: string): Promise<Found> {
    const stale: Found = { file, origin: 'stale' };
    const orStale = refresh.catch((error: unknown): Found => {
      if (!isServeError(error)) throw error;
      this.#options.events.keptStale(key, messageOf(error));
      return stale;
    });
    if (this.#options.upstream.isDown) return stale;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<Found>((resolve) => {
      timer = setTimeout(resolve, this.#options.staleWaitMs, stale);
    });
    return Promise.race([orStale, patience]).finally(() => clearTimeout(timer));
  }

  #read(resource: Resource, key: string): Promise<Read> {
    const { reads, store, memory, lastUse, clock } = this.#options;
    return reads.do(`read:${key}`, async () => {
      const { entry, partial, bytes } = await store.getEntry({ key });
      if (entry === undefined) return { file: undefined, partial };
      const isWhole = bytes !== undefined && bytes.byteLength === entry.size;
      const file = new StoredFile({
        kind: resource.kind,
        status: entry.status as StoredFile['status'], // The table's own CHECK.
        size: entry.size,
        body: isWhole ? bytes : undefined,
        blob: entry.blob,
        sha256: entry.sha256,
        freshUntilMs: this.#freshUntil(resource, entry.status, entry.checkedAtMs),
      });
      if (!isWhole && entry.blob !== undefined && bytes !== undefined) memory.setPiece(entry.blob, 0, bytes);
      memory.setFile(key, file);
      lastUse.note(key, entry.usedAtMs, clock.wallMs());
      return { file, partial };
    });
  }

  #freshUntil(resource: Resource, status: number, checkedAtMs: number): number {
    if (status === 200 && isImmutable(resource)) return Infinity;
    const { clock, listTtlMs, negativeTtlMs } = this.#options;
    const ageMs = clock.wallMs() - checkedAtMs;
    if (ageMs < 0) return 0; // From the future: the clock was wrong, then or now. Never fresh.
    return clock.monotonicMs() + (status === 200 ? listTtlMs : negativeTtlMs) - ageMs;
  }

  async #storedOnly(resource: Resource, key: string): Promise<Found> {
    const { memory, store } = this.#options;
    const held = memory.file(key);
    if (held !== undefined) return { file: held, origin: 'memory' };
    const { file } = await this.#read(resource, key);
    if (file !== undefined) return { file, origin: 'store' };
    const computed = await computeAnswer(store, resource);
    if (computed !== undefined) return { file: computed, origin: 'computed' };
    throw new NotFound(
      `cannot find ${JSON.stringify(key)}: not stored, and the request or --offline forbids to ask`,
    );
  }

  async #head(request: ProxyRequest, key: string): Promise<Answer> {
    const { file } = await this.#read(request.resource, key);
    if (file !== undefined && (this.#isFresh(file) || file.status === 200)) {
      return this.#answer({ file, origin: this.#isFresh(file) ? 'store' : 'stale' });
    }
    const { size } = await this.#options.upstream.head({
      path: key,
      bytesMax: SMALL_BYTES_MAX,
      ...via(request),
    });
    return {
      kind: request.resource.kind,
      status: 200,
      origin: 'upstream',
      size,
      sha256: undefined,
      body: undefined,
    };
  }

  async #fetch(
    request: ProxyRequest,
    key: string,
    have: { readonly partial: PartialRow | undefined; readonly known: StoredFile | undefined },
    hold: (until: Promise<unknown>) => void,
  ): Promise<Found> {
    try {
      if (request.resource.kind === 'zip')
        return await this.#fetchZip(request, request.resource, key, have.partial, hold);
      return await this.#fetchSmall(request, key, have.known, hold);
    } catch (error) {
      if (!isServeError(error)) throw error;
      if (error.kind === 'not-found' || error.kind === 'gone')
        return this.#absent(request, key, error, have.known, hold);
      if (have.known !== undefined || !(error instanceof UpstreamDown)) throw error;
      const computed = await computeAnswer(this.#options.store, request.resource);
      if (computed === undefined) throw error;
      this.#options.events.keptStale(key, messageOf(error));
      return { file: computed, origin: 'computed' };
    }
  }

  async #fetchSmall(
    request: ProxyRequest,
    key: string,
    known: StoredFile | undefined,
    hold: (until: Promise<unknown>) => void,
  ): Promise<Found> {
    const { upstream, store, clock, events } = this.#options;
    const { resource } = request;
    const startedMs = clock.monotonicMs();
    const fetched = await upstream.whole({ path: key, bytesMax: SMALL_BYTES_MAX, ...via(request) });
    checkSmall(resource, key, fetched.bytes);
    const nowMs = clock.wallMs();
    events.fetched(key, fetched.upstream, fetched.bytes.byteLength, clock.monotonicMs() - startedMs);
    if (
      known?.body !== undefined &&
      known.status === 200 &&
      Buffer.compare(known.body, fetched.bytes) === 0
    ) {
      known.freshUntilMs = this.#freshUntil(resource, 200, nowMs);
      hold(this.#kept(key, store.confirmEntry({ key, nowMs })));
      return { file: known, origin: 'upstream' };
    }
    const file = this.#hold(request, key, 200, fetched.bytes);
    const put = {
      key,
      status: 200,
      source: 'upstream',
      nowMs,
      blob: store.nextBlob(),
      bytes: fetched.bytes,
    } as const;
    hold(
      this.#kept(
        key,
        store.putEntry(put).then((stored) => file.stored(stored)),
      ),
    );
    return { file, origin: 'upstream' };
  }

  async #fetchZip(
    request: ProxyRequest,
    resource: Versioned,
    key: string,
    partial: PartialRow | undefined,
    hold: (until: Promise<unknown>) => void,
  ): Promise<Found> {
    const { store, builder, upstream, memory, clock, events } = this.#options;
    const { module, version } = resource;
    const startedMs = clock.monotonicMs();
    const download = new Download({
      key,
      module,
      version,
      via: request.via,
      partial,
      store,
      builder,
      upstream,
      memory,
      wallMs: () => clock.wallMs(),
      onNotStored: (why) => events.notStored(key, why),
    });
    const landed = download.landed.then(
      (zip) => {
        const isServable = zip.blob !== undefined || zip.body !== undefined;
        const file = new StoredFile({ kind: 'zip', status: 200, freshUntilMs: Infinity, ...zip });
        if (isServable) memory.setFile(key, file);
        events.fetched(key, download.upstream, zip.size, clock.monotonicMs() - startedMs);
      },
      (error: unknown) => events.fetchFailed(key, messageOf(error)),
    );
    hold(landed);
    await download.started;
    return { download };
  }

  /** The upstream has it not: kept for its time, unless a good answer is stored, which wins. */
  #absent(
    request: ProxyRequest,
    key: string,
    error: NotFound | Gone,
    known: StoredFile | undefined,
    hold: (until: Promise<unknown>) => void,
  ): Found {
    const { store, clock, negativeTtlMs, events } = this.#options;
    const nowMs = clock.wallMs();
    if (known?.status === 200) {
      events.keptStale(key, messageOf(error));
      known.freshUntilMs = clock.monotonicMs() + negativeTtlMs;
      return { file: known, origin: 'stale' };
    }
    const status = error.kind === 'gone' ? 410 : 404;
    const bytes = new TextEncoder().encode(messageOf(error));
    const file = this.#hold(request, key, status, bytes);
    const put = { key, status, source: 'upstream', nowMs, blob: store.nextBlob(), bytes } as const;
    hold(
      this.#kept(key, known?.status === status ? store.confirmEntry({ key, nowMs }) : store.putEntry(put)),
    );
    return { file, origin: 'upstream' };
  }

  #hold(request: ProxyRequest, key: string, status: StoredFile['status'], bytes: Uint8Array): StoredFile {
    const { clock, memory } = this.#options;
    const file = new StoredFile({
      kind: request.resource.kind,
      status,
      size: bytes.byteLength,
      body: bytes,
      blob: undefined,
      sha256: '',
      freshUntilMs: this.#freshUntil(request.resource, status, clock.wallMs()),
    });
    memory.setFile(key, file);
    return file;
  }

  /** What could not be stored is served all the same; the log says so. */
  #kept(key: string, stored: Promise<unknown>): Promise<unknown> {
    return stored.catch((error: unknown) => this.#options.events.notStored(key, messageOf(error)));
  }
}

function via(request: ProxyRequest): { via?: string } {
  return request.via === undefined ? {} : { via: request.via };
}
