/**
 * The client side of a checksum database. It accepts a record only if a signed tree holds it, and a tree only if it
 * continues the tree that it knows. "Head" means a tree head here.
 *
 * A verification keeps all that it proved, tiles and tree head, or nothing. Two histories signed by the database are a
 * security event, and so is a tree head that its key did not sign. The old tree head stays then.
 *
 * Follows golang.org/x/mod/sumdb/client.go, but has no cache of records: callers keep those.
 */

import { BadRequest, CheckFailed, messageOf } from '../core/errors.ts';
import { escapeModulePath, type ModulePath } from '../core/module-path.ts';
import { quote } from '../core/quote.ts';
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

/** The module version of a lookup; plain, not escaped. */
export type ModuleVersion = { readonly module: ModulePath; readonly version: Version };

/** Tiles by their paths. */
export type GivenTiles = ReadonlyMap<string, Uint8Array>;

export type VerifiedLookup = {
  /** The record's number in the tree. */
  readonly id: number;
  /** The record's text as a view into the answer: go.sum lines. They may include lines of other versions. */
  readonly text: Uint8Array;
  /** The go.sum lines of this version: `module version h1:…` and `module version/go.mod h1:…`. At least one. */
  readonly lines: readonly string[];
  /** The tree head in the answer. It is on the timeline, but not always the newest. */
  readonly answered: TreeHead;
  /** The newest proven tree head. Its tree holds the record. */
  readonly head: TreeHead;
};

export class SumdbVerifier {
  readonly #key: NoteVerifier;
  readonly #ops: SumdbOps;
  readonly #tiles: TileSource;
  /** The newest proven head. A new one replaces it only after a comparison with it, and only if it is larger. */
  #head: TreeHead | undefined;
  #loaded: Promise<void> | undefined;
  #saved: TreeHead | undefined;
  #saving: Promise<void> = Promise.resolve();

  /** @param key the database's key, from {@link parseVerifierKey} */
  constructor(key: NoteVerifier, ops: SumdbOps) {
    this.#key = key;
    this.#ops = ops;
    this.#tiles = new TileSource(ops, (tree) => tree === this.#head);
  }

  /**
   * The newest proven head, read from the store at first; `undefined` before the first one.
   *
   * @throws {CheckFailed} the stored head is not signed by the key
   */
  async head(): Promise<TreeHead | undefined> {
    this.#loaded ??= this.#load();
    await this.#loaded;
    return this.#head;
  }

  /** The newest head that is proven and stored. Clients are told only of this one, as it survives a crash. */
  async savedHead(): Promise<TreeHead | undefined> {
    await this.head();
    return this.#saved;
  }

  /**
   * Asks the database for a module version and verifies the answer.
   *
   * @throws {CheckFailed} see {@link verifyAnswer}
   * @throws all errors of `readRemote`: NotFound if the database does not have the module
   */
  async verifyLookup(asked: ModuleVersion): Promise<VerifiedLookup> {
    return this.verifyAnswer(asked, await this.#ops.readRemote(lookupPath(asked)));
  }

  /**
   * Verifies a lookup's answer from any place, and keeps its head and tiles.
   *
   * @param given tiles by their paths. They are used before stored and fetched ones, and proven like all others
   * @throws {CheckFailed} malformed, badly signed, forked, about another module, or not in the tree; nothing is kept
   * @throws all errors of `readRemote` for the tiles of the proof
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
   * Verifies a signed head, such as the answer of `/latest`, and keeps it if it is the newest.
   *
   * @returns the newest proven head
   * @throws {CheckFailed} malformed, badly signed, or forked; nothing is kept
   */
  async verifyHead(note: Uint8Array): Promise<TreeHead> {
    return this.#agree(await this.#openHead(note));
  }

  /**
   * Verifies a tile's bytes in the newest head, and keeps the hash tiles that prove it.
   *
   * @param tile a hash tile or a data tile of height TILE_HEIGHT
   * @returns whether it is proven; `false` if the tile is past the newest tree, so that nothing is known about it
   * @throws {CheckFailed} the bytes are not those of the tile; nothing is kept
   * @throws {BadRequest} the tile has another height
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
      // The next call tries again, as the store may work again or its head may be mended.
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
   * Proves that `answered` and the newest head are on one timeline, then runs `check` in the newer one. If both
   * succeed, it keeps the head and the tiles.
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
        // If another verification moved the head meanwhile, this one is compared with the new head.
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
      `; if it was rebuilt and you trust it, run: astera forget --sumdb ${this.#key.name}`,
    );
  }

  #prefixHash(older: TreeHead, newer: TreeHead, tiles: TileSession): Promise<Hash> {
    return treeHash(older.size, (indexes) => tiles.readHashes(newer, indexes));
  }

  /** Saves the newest head. Saves never overlap. */
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

  /** @param wayOut for the operator alone */
  #caught(what: string, wayOut = ''): CheckFailed {
    const message = `checksum database ${this.#key.name}: ${what}`;
    this.#ops.securityEvent(`${message}${wayOut}`);
    return new CheckFailed(message);
  }
}

/** The path of a lookup: `lookup/`, then module and version, escaped as in module proxy URLs. */
export function lookupPath({ module, version }: ModuleVersion): string {
  return `lookup/${escapeModulePath(module)}@${escapeVersion(version)}`;
}

function nameOf({ module, version }: ModuleVersion): string {
  return quote(`${module}@${version}`);
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

/** The tree that a badly signed note claims, for the log. */
function claimOf(note: Uint8Array): string {
  try {
    return describeTree(parseTree(Buffer.from(note).toString('utf8')));
  } catch {
    return quote(Buffer.from(note.subarray(0, 100)).toString('utf8'));
  }
}
