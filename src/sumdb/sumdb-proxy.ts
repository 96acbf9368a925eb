/**
 * The answers of one checksum database, without HTTP: proxied, cached, and kept only when proven.
 *
 * A record and the head that signs it are stored apart. A lookup goes out with the newest proven
 * head, so that what was fetched on different days proves itself against one tree.
 */

import { type Answer, type Origin, StoredFile, type SumdbKind } from '../core/answer.ts';
import { Busy, CheckFailed, isServeError, messageOf, serveError, UpstreamFailed } from '../core/errors.ts';
import { SUMDB_LATEST_MS, SUMDB_LOOKUP_MS } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Memory } from '../flight/memory.ts';
import type { Singleflight } from '../flight/singleflight.ts';
import type { Events } from '../observe/events.ts';
import type { NoteVerifier } from './note.ts';
import { ProofKeeper } from './proof-keeper.ts';
import { notStored, ProvenLog } from './proven-log.ts';
import { cutDataTile, formatRecord, linesFor, parseRecord } from './record.ts';
import type { SumdbAsk } from './sumdb-path.ts';
import { headKey, recordKey } from './sumdb-path.ts';
import type { SumdbRemote } from './sumdb-remote.ts';
import type { SumdbStore } from './sumdb-store.ts';
import { cutTile, DATA_LEVEL, type Tile, tileBytes, tilePath } from './tile.ts';
import { lookupPath, type ModuleVersion, type VerifiedLookup } from './verifier.ts';

export type SumdbProxyOptions = {
  readonly name: string;
  readonly key: NoteVerifier;
  readonly store: SumdbStore;
  readonly remote: Pick<SumdbRemote, 'whole' | 'lookup' | 'mayTellList' | 'refuseLoop'>;
  readonly memory: Memory;
  /** Flights of the `read:` and `fetch:` key spaces. */
  readonly flights: Singleflight<Served>;
  readonly clock: Clock;
  readonly events: Events;
  readonly isOffline: boolean;
};

/** How a question is asked. */
export type Manners = {
  /** False: answer from what is stored. */
  readonly mayFetch: boolean;
  /** The client's `Via`, passed on so that loops are seen. */
  readonly via?: string | undefined;
};

const OUTSIDE: Manners = { mayFetch: true };

/** A file and where it came from, as a flight brings it. */
export type Served = { readonly file: StoredFile; readonly origin: Origin };

export class SumdbProxy {
  /** What is proven of the database, and learns more. */
  readonly log: ProvenLog;
  readonly #options: SumdbProxyOptions;
  readonly #keeper: ProofKeeper;
  /** Of each lookup under way, what its answer says. */
  readonly #claims = new Map<string, Promise<readonly string[]>>();

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

  /** @throws any of `core/errors.ts` but BadRequest */
  async get(ask: SumdbAsk, asked: Manners): Promise<Answer> {
    const { name } = this.#options;
    const how = this.#allowed(asked);
    switch (ask.kind) {
      case 'supported':
        return answerOf({ file: fileOf('supported', new Uint8Array(0), Infinity), origin: 'memory' });
      case 'head':
        return answerOf(await this.#cached(headKey(name), how, () => this.#head(how)));
      case 'lookup':
        return answerOf(await this.lookup(ask.asked, how));
      case 'tile':
        return answerOf(await this.#cached(this.#path(ask.tile), how, () => this.#tile(ask.tile, how)));
    }
  }

  /** One lookup's answer: the record, and the newest head. */
  lookup(asked: ModuleVersion, manners = OUTSIDE): Promise<Served> {
    const how = this.#allowed(manners);
    const key = recordKey(this.#options.name, asked);
    const isTold = this.#options.remote.mayTellList(asked);
    return this.#cached(key, how, () => this.#lookup(asked, how), isTold);
  }

  /** The go.sum lines in the answer to a lookup under way, before they are proven; none where none comes. */
  claimed(asked: ModuleVersion): Promise<readonly string[]> {
    return this.#claims.get(recordKey(this.#options.name, asked)) ?? Promise.resolve([]);
  }

  /**
   * The record of a module version, asked of the database though it is stored, and proven in the newest tree.
   *
   * @throws {NotStored} offline
   */
  async recordAnew(asked: ModuleVersion): Promise<Uint8Array> {
    const { name, isOffline } = this.#options;
    if (isOffline) throw notStored(lookupPath(asked));
    const key = recordKey(name, asked);
    return (await this.#told(key, () => this.#fetchRecord(asked, undefined))).text;
  }

  /** When the background has what offline clients need; for tests and for a clean stop. */
  settled(): Promise<void> {
    return this.#keeper.settled();
  }

  #path(tile: Tile): string {
    return `sumdb/${this.#options.name}/${tilePath(tile)}`;
  }

  #allowed(how: Manners): Manners {
    return this.#options.isOffline ? { mayFetch: false } : how;
  }

  /** Who must not go out joins no flight that does, and leads none: its miss is not another's. */
  async #cached(
    key: string,
    { mayFetch, via }: Manners,
    bring: () => Promise<Served>,
    mayTellList = true,
  ): Promise<Served> {
    const { memory, flights, clock, remote } = this.#options;
    const held = memory.file(key);
    if (held !== undefined && held.freshUntilMs > clock.monotonicMs()) {
      return { file: held, origin: 'memory' };
    }
    const flight = `${mayFetch ? 'fetch' : 'read'}:${key}`;
    if (mayFetch && mayTellList && via?.includes('astera-') && flights.has(flight))
      await remote.refuseLoop(key, via);
    return flights.do(flight, async () => {
      const served = await this.#told(key, bring);
      if (served.file.freshUntilMs > clock.monotonicMs()) memory.setFile(key, served.file);
      return served;
    });
  }

  /** Says it where what is brought was refused. */
  #told<T>(key: string, bring: () => Promise<T>): Promise<T> {
    return bring().catch((error: unknown) => {
      if (isServeError(error) && error.kind === 'check-failed') {
        this.#options.events.checkFailed(key, messageOf(error));
      }
      throw error;
    });
  }

