/**
 * The steps to one file of a module: memory, the store, the source. `flight/read-through.ts` runs them in order.
 *
 * A file that may change is fresh for a time. After that the source is asked again, and the client waits a bounded
 * time for its answer (DESIGN, Freshness). A stored answer wins over any failure.
 */

import { StoredFile } from '../core/answer.ts';
import { isServeError, messageOf, NotFound, type ServeError } from '../core/errors.ts';
import { SMALL_BYTES_MAX, WHOLE_BODY_BYTES_MAX } from '../core/limits.ts';
import { quote } from '../core/quote.ts';
import { type Resource, resourceKey } from '../core/resource.ts';
import type { PartialRow } from '../core/store-port.ts';
import type { LastUse } from '../flight/last-use.ts';
import type { Held, Hold, Question } from '../flight/read-through.ts';
import type { StaleWait } from '../flight/stale-wait.ts';
import { computeAnswer } from './computed.ts';
import type { Fetcher, FetcherOptions, FetchJob } from './fetcher.ts';
import type { Found, Read } from './found.ts';
import type { StoredCheck } from './stored-check.ts';

export type ModuleStepsOptions = FetcherOptions & {
  /** Of answers, by their keys. */
  readonly lastUse: LastUse<string>;
  readonly storedCheck: Pick<StoredCheck, 'check'>;
  readonly fetcher: Fetcher;
  readonly staleWait: StaleWait<Found>;
};

type Versioned = Extract<Resource, { readonly version: unknown }>;

/** One client's request. */
export type ModuleAsk = {
  readonly resource: Resource;
  /** The key of `resource`, by `resourceKey`. */
  readonly key: string;
  /** False: the answer comes from the store alone. */
  readonly mayFetch: boolean;
  /** The client's `Via`, passed on so that loops are seen. */
  readonly via: string | undefined;
};

export class ModuleSteps implements Question<Read, Found> {
  readonly key: string;
  readonly mayFetch: boolean;
  readonly via: string | undefined;
  readonly #resource: Resource;
  readonly #options: ModuleStepsOptions;

  constructor(ask: ModuleAsk, options: ModuleStepsOptions) {
    this.key = ask.key;
    this.mayFetch = ask.mayFetch;
    this.via = ask.via;
    this.#resource = ask.resource;
    this.#options = options;
  }

