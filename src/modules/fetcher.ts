/**
 * The work of a fetch flight: it fetches a file from the source, checks it, stores it and puts it into memory.
 *
 * It fetches only the file that was asked for: a missing go.mod never downloads a zip.
 */

import { StoredFile, type VisibilityOf } from '../core/answer.ts';
import { type Gone, isServeError, messageOf, type NotFound, type ServeError } from '../core/errors.ts';
import { SMALL_BYTES_MAX } from '../core/limits.ts';
import type { ModulePath } from '../core/module-path.ts';
import type { Clock, Fetched, SourceName } from '../core/ports.ts';
import { type Resource, resourceKey } from '../core/resource.ts';
import type { Builder, Checked, PartialRow, Store } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';
import type { Hold } from '../flight/read-through.ts';
import type { YoungGarbage } from '../flight/young-garbage.ts';
import { hashGoMod } from '../modzip/go-mod-hash.ts';
import type { Events } from '../observe/events.ts';
import type { Check, CheckedIngest } from './checked-ingest.ts';
import { Download } from './download.ts';
import type { Downloads } from './downloads.ts';
import type { Found } from './found.ts';
import type { Freshness } from './freshness.ts';
import { checkSmall } from './small-check.ts';
import type { FromSource, Sources } from './sources.ts';

export type FetcherOptions = {
  readonly store: Store;
  readonly builder: Builder;
  readonly sources: Sources;
  readonly memory: Memory;
  readonly garbage: YoungGarbage;
  readonly freshness: Freshness;
  readonly ingest: CheckedIngest;
  readonly clock: Clock;
  readonly events: Events;
  readonly negativeTtlMs: number;
  readonly visibilityOf: VisibilityOf;
  /** Told of each zip that comes. */
  readonly downloads: Pick<Downloads, 'note'>;
  /** Told of a list with another content than the one before, and of the time at which that one still held. */
  readonly onListChanged?: (change: ListChange) => void;
};

/** Two contents of a module's list. `beforeMs`: Unix time; 0 if it is not known. */
export type ListChange = {
  readonly module: ModulePath;
  readonly before: Uint8Array;
  readonly beforeMs: number;
  readonly after: Uint8Array;
};

/** The fetch of one key, for one flight. */
export type FetchJob = {
  readonly resource: Resource;
  readonly key: string;
  /** The client's `Via`, passed on so that loops are seen. */
  readonly via: string | undefined;
  /** Keeps the key taken until the file is stored. The answer may go out before. */
  readonly hold: Hold;
};

type Versioned = Extract<Resource, { readonly version: unknown }>;

/** A small file from a source, and when it was asked for. */
type Taken = Fetched & FromSource & { readonly startedMs: number };

export class Fetcher {
  readonly #options: FetcherOptions;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  /** Fetches a small file, checks it and puts it into memory. It is stored before its key is free. */
  async small(job: FetchJob, known: StoredFile | undefined): Promise<Found> {
    const { sources } = this.#options;
    const fetched = await this.#whole(job, sources);
    try {
      return await this.#take(job, fetched, known);
    } catch (error) {
      if (fetched.source !== 'bucket' || !isServeError(error)) throw error;
      this.#refuse(job, error);
      return this.#take(job, await this.#whole(job, sources.without('bucket')), known);
    }
  }

  /** The `.info` or go.mod of a version, if a source gives it: it is not kept. */
  async tryWhole(resource: Versioned): Promise<Uint8Array | undefined> {
    const path = resourceKey(resource);
    try {
      const { bytes } = await this.#options.sources.whole({ resource, path, bytesMax: SMALL_BYTES_MAX });
      checkSmall(resource, path, bytes);
      return bytes;
    } catch (error) {
      if (isServeError(error)) return undefined;
      throw error;
    }
  }

  async #whole(job: FetchJob, sources: Sources): Promise<Taken> {
    const { resource, key } = job;
    const startedMs = this.#options.clock.monotonicMs();
    const request = { resource, path: key, bytesMax: SMALL_BYTES_MAX, ...this.#requestOptions(job) };
    return { ...(await sources.whole(request)), startedMs };
  }

