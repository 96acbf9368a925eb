/**
 * The answers of a vulnerability database, without HTTP: proxied, cached, and from the store where it can't be reached.
 *
 * `index/db` has the time of the database's last change, in 50 bytes. While that stands, all stored files are right. When it
 * changes, the other indexes are fetched anew, and a report only if the index names a newer one. The indexes are stored
 * before `index/db`: so those in the store are never older than it says.
 */

import type { Answer, Origin } from '../core/answer.ts';
import { isServeError, messageOf, NotFound } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import { shareButLoops } from '../flight/read-through.ts';
import type { Singleflight } from '../flight/singleflight.ts';
import { StaleWait } from '../flight/stale-wait.ts';
import type { Events } from '../observe/events.ts';
import { VULN_UNKNOWN_IDS_MAX } from './limits.ts';
import { readable, readStored } from './stored-vuln-file.ts';
import { unpack } from './vuln-gzip.ts';
import { parseDb, parseModules, parseReport, timeOf, type VulnModule } from './vuln-json.ts';
import { bytesMaxOf, reportIdOf, type VulnAsk, type VulnFile } from './vuln-path.ts';
import type { VulnRemote } from './vuln-remote.ts';
import type { StoredVulnFile, VulnStore } from './vuln-store.ts';

export type VulnDatabaseOptions = {
  readonly store: Pick<VulnStore, 'get' | 'put' | 'noteChecked'>;
  readonly remote: Pick<VulnRemote, 'isDown' | 'fetch' | 'refuseLoop'>;
  readonly flights: Singleflight<Served>;
  readonly clock: Clock;
  readonly events: Pick<Events, 'keptStale' | 'fetchFailed'>;
  /** The database is asked for changes so often, and for an unknown report. */
  readonly freshMs: number;
  /** A client waits so long for them if something is stored. */
  readonly staleWaitMs: number;
  readonly isOffline: boolean;
  /** Called with all modules of an index that is new here. */
  readonly onIndex?: (modules: readonly VulnModule[]) => void;
};

export type VulnRequest = {
  /** False: the answer comes from the store alone. */
  readonly mayFetch: boolean;
  /** The client's `Via`. */
  readonly via?: string | undefined;
};

type Served = { readonly packed: Uint8Array; readonly sha256: string | undefined; readonly origin: Origin };

export class VulnDatabase {
  readonly #options: VulnDatabaseOptions;
  readonly #staleWait: StaleWait<Served>;
  /** Monotonic time until which the stored indexes are right. */
  #freshUntilMs = -Infinity;
  /** The time of change of each report, in ms, by its ID; undefined: no index was read yet. */
  #modified: ReadonlyMap<string, number> | undefined;
  /** Monotonic time until which the database is not asked again for an ID that it does not have. */
  readonly #unknown = new Map<string, number>();

  constructor(options: VulnDatabaseOptions) {
    this.#options = options;
    this.#staleWait = new StaleWait(options.staleWaitMs);
  }

  /** @throws any of `core/errors.ts` but BadRequest */
  async get({ file, isPacked }: VulnAsk, request: VulnRequest): Promise<Answer> {
    const { packed, sha256, origin } = await this.#served(file, request);
    const body = isPacked ? packed : await unpack(packed, bytesMaxOf(file));
    return {
      kind: isPacked ? 'packed-vuln' : 'vuln',
      status: 200,
      origin,
      size: body.byteLength,
      sha256: isPacked ? sha256 : undefined,
      body,
    };
  }

  /**
   * Asks the database whether it has changed, and has the reports about stored modules fetched that are missing.
   *
   * @throws as {@link get}
   */
  async refresh(): Promise<void> {
    const { store, isOffline, onIndex } = this.#options;
    if (isOffline) return;
    await this.#renewed(undefined);
    const modules = await readStored(store, 'index/modules', parseModules);
    if (modules !== undefined) onIndex?.(modules);
  }

  /** Brings the stored report `id` up to date. @throws as {@link get} */
  async keepReport(id: string): Promise<void> {
    await this.#served(`ID/${id}`, { mayFetch: true });
  }