  async #lookup(asked: ModuleVersion, { mayFetch, via }: Manners): Promise<Served> {
    const known = await this.log.savedHead();
    const stored = await this.log.record(asked);
    const freshUntil = this.#options.clock.monotonicMs() + SUMDB_LOOKUP_MS;
    if (stored !== undefined && known !== undefined && parseRecord(stored).id < known.size) {
      this.#keeper.note(known.size, undefined);
      return { file: fileOf('lookup', join(stored, known.note), freshUntil), origin: 'store' };
    }
    if (!mayFetch) throw notStored(lookupPath(asked));
    const verified = await this.#fetchRecord(asked, via);
    const body = join(formatRecord(verified), verified.head.note);
    return { file: fileOf('lookup', body, freshUntil), origin: 'upstream' };
  }

  async #fetchRecord(asked: ModuleVersion, via: string | undefined): Promise<VerifiedLookup> {
    const key = recordKey(this.#options.name, asked);
    const claim = Promise.withResolvers<readonly string[]>();
    this.#claims.set(key, claim.promise);
    try {
      const answer = await this.#options.remote.lookup(asked, via);
      claim.resolve(linesFor(parseRecord(answer).text, asked));
      return await this.log.keepLookup(asked, answer);
    } finally {
      claim.resolve([]);
      if (this.#claims.get(key) === claim.promise) this.#claims.delete(key);
    }
  }

  async #head({ mayFetch, via }: Manners): Promise<Served> {
    const freshUntil = this.#options.clock.monotonicMs() + SUMDB_LATEST_MS;
    const known = await this.log.savedHead();
    try {
      if (!mayFetch) throw notStored('latest');
      const head = await this.log.keepHead(await this.#options.remote.whole('latest', via));
      return { file: fileOf('head', head.note, freshUntil), origin: 'upstream' };
    } catch (error) {
      if (known === undefined || !isServeError(error) || error instanceof CheckFailed) throw error;
      return { file: fileOf('head', known.note, freshUntil), origin: 'stale' };
    }
  }

  async #tile(tile: Tile, { mayFetch, via }: Manners): Promise<Served> {
    const stored = cut(await this.log.tile(tile), tile);
    if (stored !== undefined) return { file: fileOf('tile', stored, Infinity), origin: 'store' };
    if (!mayFetch) throw await this.#missing(tile, notStored(tilePath(tile)));
    try {
      const { bytes, isProven } = await this.#fetchTile(tile, via);
      return { file: fileOf('tile', bytes, isProven ? Infinity : 0), origin: 'upstream' };
    } catch (error) {
      throw await this.#missing(tile, error);
    }
  }

  /** Fetches a tile and proves it. One past every head we know goes out all the same, as clients prove it too; it is not kept. */
  async #fetchTile(tile: Tile, via: string | undefined): Promise<{ bytes: Uint8Array; isProven: boolean }> {
    const { remote } = this.#options;
    const bytes = await remote.whole(tilePath(tile), via);
    let isProven = await this.log.keepTile(tile, bytes);
    if (!isProven) {
      await this.log.keepHead(await remote.whole('latest', via));
      isProven = await this.log.keepTile(tile, bytes);
    }
    return { bytes, isProven };
  }

  async #ensure(tile: Tile): Promise<void> {
    if (this.#options.isOffline || cut(await this.log.tile(tile), tile) !== undefined) return;
    await this.#cached(this.#path(tile), OUTSIDE, () => this.#tile(tile, OUTSIDE));
  }

  /** Says to a client with a head from elsewhere what it is that can't be had here: the sizes of both trees. */
  async #missing(tile: Tile, error: unknown): Promise<unknown> {
    if (!isServeError(error) || error instanceof CheckFailed || error instanceof Busy) return error;
    const known = await this.log.head();
    const level = Math.max(tile.level, 0);
    const atLeast = (tile.number * 2 ** tile.height + tile.width) * 2 ** (tile.height * level);
    const newest = known?.size ?? 0;
    if (atLeast <= newest) return error;
    const message = `cannot give ${JSON.stringify(tilePath(tile))}, of a tree of at least ${atLeast} records, where the newest known here has ${newest}: ${messageOf(error)}`;
    return serveError(error.kind, message);
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
    return undefined; // It has fewer records.
  }
}

/** A proof that is not there is no answer about the module: who asked must not take it for one. */
function orNoProof(error: unknown): never {
  if (!isServeError(error) || (error.kind !== 'not-found' && error.kind !== 'gone')) throw error;
  throw new UpstreamFailed(`cannot prove an answer of the checksum database: ${messageOf(error)}`);
}

function join(record: Uint8Array, note: Uint8Array): Uint8Array {
  const joined = new Uint8Array(record.byteLength + note.byteLength);
  joined.set(record);
  joined.set(note, record.byteLength);
  return joined;
}

function fileOf(kind: SumdbKind, body: Uint8Array, freshUntilMs: number): StoredFile {
  return new StoredFile({
    kind,
    status: 200,
    size: body.byteLength,
    body,
    blob: undefined,
    sha256: '',
    freshUntilMs,
  });
}

function answerOf({ file, origin }: Served): Answer {
  const { kind, status, size, body } = file;
  return { kind, status, size, body, origin, sha256: undefined };
}
