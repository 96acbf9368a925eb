/**
 * One checksum database's log as far as it is proven here: records, tiles and the newest head, in the store.
 *
 * Whatever comes in, from the database or from elsewhere, is verified first; nothing unproven is kept.
 * Asks nobody but by `readRemote`, and that only for the tiles of a proof.
 */

import { BadRequest, CheckFailed, NotFound } from '../core/errors.ts';
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
  /** Fetches what is missing of a proof, by its path below the database's root. */
  readonly readRemote: (path: string) => Promise<Uint8Array>;
  /** Told what was proven: the newest head's records, and the number of a record among them. */
  readonly onProven?: (size: number, id: number | undefined) => void;
};

export class ProvenLog {
  readonly #options: ProvenLogOptions;
  readonly #verifier: SumdbVerifier;

  constructor(options: ProvenLogOptions) {
    const { store, events } = options;
    this.#options = options;
    this.#verifier = new SumdbVerifier(options.key, {
      readRemote: options.readRemote,
      readCache: (tile) => store.tile(tile),
      writeCache: (tile, bytes) => store.putTile(tile, bytes),
      loadHead: () => this.#loadHead(),
      saveHead: (note) => store.putHead(note),
      securityEvent: (message) => events.securityEvent(message),
    });
  }

  /** The newest head proven; `undefined` before the first. */
  head(): Promise<TreeHead | undefined> {
    return this.#verifier.head();
  }

  /** The newest head that is stored, too: what clients are told of. */
  savedHead(): Promise<TreeHead | undefined> {
    return this.#verifier.savedHead();
  }

  /** Records of {@link savedHead}; 0 before the first. */
  async size(): Promise<number> {
    return (await this.savedHead())?.size ?? 0;
  }

  /** The stored record of a module version, as a lookup's answer starts with it. */
  record(asked: ModuleVersion): Promise<Uint8Array | undefined> {
    return this.#options.store.record(asked);
  }

  /** The stored tile at that place, as wide as it was ever seen. */
  async tile(tile: Tile): Promise<Uint8Array | undefined> {
    await this.head(); // What is stored counts under its key alone.
    return this.#options.store.tile(tile);
  }

  /**
   * Takes a lookup's answer or a tile from elsewhere, as if it were the database's own.
   *
   * @param given tiles by their path, which may prove it
   * @throws {CheckFailed} it is not proven; nothing is kept
   * @throws what `readRemote` throws for tiles that are neither given nor stored
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
    const verified = await this.#verifier.verifyAnswer(asked, answer, given);
    await this.#options.store.putRecord(asked, formatRecord(verified));
    this.#options.onProven?.(verified.head.size, verified.id);
    return verified;
  }

  /** Verifies a signed head and keeps it if it is the newest. @returns the newest; throws as {@link learn} */
  async keepHead(note: Uint8Array): Promise<TreeHead> {
    const head = await this.#verifier.verifyHead(note);
    this.#options.onProven?.(head.size, undefined);
    return head;
  }

  /** Verifies a tile and keeps it. @returns `false` where it is past the newest head; throws as {@link learn} */
  async keepTile(tile: Tile, bytes: Uint8Array): Promise<boolean> {
    const isProven = await this.#verifier.verifyTile(tile, bytes); // Which keeps tiles of hashes itself.
    if (isProven && tile.level === DATA_LEVEL) await this.#options.store.putTile(tile, bytes);
    return isProven;
  }

  /** The stored head; one by another key takes all that was stored with it away: it is of another tree. */
  async #loadHead(): Promise<Uint8Array | undefined> {
    const { name, key, store, events } = this.#options;
    const note = await store.head();
    if (note === undefined || !isOfOthers(note, key)) return note;
    events.sumdbKeyChanged(name);
    await store.forget();
    return undefined;
  }
}

/** Nobody was asked: it says nothing about the database. */
export class NotStored extends NotFound {}

export function notStored(path: string): NotStored {
  return new NotStored(
    `cannot find ${JSON.stringify(path)}: not stored, and the request or --offline forbids to ask`,
  );
}