  async #take(job: FetchJob, fetched: Taken, known: StoredFile | undefined): Promise<Found> {
    const { store, clock, events, freshness, ingest } = this.#options;
    const { resource, key } = job;
    const { source, startedMs } = fetched;
    checkSmall(resource, key, fetched.bytes);
    // Not earlier: the checksum database must hear only of versions that the source has.
    ingest.expect(resource);
    const check = this.#checkMod(job, fetched);
    await check?.passed;
    const nowMs = clock.wallMs();
    events.fetched(key, fetched.upstream, fetched.bytes.byteLength, clock.monotonicMs() - startedMs);
    if (
      known?.body !== undefined &&
      known.status === 200 &&
      Buffer.compare(known.body, fetched.bytes) === 0
    ) {
      known.freshUntilMs = freshness.until(resource, 200, nowMs);
      known.checkedAtMs = nowMs;
      this.#keep(job, store.revalidateEntry({ key, nowMs }));
      return { file: known, origin: source };
    }
    if (resource.kind === 'list' && known?.body !== undefined && known.status === 200) {
      const { body: before, checkedAtMs: beforeMs } = known;
      this.#options.onListChanged?.({ module: resource.module, before, beforeMs, after: fetched.bytes });
    }
    const file = this.#remember(job, 200, fetched.bytes);
    const put = { key, status: 200, source, nowMs, blob: store.nextBlob(), bytes: fetched.bytes };
    this.#keep(
      job,
      this.#proven(job, check, source).then(async (proof) =>
        file.stored({
          ...(await store.putEntry({ ...put, ...proof })),
          isTentative: ingest.isTentative(resource, proof.checked?.trust),
        }),
      ),
    );
    return { file, origin: source };
  }

  /** Downloads a zip. Resolves when the source has begun to answer; in strict mode when the zip is confirmed. */
  async zip(job: FetchJob, resource: Versioned, partial: PartialRow | undefined): Promise<Found> {
    const { sources } = this.#options;
    const download = this.#download(job, resource, { partial, sources });
    const isBad = sources.isFirst('bucket', resource) && (await this.#isBadOfBucket(job, download));
    if (!isBad) return this.#serve(job, resource, download);
    const others = sources.without('bucket');
    return this.#serve(job, resource, this.#download(job, resource, { partial: undefined, sources: others }));
  }

  /** A zip of the bucket goes out when it is whole and checked: if it is not good, the next source can still give it. */
  async #isBadOfBucket(job: FetchJob, download: Download): Promise<boolean> {
    await download.started.catch(() => {});
    if (!download.isFrom('bucket')) return false;
    try {
      await download.landed;
      return false;
    } catch (error) {
      if (!isServeError(error)) throw error;
      this.#refuse(job, error);
      return true;
    }
  }

  /** What a bucket could not give to its end is not wrong for that. */
  #refuse({ resource, key }: FetchJob, error: ServeError): void {
    const { sources, events } = this.#options;
    const why = messageOf(error);
    if (error.kind === 'check-failed' || error.kind === 'upstream-failed')
      sources.refused('bucket', { resource, path: key }, why);
    else events.fetchFailed(key, error);
  }

  async #serve(job: FetchJob, resource: Versioned, download: Download): Promise<Found> {
    const { ingest, events, clock, memory } = this.#options;
    const { key, hold } = job;
    const startedMs = clock.monotonicMs();
    const landed = download.landed.then((zip) => {
      const visibility = this.#options.visibilityOf(resource.module);
      const file = new StoredFile({
        kind: 'zip',
        status: 200,
        freshUntilMs: Infinity,
        visibility,
        ...zip,
        isTentative: ingest.isTentative(resource, zip.trust),
      });
      if (zip.blob !== undefined || zip.body !== undefined) memory.setFile(key, file);
      events.fetched(key, download.upstream, zip.size, clock.monotonicMs() - startedMs);
    });
    hold(landed.catch((error: unknown) => events.fetchFailed(key, error)));
    await (ingest.isStrict ? landed : download.started);
    return { download };
  }

  /** The answer if the source has no such file: the stored good answer, else a 404 or 410, which is stored. */
  absent(job: FetchJob, error: NotFound | Gone, known: StoredFile | undefined): Found {
    const { sources, store, clock, negativeTtlMs, events } = this.#options;
    const { key } = job;
    const source = sources.decisive(job.resource);
    const nowMs = clock.wallMs();
    if (known?.status === 200) {
      events.keptStale(key, messageOf(error));
      known.freshUntilMs = clock.monotonicMs() + negativeTtlMs;
      return { file: known, origin: 'stale' };
    }
    const status = error.kind === 'gone' ? 410 : 404;
    const bytes = new TextEncoder().encode(`${messageOf(error)}\n`);
    const file = this.#remember(job, status, bytes);
    const put = { key, status, source, nowMs, blob: store.nextBlob(), bytes };
    this.#keep(job, known?.status === status ? store.revalidateEntry({ key, nowMs }) : store.putEntry(put));
    return { file, origin: source };
  }

  #download(
    job: FetchJob,
    resource: Versioned,
    from: { partial: PartialRow | undefined; sources: Sources },
  ): Download {
    const { ingest, events, clock, downloads } = this.#options;
    const { key } = job;
    const isCovered = ingest.covers(resource);
    const download = new Download({
      ...this.#options,
      ...from,
      key,
      resource,
      requestOptions: this.#requestOptions(job),
      wallMs: () => clock.wallMs(),
      isStrict: ingest.isStrict,
      onNotStored: (why) => events.notStored(key, why),
      ...(isCovered && { confirm: (h1, upstream) => ingest.check(resource, { key, h1, upstream }) }),
    });
    const { module, version } = resource;
    downloads.note({ module, version, startedAtMs: clock.wallMs(), download }, download.landed);
    download.started.then(
      () => ingest.expect(resource),
      () => {}, // The checksum database must hear only of versions that the source has.
    );
    return download;
  }

  #checkMod({ resource, key }: FetchJob, { bytes, upstream }: Fetched): Check | undefined {
    const { ingest } = this.#options;
    if (!ingest.covers(resource)) return undefined;
    return ingest.check(resource, { key, h1: hashGoMod(bytes), upstream });
  }

  /** The check's result, to be stored with a file that is in memory. If the check fails, memory forgets the file. */
  async #proven(job: FetchJob, check: Check | undefined, source: SourceName): Promise<{ checked?: Checked }> {
    if (check === undefined) return {};
    try {
      return { checked: await check.checked };
    } catch (error) {
      this.#options.memory.deleteFile(job.key);
      if (source === 'bucket' && isServeError(error)) this.#refuse(job, error);
      throw error;
    }
  }

  #remember({ resource, key }: FetchJob, status: StoredFile['status'], bytes: Uint8Array): StoredFile {
    const { clock, memory, freshness } = this.#options;
    const file = new StoredFile({
      kind: resource.kind,
      status,
      size: bytes.byteLength,
      body: bytes,
      blob: undefined,
      sha256: '',
      freshUntilMs: freshness.until(resource, status, clock.wallMs()),
      isTentative: this.#options.ingest.isTentative(resource, undefined),
      visibility: this.#options.visibilityOf(resource.module),
    });
    file.checkedAtMs = clock.wallMs();
    memory.setFile(key, file);
    return file;
  }

  /** Holds the key until the file is stored. If that fails, the file is served all the same, and the log says so. */
  #keep({ key, hold }: FetchJob, stored: Promise<unknown>): void {
    hold(stored.catch((error: unknown) => this.#options.events.notStored(key, messageOf(error))));
  }

  /** The client's `Via` and the upstream to ask last, for the request to the source. */
  #requestOptions({ key, via }: FetchJob): { via?: string; avoid?: string } {
    const avoid = this.#options.ingest.avoided(key);
    return { ...(via !== undefined && { via }), ...(avoid !== undefined && { avoid }) };
  }
}
