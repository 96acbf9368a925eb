/**
 * The answers of one checksum database, without HTTP. They are proxied and cached, and kept only if proven.
 *
 * A record and its signed tree head are stored apart. A lookup goes out with the newest proven tree head. So records
 * from different days are all proven in one tree.
 */

import type { Answer, StoredFile, VisibilityOf } from '../core/answer.ts';
import { Busy, CheckFailed, isServeError, messageOf, serveError, UpstreamFailed } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import type { Memory } from '../flight/memory.ts';
import type { ReadThrough } from '../flight/read-through.ts';
import type { Events } from '../observe/events.ts';
import { SUMDB_LATEST_MS, SUMDB_LOOKUP_MS } from './limits.ts';
import type { NoteVerifier } from './note.ts';
import { ProofKeeper } from './proof-keeper.ts';
import { notStored, ProvenLog } from './proven-log.ts';
import { cutDataTile, formatRecord, linesFor, parseRecord } from './record.ts';
import { answerOf, fileOf, join, type Served } from './served.ts';
import type { SumdbAsk } from './sumdb-path.ts';
import { recordKey, treeHeadKey } from './sumdb-path.ts';
import type { SumdbRemote } from './sumdb-remote.ts';
import type { SumdbStore } from './sumdb-store.ts';
import { cutTile, DATA_LEVEL, type Tile, tileBytes, tilePath } from './tile.ts';
import type { TreeHead } from './tree-head.ts';
import { lookupPath, type ModuleVersion, type VerifiedLookup } from './verifier.ts';

export type SumdbProxyOptions = {
  readonly name: string;
  readonly key: NoteVerifier;
  readonly store: SumdbStore;
  readonly remote: Pick<SumdbRemote, 'whole' | 'lookup' | 'mayTellList' | 'orFromOutside' | 'refuseLoop'>;
  readonly memory: Memory;
  readonly readThrough: ReadThrough<StoredServed, Served>;
  readonly clock: Clock;
  readonly events: Events;
  readonly isOffline: boolean;
  /** The visibility of a lookup's answer, as the answer names the module. */
  readonly visibilityOf: VisibilityOf;
};

/** The part of a client's request that every file has. */
export type AskOptions = {
  /** False: the answer comes from the store alone. */
  readonly mayFetch: boolean;
  /** The client's `Via`, passed on so that loops are seen. */
  readonly via?: string | undefined;
};

const OUTSIDE: AskOptions = { mayFetch: true };

/** The result of a read. A file with the origin `stale` goes out only if nothing newer can be fetched. */
type StoredServed = { readonly served: Served | undefined };

/** The steps to one kind of file. */
type Steps = {
  read(): Promise<Served | undefined>;
  /** Fails with the error that nothing is stored. */
  miss(): Promise<never>;
  fetch(): Promise<Served>;
  /** False: the upstream list must not hear of the file. */
  readonly mayTellList?: boolean;
};

export class SumdbProxy {
  /** The proven part of the database's log. */
  readonly log: ProvenLog;
  readonly #options: SumdbProxyOptions;
  readonly #keeper: ProofKeeper;
  /** How often the database was forgotten: answers from before are not kept in memory. */
  #forgets = 0;
  /** The go.sum lines of each lookup under way, by its key. */
  readonly #claims = new Map<string, PromiseWithResolvers<readonly string[]>>();

  constructor(options: SumdbProxyOptions) {
    const { remote, isOffline, events } = options;
    this.#options = options;
    this.#keeper = new ProofKeeper({ ensure: (tile) => this.#ensure(tile), events });
    this.log = new ProvenLog({
      ...options,
      readRemote: (path) =>
        isOffline ? Promise.reject(notStored(path)) : remote.whole(path).catch(orNoProof),
      onProven: (size, id) => this.#keeper.note(size, id),
    });
  }

  /** The file under `key`, if it is in memory and fresh. This is the hot path: no promise. */
  peek(key: string): StoredFile | undefined {
    const file = this.#options.memory.file(key);
    return file !== undefined && this.#isFresh(file) ? file : undefined;
  }

  /** The answer to one request. @throws any of `core/errors.ts` but BadRequest */
  async get(ask: SumdbAsk, asked: AskOptions): Promise<Answer> {
    const { name } = this.#options;
    const how = this.#allowed(asked);
    switch (ask.kind) {
      case 'supported':
        return answerOf({ file: fileOf('supported', new Uint8Array(0), Infinity), origin: 'memory' });
      case 'head':
        return answerOf(await this.#served(treeHeadKey(name), how, this.#headSteps(how)));
      case 'lookup':
        return answerOf(await this.lookup(ask.asked, how));
      case 'tile':
        return answerOf(await this.#served(this.#path(ask.tile), how, this.#tileSteps(ask.tile, how)));
    }
  }

  /** The answer to one lookup: the record and the newest tree head. */
  lookup(asked: ModuleVersion, options = OUTSIDE): Promise<Served> {
    const { name, remote } = this.#options;
    const how = this.#allowed(options);
    const key = recordKey(name, asked);
    const served = () =>
      this.#served(key, how, {
        read: () => this.#storedLookup(asked),
        miss: () => Promise.reject(notStored(lookupPath(asked))),
        fetch: () => this.#fetchLookup(asked, how.via),
        mayTellList: remote.mayTellList(asked),
      });
    return this.#held(key) === undefined ? this.#claimedBy(key, served) : served();
  }