  async #served(file: VulnFile, { mayFetch, via }: VulnRequest): Promise<Served> {
    const { store, isOffline } = this.#options;
    if (!mayFetch || isOffline) return storedOr(await store.get(file), file);
    const origin = await this.#renewed(via);
    const stored = await store.get(file);
    const id = reportIdOf(file);
    if (stored !== undefined && (id === undefined || (await this.#isCurrent(id, stored)))) {
      return { ...stored, origin };
    }
    if (this.#isUnknown(file)) throw new NotFound(`vulnerability database has no ${quote(file)}`);
    const fetched = this.#flight(file, via, () => this.#fetch(file, via));
    if (stored === undefined) return fetched;
    return this.#staleOr(file, stored, fetched);
  }

  /** Asks the database whether it has changed, if that was not done lately. @returns where its indexes come from now */
  async #renewed(via: string | undefined): Promise<Origin> {
    const { store, clock } = this.#options;
    if (this.#freshUntilMs > clock.monotonicMs()) return 'store';
    const [db, modules] = await Promise.all([store.get('index/db'), store.get('index/modules')]);
    // Nothing is awaited while it has no handler: it may fail at once.
    const renewal = this.#flight('index/modules', via, () => this.#renew(via));
    if (db === undefined || modules === undefined) return (await renewal).origin;
    return (await this.#staleOr('index/modules', modules, renewal)).origin;
  }

  async #renew(via: string | undefined): Promise<Served> {
    const { store, remote, clock, freshMs } = this.#options;
    const db = await remote.fetch('index/db', via);
    const time = await readStored(store, 'index/db', parseDb);
    const storedModules = await store.get('index/modules');
    const known = storedModules && (await readable(storedModules, 'index/modules', parseModules));
    let served: Served;
    if (time === parseDb(db.text) && storedModules !== undefined && known !== undefined) {
      await store.noteChecked('index/db');
      served = { ...storedModules, origin: 'store' };
      if (this.#modified === undefined) this.#take(known);
    } else {
      served = await this.#fetchIndexes(via);
      await store.put('index/db', db.packed);
    }
    this.#freshUntilMs = clock.monotonicMs() + freshMs;
    return served;
  }

  async #fetchIndexes(via: string | undefined): Promise<Served> {
    const { store, remote } = this.#options;
    const modules = await remote.fetch('index/modules', via);
    if ((await store.get('index/vulns')) !== undefined) {
      await store.put('index/vulns', (await remote.fetch('index/vulns', via)).packed);
    }
    await store.put('index/modules', modules.packed);
    this.#take(parseModules(modules.text));
    return { packed: modules.packed, sha256: undefined, origin: 'upstream' };
  }

  #take(modules: readonly VulnModule[]): void {
    const modified = new Map<string, number>();
    for (const { vulns } of modules) for (const one of vulns) modified.set(one.id, timeOf(one.modified));
    this.#modified = modified;
    this.#unknown.clear();
    this.#options.onIndex?.(modules);
  }

  /** Whether the database has no newer one of a stored report: by the index, or as it was asked lately. */
  async #isCurrent(id: string, stored: StoredVulnFile): Promise<boolean> {
    const { clock, freshMs } = this.#options;
    const indexed = this.#modified?.get(id);
    if (indexed === undefined) return true; // The database has it no more, or it names none in its index.
    const report = await readable(stored, `ID/${id}`, (text) => parseReport(text, id));
    if (report === undefined) return false;
    const ageMs = clock.wallMs() - stored.checkedAtMs;
    return timeOf(report.modified) >= indexed || (ageMs >= 0 && ageMs < freshMs);
  }

  async #fetch(file: VulnFile, via: string | undefined): Promise<Served> {
    const { store, remote, events } = this.#options;
    try {
      const { packed } = await remote.fetch(file, via);
      await store.put(file, packed);
      return { packed, sha256: undefined, origin: 'upstream' };
    } catch (error) {
      if (!isServeError(error)) throw error;
      if (error.kind === 'not-found' || error.kind === 'gone') this.#noteUnknown(file);
      else events.fetchFailed(`vulndb/${file}`, error);
      throw error;
    }
  }

  #flight(file: VulnFile, via: string | undefined, start: () => Promise<Served>): Promise<Served> {
    const { flights, remote } = this.#options;
    const refuseLoop = (asVia: string) => remote.refuseLoop(file, asVia);
    return shareButLoops(flights, `vulndb:${file}`, { key: `vulndb/${file}`, via, refuseLoop }, start);
  }

  #staleOr(file: VulnFile, stored: StoredVulnFile, refresh: Promise<Served>): Promise<Served> {
    const { remote, events } = this.#options;
    return this.#staleWait.freshOr({ ...stored, origin: 'stale' }, refresh, {
      isDown: remote.isDown,
      onKept: (error) => events.keptStale(`vulndb/${file}`, messageOf(error)),
    });
  }

  #isUnknown(file: VulnFile): boolean {
    return (this.#unknown.get(file) ?? -Infinity) > this.#options.clock.monotonicMs();
  }

  #noteUnknown(file: VulnFile): void {
    const { clock, freshMs } = this.#options;
    if (this.#unknown.size >= VULN_UNKNOWN_IDS_MAX) this.#unknown.clear();
    this.#unknown.set(file, clock.monotonicMs() + freshMs);
  }
}

/** @throws {NotFound} nothing is stored */
function storedOr(stored: StoredVulnFile | undefined, file: VulnFile): Served {
  if (stored !== undefined) return { ...stored, origin: 'store' };
  throw new NotFound(`${quote(file)} of the vulnerability database is not stored here`);
}
