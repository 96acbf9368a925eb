/**
 * The checksum database's client side: believes a record only when a signed tree holds it, and a
 * tree only when it holds the one believed before.
 *
 * A verification keeps all it proved, tiles and head, or nothing. A database that signs two
 * histories, or a head that its key did not sign, is a security event; the old head stays.
 *
 * Follows golang.org/x/mod/sumdb/client.go, without its caches of records: who calls keeps those.
 */

import { BadRequest, CheckFailed, messageOf } from '../core/errors.ts';
import { escapeModulePath, type ModulePath } from '../core/module-path.ts';
import { escapeVersion, type Version } from '../core/version.ts';
import { emptyHash, formatHash, type Hash, isSameHash, recordHash } from './hash.ts';
import { BadSignature, formatNote, type Note, type NoteVerifier, openNote } from './note.ts';
import { hashesOfDataTile, linesFor, parseRecord, type SumRecord } from './record.ts';
import type { SumdbOps } from './sumdb-ops.ts';
import { cutTile, DATA_LEVEL, TILE_HEIGHT, type Tile, tileInTree, tilePath } from './tile.ts';
import { exactTile } from './tile-proof.ts';
import { type TileSession, TileSource } from './tile-session.ts';
import { storedHashIndex, treeHash } from './tlog.ts';
import { describeTree, parseTree, type TreeHead } from './tree-head.ts';

/** What a record is looked up by; plain, not escaped. */
export type ModuleVersion = { readonly module: ModulePath; readonly version: Version };

/** Tiles by their path. */
export type GivenTiles = ReadonlyMap<string, Uint8Array>;

export type VerifiedLookup = {
  /** The record's number in the tree. */
  readonly id: number;
  /** The record, byte by byte, a view into the answer: go.sum lines, of other versions too if the database put them there. */
  readonly text: Uint8Array;
  /** Its go.sum lines for the version asked for: `module version h1:…` and `module version/go.mod h1:…`. At least one. */
  readonly lines: readonly string[];
  /** The head in the answer: on the timeline, newest or not. */
  readonly answered: TreeHead;
  /** The newest head proven so far, in which the record was found. */
  readonly head: TreeHead;
};

export class SumdbVerifier {
  readonly #key: NoteVerifier;
  readonly #ops: SumdbOps;
  readonly #tiles: TileSource;
  /** The newest head proven. Moves forward only, and only from the head it was compared with. */
  #head: TreeHead | undefined;
  #loaded: Promise<void> | undefined;
  #saved: TreeHead | undefined;
  #saving: Promise<void> = Promise.resolve();

  /** @param key what {@link parseVerifierKey} made of the database's key */
  constructor(key: NoteVerifier, ops: SumdbOps) {
    this.#key = key;
    this.#ops = ops;
    this.#tiles = new TileSource(ops, (tree) => tree === this.#head);
  }

  /**
   * The newest head proven, from the store at first; `undefined` before the very first one.
   *
   * @throws {CheckFailed} the stored head is not signed by the key
   */
  async head(): Promise<TreeHead | undefined> {
    this.#loaded ??= this.#load();
    await this.#loaded;
    return this.#head;
  }

  /** The newest head that is stored, too: a crash does not take it back from those who were told. */
  async savedHead(): Promise<TreeHead | undefined> {
    await this.head();
    return this.#saved;
  }

  /**
   * Asks the database for a module version and verifies the answer.
   *
   * @throws {CheckFailed} see {@link verifyAnswer}
   * @throws what `readRemote` throws: NotFound for a module the database does not have
   */
  async verifyLookup(asked: ModuleVersion): Promise<VerifiedLookup> {
    return this.verifyAnswer(asked, await this.#ops.readRemote(lookupPath(asked)));
  }

  /**
   * Verifies a lookup's answer, wherever it comes from, and keeps its head and tiles.
   *
   * @param given tiles at hand, by their path: used before what is stored or fetched, proven like all others
   * @throws {CheckFailed} malformed, badly signed, forked, about another module, or not in the tree; nothing is kept
   * @throws what `readRemote` throws for the tiles needed
   */
  async verifyAnswer(asked: ModuleVersion, answer: Uint8Array, given?: GivenTiles): Promise<VerifiedLookup> {
    const { rest, ...record } = parseRecord(answer);
    const lines = linesFor(record.text, asked);
    if (lines.length === 0)
      throw new CheckFailed(`cannot verify ${nameOf(asked)}: the answer is about another module`);
    const answered = await this.#openHead(rest);
    const check = (newest: TreeHead, tiles: TileSession) => checkRecord(newest, record, tiles);
    const head = await this.#agree(answered, check, given);
    return { ...record, lines, answered, head };
  }

  /**
   * Verifies a signed head, as `/latest` answers it, and keeps it if it is the newest.
   *
   * @returns the newest head proven
   * @throws {CheckFailed} malformed, badly signed, or forked; nothing is kept
   */
  async verifyHead(note: Uint8Array): Promise<TreeHead> {
    return this.#agree(await this.#openHead(note));
  }

  /**
   * Verifies a tile's bytes in the newest head, and keeps the hash tiles that prove it.
   *
   * @param tile of hashes or of records, TILE_HEIGHT high
   * @returns whether it is proven; `false` where the tile is past the newest head, so nothing can be said
   * @throws {CheckFailed} the bytes are not that tile's; nothing is kept
   * @throws {BadRequest} another height
   */
  async verifyTile(tile: Tile, bytes: Uint8Array): Promise<boolean> {
    if (tile.height !== TILE_HEIGHT)
      throw new BadRequest(`cannot verify tile: not of height ${TILE_HEIGHT}: "${tilePath(tile)}"`);
    const head = await this.head();
    const place = { ...tile, level: Math.max(tile.level, 0) };
    const hashes = exactTile(place, tile.level === DATA_LEVEL ? hashesOfDataTile(bytes, tile.width) : bytes);
    const widest = head && tileInTree(place, head.size);
    if (head === undefined || widest === undefined || widest.width < tile.width) return false;
    await this.#tiles.session(
      async (tiles) => {
        await tiles.readHashes(head, [
          storedHashIndex(place.level * TILE_HEIGHT, place.number * 2 ** TILE_HEIGHT),
        ]);
        const proven = tiles.provenBytes(widest);
        if (proven === undefined || !isSameHash(cutTile(proven, tile.width), hashes)) {
          throw new CheckFailed(
            `cannot verify tile: not the one in the tree of ${head.size} records: "${tilePath(tile)}"`,
          );
        }
        await tiles.keep();
      },
      new Map([[tilePath(place), hashes]]),
    );
    return true;
  }