  /** The go.sum lines in the answer to a lookup under way, before they are proven; empty if no answer comes. */
  claimed(asked: ModuleVersion): Promise<readonly string[]> {
    return this.#claims.get(recordKey(this.#options.name, asked))?.promise ?? Promise.resolve([]);
  }

  /**
   * The record of a module version, proven in the newest tree. The database is asked even if the record is stored.
   *
   * @throws {NotStored} this server is offline
   */
  async recordAnew(asked: ModuleVersion): Promise<Uint8Array> {
    const { name, isOffline } = this.#options;
    if (isOffline) throw notStored(lookupPath(asked));
    const key = recordKey(name, asked);
    return (await this.#logRefused(key, () => this.#fetchRecord(asked, undefined))).text;
  }

  /** Drops all that is stored of the database, and begins anew. @returns how many files */
  async forget(): Promise<number> {
    this.#forgets++;
    this.#keeper.reset();
    try {
      return await this.log.forget();
    } finally {
      this.#options.memory.deleteFiles(`sumdb/${this.#options.name}/`);
    }
  }

  /** Resolves when the background has fetched the proofs for offline clients; for tests and for a clean stop. */
  settled(): Promise<void> {
    return this.#keeper.settled();
  }

  #path(tile: Tile): string {
    return `sumdb/${this.#options.name}/${tilePath(tile)}`;
  }

