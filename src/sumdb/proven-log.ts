/**
 * The proven part of one checksum database's log: records, tiles and the newest tree head, in the store.
 *
 * Every record, tile and tree head is verified before it is stored, also one from the database itself. The log uses the
 * network only by `readRemote`, for the tiles of a proof.
 */

import { BadRequest, Busy, CheckFailed, NotFound } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import type { Events } from '../observe/events.ts';
import { isOfOthers, type NoteVerifier } from './note.ts';
import { formatRecord } from './record.ts';
import type { SumdbAsk } from './sumdb-path.ts';
import type { SumdbStore } from './sumdb-store.ts';
import { DATA_LEVEL, type Tile, tilePath } from './tile.ts';
import type { TreeHead } from './tree-head.ts';
import { type GivenTiles, type ModuleVersion, SumdbVerifier, type VerifiedLookup } from './verifier.ts';

export type ProvenLogOptions = {
  readonly name: string;
  readonly key: NoteVerifier;
  readonly store: SumdbStore;
  readonly events: Events;
  /** Fetches a tile that a proof needs, by its path below the database's root. */
  readonly readRemote: (path: string) => Promise<Uint8Array>;
  /** Called after each proof, with the size of the newest tree and the number of the proven record, if any. */
  readonly onProven?: (size: number, id: number | undefined) => void;
};

export class ProvenLog {
  readonly #options: ProvenLogOptions;
  /** A new verifier replaces it when the database is forgotten. Results of the old one are then no longer kept. */
  #verifier: SumdbVerifier;
  #forgotten: Promise<unknown> = Promise.resolve();

  constructor(options: ProvenLogOptions) {
    this.#options = options;
    this.#verifier = this.#newVerifier();
  }

  /** Drops all that is stored of the database, and begins anew: for one that was rebuilt. @returns how many files */
  async forget(): Promise<number> {
    const before = this.#forgotten;
    const forgetting = before.then(() => this.#options.store.forget());
    this.#forgotten = forgetting.catch(() => {});
    this.#verifier = this.#newVerifier();
    return forgetting;
  }

  /** The newest proven tree head; `undefined` before the first. */
  head(): Promise<TreeHead | undefined> {
    return this.#verifier.head();
  }

  /** The newest tree head that is proven and stored. Clients are told of this one. */
  savedHead(): Promise<TreeHead | undefined> {
    return this.#verifier.savedHead();
  }

  /** The number of records in the tree of {@link savedHead}; 0 before the first. */
  async size(): Promise<number> {
    return (await this.savedHead())?.size ?? 0;
  }

  /** The stored record of a module version, as a lookup's answer begins with it. */
  record(asked: ModuleVersion): Promise<Uint8Array | undefined> {
    return this.#options.store.record(asked);
  }

  /** The stored tile at that place, at its widest. */
  async tile(tile: Tile): Promise<Uint8Array | undefined> {
    await this.head(); // Drops the stored files first if they belong to another key.
    return this.#options.store.tile(tile);
  }

  /**
   * Verifies a lookup's answer or a tile from elsewhere and keeps it, as if it came from the database.
   *
   * @param given tiles by their paths; the proof may use them
   * @throws {CheckFailed} it is not proven; nothing is kept
   * @throws all errors of `readRemote` for tiles that are neither given nor stored
   */
  async learn(ask: SumdbAsk, bytes: Uint8Array, given: GivenTiles): Promise<void> {
    if (ask.kind === 'lookup') {
      await this.keepLookup(ask.asked, bytes, given);
      return;
    }
    if (ask.kind !== 'tile') throw new BadRequest('cannot learn it: neither a lookup nor a tile');
    if (!(await this.keepTile(ask.tile, bytes))) {
      throw new CheckFailed(`cannot verify tile: past the newest head: "${tilePath(ask.tile)}"`);
    }
  }

  /** Verifies a lookup's answer and keeps its record; throws as {@link learn}. */
  async keepLookup(asked: ModuleVersion, answer: Uint8Array, given?: GivenTiles): Promise<VerifiedLookup> {
    const verifier = this.#verifier;
    const verified = await verifier.verifyAnswer(asked, answer, given);
    this.#refuseForgotten(verifier);
    await this.#options.store.putRecord(asked, formatRecord(verified));
    this.#options.onProven?.(verified.head.size, verified.id);
    return verified;
  }

  /** Verifies a tree head and keeps it if it is the newest. @returns the newest one; throws as {@link learn} */
  async keepHead(note: Uint8Array): Promise<TreeHead> {
    const verifier = this.#verifier;
    const head = await verifier.verifyHead(note);
    this.#refuseForgotten(verifier);
    this.#options.onProven?.(head.size, undefined);
    return head;
  }

  /** Verifies a tile and keeps it. @returns `false` if it is past the newest tree; throws as {@link learn} */
  async keepTile(tile: Tile, bytes: Uint8Array): Promise<boolean> {
    const verifier = this.#verifier;
    const isProven = await verifier.verifyTile(tile, bytes); // This stores hash tiles itself.
    this.#refuseForgotten(verifier);
    if (isProven && tile.level === DATA_LEVEL) await this.#options.store.putTile(tile, bytes);
    return isProven;
  }

  #newVerifier(): SumdbVerifier {
    const { key, store, events, readRemote } = this.#options;
    const ifCurrent = (write: () => Promise<void>) =>
      this.#verifier === verifier ? write() : Promise.resolve();
    const verifier: SumdbVerifier = new SumdbVerifier(key, {
      readRemote,
      readCache: (tile) => store.tile(tile),
      writeCache: (tile, bytes) => ifCurrent(() => store.putTile(tile, bytes)),
      loadHead: () => this.#forgotten.then(() => this.#loadHead()),
      saveHead: (note) => ifCurrent(() => store.putHead(note)),
      securityEvent: (message) => events.securityEvent(message),
    });
    return verifier;
  }

  /** @throws {Busy} the tree that something was proven in was forgotten meanwhile */
  #refuseForgotten(verifier: SumdbVerifier): void {
    if (verifier === this.#verifier) return;
    throw new Busy(`checksum database ${this.#options.name} was forgotten meanwhile; ask again`);
  }

  /** The stored tree head. If another key signed it, all stored files are dropped, as they belong to another tree. */
  async #loadHead(): Promise<Uint8Array | undefined> {
    const { name, key, store, events } = this.#options;
    const note = await store.head();
    if (note === undefined || !isOfOthers(note, key)) return note;
    events.sumdbKeyChanged(name);
    await store.forget();
    return undefined;
  }
}

/** The file is not stored and nobody was asked. So this says nothing about the database. */
export class NotStored extends NotFound {}

export function notStored(path: string): NotStored {
  return new NotStored(
    `cannot find ${quote(path)}: not stored, and the request or --offline forbids to ask upstream`,
  );
}