  held(): Held<Found> | undefined {
    const file = this.#options.memory.file(this.key);
    if (file === undefined) return undefined;
    return { answer: { file, origin: 'memory' }, isFresh: this.#options.freshness.isFresh(file) };
  }

  async read(): Promise<Read> {
    const { store, memory, lastUse, clock, freshness, ingest } = this.#options;
    const { entry, partial, bytes } = await store.getEntry({ key: this.key });
    if (entry === undefined) return { file: undefined, partial };
    if (ingest.distrusts(this.#resource, entry)) return { file: undefined, partial, distrusted: entry };
    // A zip is held by chunks, which memory frees by hand. Other files of this size are few; V8 may collect them.
    const isWhole =
      entry.blob === undefined || (this.#resource.kind !== 'zip' && entry.size <= WHOLE_BODY_BYTES_MAX);
    const file = new StoredFile({
      kind: this.#resource.kind,
      status: entry.status as StoredFile['status'], // The table's own CHECK.
      size: entry.size,
      body: isWhole ? bytes : undefined,
      blob: entry.blob,
      sha256: entry.sha256,
      visibility: this.#options.visibilityOf(this.#resource.module),
      freshUntilMs: freshness.until(this.#resource, entry.status, entry.checkedAtMs),
      isTentative: ingest.isTentative(this.#resource, entry.trust),
    });
    if (!isWhole && entry.blob !== undefined && bytes !== undefined) memory.setPiece(entry.blob, 0, bytes);
    memory.setFile(this.key, file);
    file.usedAtMs = entry.usedAtMs;
    file.checkedAtMs = entry.checkedAtMs;
    lastUse.note(this.key, file, clock.wallMs());
    return { file, partial };
  }

  fresh({ file }: Read): Found | undefined {
    return file !== undefined && this.#options.freshness.isFresh(file)
      ? { file, origin: 'store' }
      : undefined;
  }

  async stored({ file }: Read): Promise<Found> {
    if (file !== undefined) return { file, origin: 'store' };
    const computed = await computeAnswer(this.#options.store, this.#resource);
    if (computed !== undefined) return { file: computed, origin: 'computed' };
    throw new NotFound(
      `cannot find ${quote(this.key)}: not stored, and the request or --offline forbids to ask upstream`,
    );
  }

  /** The known file if it is fresh after all, else the source's file, else the known one as stale. */
  async fetch(before: Read | undefined, hold: Hold): Promise<Found> {
    const { memory, freshness, sources, staleWait, events, ingest } = this.#options;
    ingest.admit(this.key);
    const held = memory.file(this.key);
    const { file, partial } =
      held === undefined
        ? await this.#confirmed(before ?? (await this.read()))
        : { file: held, partial: undefined };
    if (file === undefined) return this.#ask(hold, partial, undefined);
    if (freshness.isFresh(file)) return { file, origin: held === undefined ? 'store' : 'memory' };
    let until: Promise<unknown> = Promise.resolve();
    const holdKept: Hold = (kept) => {
      until = kept;
    };
    const refresh = this.#ask(holdKept, partial, file);
    hold(refresh.then(() => until));
    return staleWait.freshOr({ file, origin: 'stale' }, refresh, {
      isDown: sources.isDown(this.#resource),
      onKept: (error) => events.keptStale(this.key, messageOf(error)),
    });
  }

  /**
   * Another Astera asks for a file that is being fetched. If it is our upstream, each would wait for the other. So a
   * HEAD asks the source whether the request has been there before.
   */
  async refuseLoop(via: string): Promise<void> {
    try {
      const request = { resource: this.#resource, path: this.key, bytesMax: SMALL_BYTES_MAX, via };
      await this.#options.sources.head(request);
    } catch (error) {
      if (isServeError(error) && error.kind === 'loop') throw error;
    }
  }

  /**
   * A computed answer after a failed fetch.
   *
   * @throws {ServeError} `error` itself, if it is not upstream-down or if nothing is stored to compute from
   */
  async computed(error: ServeError): Promise<Found> {
    const { store, events, fetcher, sources } = this.#options;
    const elsewhere = {
      versions: () => sources.versions(this.#resource),
      info: (resource: Versioned) => fetcher.tryWhole(resource),
    };
    const file =
      error.kind === 'upstream-down' ? await computeAnswer(store, this.#resource, elsewhere) : undefined;
    if (file === undefined) throw error;
    events.keptStale(resourceKey(this.#resource), messageOf(error));
    return { file, origin: 'computed' };
  }

  /** This request as a job for the fetcher. */
  fetchJob(hold: Hold): FetchJob {
    return { resource: this.#resource, key: this.key, via: this.via, hold };
  }

  /** Checks a stored, unconfirmed file against the database, so that a good one need not be fetched again. */
  async #confirmed(read: Read): Promise<Read> {
    if (read.distrusted === undefined) return read;
    const { trust, sha256 } = read.distrusted;
    const { key } = this;
    try {
      const row = { key, trust, sha256, h1: undefined, unknownTimes: undefined };
      return (await this.#options.storedCheck.check(row)) === 'confirmed' ? await this.read() : read;
    } catch (error) {
      if (!isServeError(error)) throw error;
      this.#options.events.housekeepingFailed(`cannot check ${quote(key)}: ${messageOf(error)}`);
      return read;
    }
  }

  async #ask(hold: Hold, partial: PartialRow | undefined, known: StoredFile | undefined): Promise<Found> {
    const { fetcher, events } = this.#options;
    const job = this.fetchJob(hold);
    try {
      if (this.#resource.kind === 'zip') return await fetcher.zip(job, this.#resource, partial);
      return await fetcher.small(job, known);
    } catch (error) {
      if (!isServeError(error)) throw error;
      if (error.kind === 'not-found' || error.kind === 'gone') return fetcher.absent(job, error, known);
      if (this.#resource.kind !== 'zip') events.fetchFailed(this.key, error); // A zip's download reports it itself.
      if (known !== undefined) throw error;
      return this.computed(error);
    }
  }
}