  #allowed(how: AskOptions): AskOptions {
    return this.#options.isOffline ? { mayFetch: false } : how;
  }

  /** The one way for all kinds of files: memory, the store, the database. */
  #served(key: string, { mayFetch, via }: AskOptions, steps: Steps): Promise<Served> {
    const { memory, readThrough, remote } = this.#options;
    const forgets = this.#forgets;
    const keep = (served: Served): Served => {
      if (this.#isFresh(served.file) && forgets === this.#forgets) memory.setFile(key, served.file);
      return served;
    };
    const read = async (): Promise<StoredServed> => {
      const served = await steps.read();
      return { served: served === undefined || served.origin === 'stale' ? served : keep(served) };
    };
    const fresh = ({ served }: StoredServed) => (served?.origin === 'stale' ? undefined : served);
    return readThrough.get({
      key,
      mayFetch,
      via,
      held: () => {
        const answer = this.#held(key);
        return answer && { answer, isFresh: true };
      },
      read: () => this.#logRefused(key, read),
      fresh,
      stored: async ({ served }) => served ?? (await steps.miss()),
      fetch: (before) =>
        this.#logRefused(key, async () => fresh(before ?? (await read())) ?? keep(await steps.fetch())),
      refuseLoop: async (asVia) => {
        if (steps.mayTellList !== false) await remote.refuseLoop(key, asVia);
      },
    });
  }

  #held(key: string): Served | undefined {
    const file = this.peek(key);
    return file && { file, origin: 'memory' };
  }

  #isFresh(file: StoredFile): boolean {
    return file.freshUntilMs > this.#options.clock.monotonicMs();
  }

  /** Runs a lookup, and lets others wait for its claim from its start. */
  async #claimedBy(key: string, lookup: () => Promise<Served>): Promise<Served> {
    if (this.#claims.has(key)) return lookup();
    const claim = Promise.withResolvers<readonly string[]>();
    this.#claims.set(key, claim);
    try {
      return await lookup();
    } finally {
      claim.resolve([]);
      this.#claims.delete(key);
    }
  }

  /** Runs `work`, and logs it if a check refused the file. */
  #logRefused<T>(key: string, work: () => Promise<T>): Promise<T> {
    return work().catch((error: unknown) => {
      if (isServeError(error) && error.kind === 'check-failed') {
        this.#options.events.checkFailed(key, messageOf(error));
      }
      throw error;
    });
  }

  async #storedLookup(asked: ModuleVersion): Promise<Served | undefined> {
    const known = await this.log.savedHead();
    const stored = await this.log.record(asked);
    if (stored === undefined || known === undefined || !isRecordIn(known, stored)) return undefined;
    this.#keeper.note(known.size, undefined);
    return { file: this.#lookupFile(asked, join(stored, known.note)), origin: 'store' };
  }

  async #fetchLookup(asked: ModuleVersion, via: string | undefined): Promise<Served> {
    const verified = await this.#fetchRecord(asked, via);
    const body = join(formatRecord(verified), verified.head.note);
    return { file: this.#lookupFile(asked, body), origin: 'upstream' };
  }

  #lookupFile({ module }: ModuleVersion, body: Uint8Array): StoredFile {
    const { clock, visibilityOf } = this.#options;
    return fileOf('lookup', body, clock.monotonicMs() + SUMDB_LOOKUP_MS, visibilityOf(module));
  }

  async #fetchRecord(asked: ModuleVersion, via: string | undefined): Promise<VerifiedLookup> {
    const { name, remote } = this.#options;
    return remote.orFromOutside(async () => {
      const answer = await remote.lookup(asked, via);
      this.#claims.get(recordKey(name, asked))?.resolve(linesFor(parseRecord(answer).text, asked));
      return this.log.keepLookup(asked, answer);
    });
  }

  #headSteps({ via }: AskOptions): Steps {
    const { clock, remote } = this.#options;
    const freshUntil = () => clock.monotonicMs() + SUMDB_LATEST_MS;
    const known = async (): Promise<Served | undefined> => {
      const head = await this.log.savedHead();
      return head && { file: fileOf('head', head.note, freshUntil()), origin: 'stale' };
    };
    const fetch = async (): Promise<Served> => {
      try {
        const head = await this.log.keepHead(await remote.whole('latest', via));
        return { file: fileOf('head', head.note, freshUntil()), origin: 'upstream' };
      } catch (error) {
        const stale = await known();
        if (stale === undefined || !isServeError(error) || error instanceof CheckFailed) throw error;
        return stale;
      }
    };
    return { read: known, miss: () => Promise.reject(notStored('latest')), fetch };
  }

  #tileSteps(tile: Tile, { via }: AskOptions): Steps {
    const read = async (): Promise<Served | undefined> => {
      const stored = cut(await this.log.tile(tile), tile);
      return stored && { file: fileOf('tile', stored, Infinity), origin: 'store' };
    };
    const miss = async (): Promise<never> => {
      throw await this.#missing(tile, notStored(tilePath(tile)));
    };
    const fetch = async (): Promise<Served> => {
      try {
        const { bytes, isProven } = await this.#fetchTile(tile, via);
        return { file: fileOf('tile', bytes, isProven ? Infinity : 0), origin: 'upstream' };
      } catch (error) {
        throw await this.#missing(tile, error);
      }
    };
    return { read, miss, fetch };
  }

  /**
   * Fetches a tile and proves it. A tile past the newest known tree goes out unproven, as clients prove it too. It is
   * not kept.
   */
  async #fetchTile(tile: Tile, via: string | undefined): Promise<{ bytes: Uint8Array; isProven: boolean }> {
    const { remote } = this.#options;
    return remote.orFromOutside(async () => {
      const bytes = await remote.whole(tilePath(tile), via);
      let isProven = await this.log.keepTile(tile, bytes);
      if (!isProven) {
        await this.log.keepHead(await remote.whole('latest', via));
        isProven = await this.log.keepTile(tile, bytes);
      }
      return { bytes, isProven };
    });
  }

  async #ensure(tile: Tile): Promise<void> {
    if (this.#options.isOffline || cut(await this.log.tile(tile), tile) !== undefined) return;
    await this.#served(this.#path(tile), OUTSIDE, this.#tileSteps(tile, OUTSIDE));
  }

  /**
   * Adds the sizes of both trees to the error if the tile is past the newest known tree: then the client has a tree
   * head from elsewhere.
   */
  async #missing(tile: Tile, error: unknown): Promise<unknown> {
    if (!isServeError(error) || error instanceof CheckFailed || error instanceof Busy) return error;
    const known = await this.log.head();
    const level = Math.max(tile.level, 0);
    const atLeast = (tile.number * 2 ** tile.height + tile.width) * 2 ** (tile.height * level);
    const newest = known?.size ?? 0;
    if (atLeast <= newest) return error;
    const message = `cannot give ${quote(tilePath(tile))}, of a tree of at least ${atLeast} records, where the newest known here has ${newest}: ${messageOf(error)}`;
    return serveError(error.kind, message);
  }
}

/** False for a row that is malformed, too: the database is asked again, and its answer replaces the row. */
function isRecordIn({ size }: TreeHead, stored: Uint8Array): boolean {
  try {
    return parseRecord(stored).id < size;
  } catch (error) {
    if (error instanceof CheckFailed) return false;
    throw error;
  }
}

function cut(stored: Uint8Array | undefined, tile: Tile): Uint8Array | undefined {
  if (stored === undefined) return undefined;
  if (tile.level !== DATA_LEVEL) {
    return stored.byteLength < tileBytes(tile) ? undefined : new Uint8Array(cutTile(stored, tile.width));
  }
  try {
    return new Uint8Array(cutDataTile(stored, tile.width));
  } catch {
    return undefined; // The stored tile has fewer records.
  }
}

/** Turns the 404 of a proof into another failure, as clients would take it for an answer about the module. */
function orNoProof(error: unknown): never {
  if (!isServeError(error) || (error.kind !== 'not-found' && error.kind !== 'gone')) throw error;
  throw new UpstreamFailed(`cannot prove an answer of the checksum database: ${messageOf(error)}`);
}