  async #load(): Promise<void> {
    try {
      const note = await this.#ops.loadHead();
      if (note === undefined) return;
      this.#head = { ...parseTree(openNote(note, [this.#key]).text), note };
      this.#saved = this.#head;
    } catch (error) {
      // So that the next one tries again: a store comes back, a head may be put right.
      this.#loaded = undefined;
      throw error;
    }
  }

  async #openHead(note: Uint8Array): Promise<TreeHead> {
    const known = await this.head();
    let opened: Note;
    try {
      opened = openNote(note, [this.#key]);
    } catch (error) {
      if (error instanceof BadSignature)
        throw this.#caught(
          `${messageOf(error)}: known head ${describeTree(known)}, answered ${claimOf(note)}`,
        );
      throw error;
    }
    return { ...parseTree(opened.text), note: formatNote(opened) };
  }

  /**
   * Brings `answered` and the newest head onto one timeline, then runs `check` in the newer of them;
   * keeps head and tiles once all of it holds.
   */
  async #agree(
    answered: TreeHead,
    check?: (newest: TreeHead, tiles: TileSession) => Promise<void>,
    given?: GivenTiles,
  ): Promise<TreeHead> {
    return this.#tiles.session(async (tiles) => {
      for (;;) {
        const known = await this.head();
        const newest = known !== undefined && known.size >= answered.size ? known : answered;
        if (known !== undefined)
          await this.#checkContains(
            { older: newest === known ? answered : known, newer: newest, known },
            tiles,
          );
        await check?.(newest, tiles);
        // Another verification may have moved the head meanwhile; then this one proves itself against that.
        if (newest === answered && this.#head !== known) continue;
        if (newest === answered) this.#head = answered;
        await tiles.keep();
        await this.#save();
        return newest;
      }
    }, given);
  }

  async #checkContains(
    { older, newer, known }: { older: TreeHead; newer: TreeHead; known: TreeHead },
    tiles: TileSession,
  ): Promise<void> {
    if (older.size === newer.size && isSameHash(older.hash, newer.hash)) return;
    const found = older.size === newer.size ? newer.hash : await this.#prefixHash(older, newer, tiles);
    if (isSameHash(found, older.hash)) return;
    const answered = known === newer ? older : newer;
    throw this.#caught(
      `cannot trust tree head: fork: known ${describeTree(known)}, answered ${describeTree(answered)}, where the first ${older.size} records of the larger hash to "${formatHash(found)}"`,
    );
  }

  #prefixHash(older: TreeHead, newer: TreeHead, tiles: TileSession): Promise<Hash> {
    return treeHash(older.size, (indexes) => tiles.readHashes(newer, indexes));
  }

  /** Saves one head at a time, always the newest there is. */
  #save(): Promise<void> {
    const save = async (): Promise<void> => {
      const head = this.#head;
      if (head === undefined || head === this.#saved) return;
      await this.#ops.saveHead(head.note);
      this.#saved = head;
    };
    this.#saving = this.#saving.then(save, save);
    return this.#saving;
  }

  #caught(what: string): CheckFailed {
    const message = `checksum database ${this.#key.name}: ${what}`;
    this.#ops.securityEvent(message);
    return new CheckFailed(message);
  }
}

/** The path to ask for a module version: `lookup/`, and both escaped as in module proxy URLs. */
export function lookupPath({ module, version }: ModuleVersion): string {
  return `lookup/${escapeModulePath(module)}@${escapeVersion(version)}`;
}

function nameOf({ module, version }: ModuleVersion): string {
  return JSON.stringify(`${module}@${version}`);
}

async function checkRecord(tree: TreeHead, { id, text }: SumRecord, tiles: TileSession): Promise<void> {
  if (id >= tree.size)
    throw new CheckFailed(`cannot verify record ${id}: the tree has ${describeTree(tree)}`);
  const [leaf] = await tiles.readHashes(tree, [storedHashIndex(0, id)]);
  if (leaf !== undefined && isSameHash(leaf, recordHash(text))) return;
  throw new CheckFailed(
    `cannot verify record ${id}: the tree of ${tree.size} records has another "${formatHash(leaf ?? emptyHash)}"`,
  );
}

/** What a badly signed note says of itself, for the log. */
function claimOf(note: Uint8Array): string {
  try {
    return describeTree(parseTree(Buffer.from(note).toString('utf8')));
  } catch {
    return JSON.stringify(Buffer.from(note.subarray(0, 100)).toString('utf8'));
  }
}
