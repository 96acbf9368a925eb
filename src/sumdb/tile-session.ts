/**
 * The tiles of one verification: read, proven, and kept only once the whole verification holds.
 *
 * Verifications that run at one time share what they fetch: a tile's bytes stay at hand until the
 * verification that fetched them ends, by when they are stored or thrown away.
 *
 * Follows `readTile` and `SaveTiles` of golang.org/x/mod/sumdb/client.go.
 */

import { CheckFailed, UpstreamDown } from '../core/errors.ts';
import { SUMDB_TILES_TRUSTED_MAX } from '../core/limits.ts';
import type { Hash } from './hash.ts';
import type { SumdbOps } from './sumdb-ops.ts';
import { cutTile, fullWidth, isFullTile, type Tile, tileBytes, tilePath } from './tile.ts';
import { planTiles, type TilePlan } from './tile-plan.ts';
import { exactTile, proveTiles } from './tile-proof.ts';
import type { Tree } from './tree-head.ts';

/** Where tiles come from for all verifications of one database. */
export class TileSource {
  readonly ops: SumdbOps;
  /** Whether a tree is the newest head: then tiles proven on its timeline need no second proof. */
  readonly isBelieved: (tree: Tree) => boolean;
  readonly #fetched = new Map<string, Promise<Uint8Array>>();
  /** Tiles proven by verifications that held, the least used first. A name's content never changes on one timeline. */
  readonly #trusted = new Map<string, Uint8Array>();
  readonly #storing = new Map<string, Promise<void>>();

  constructor(ops: SumdbOps, isBelieved: (tree: Tree) => boolean) {
    this.ops = ops;
    this.isBelieved = isBelieved;
  }

  /** A tile that an earlier verification proved, if it is still in memory. */
  trusted(path: string): Uint8Array | undefined {
    const bytes = this.#trusted.get(path);
    if (bytes !== undefined) this.#touch(path, bytes);
    return bytes;
  }

  /**
   * Remembers proven tiles and stores those that are in neither store nor memory. Waits for those that
   * others are storing too: a head that is saved next may rest on them.
   */
  async keep(tiles: readonly HeldTile[]): Promise<void> {
    const fresh = tiles.filter((held) => !held.isStored && !this.#trusted.has(held.path));
    // A copy: what was given belongs to its giver, and a cut tile would hold on to the whole one.
    for (const { path, bytes } of tiles)
      if (!this.#trusted.has(path)) this.#touch(path, new Uint8Array(bytes));
    for (const held of fresh) this.#storing.set(held.path, this.#store(held));
    await Promise.all(this.#storing.values());
  }

  async #store({ tile, path, bytes }: HeldTile): Promise<void> {
    try {
      await this.ops.writeCache(tile, bytes);
    } catch (error) {
      this.#trusted.delete(path); // So that the next verification stores it.
      throw error;
    } finally {
      this.#storing.delete(path);
    }
  }

  #touch(path: string, bytes: Uint8Array): void {
    this.#trusted.delete(path);
    this.#trusted.set(path, bytes);
    const [oldest] = this.#trusted.keys();
    if (this.#trusted.size > SUMDB_TILES_TRUSTED_MAX && oldest !== undefined) this.#trusted.delete(oldest);
  }

  /**
   * Runs one verification.
   *
   * @param given tile bytes at hand, by their path: used before what is stored, proven like all others
   */
  async session<T>(
    verify: (tiles: TileSession) => Promise<T>,
    given?: ReadonlyMap<string, Uint8Array>,
  ): Promise<T> {
    const session = new TileSession(this, given ?? new Map());
    try {
      return await verify(session);
    } finally {
      for (const path of session.started) this.#fetched.delete(path);
    }
  }

  /** The bytes as the database gives them, unproven, of the right size. Fetched by `session` unless another did. */
  fetch(tile: Tile, session: TileSession): Promise<Uint8Array> {
    const path = tilePath(tile);
    const shared = this.#fetched.get(path);
    if (shared !== undefined) return shared;
    const fetched = this.#fetch(tile, path);
    this.#fetched.set(path, fetched);
    session.started.push(path);
    return fetched;
  }

  async #fetch(tile: Tile, path: string): Promise<Uint8Array> {
    let bytes: Uint8Array;
    try {
      bytes = await this.ops.readRemote(path);
    } catch (error) {
      if (isFullTile(tile) || error instanceof UpstreamDown) throw error;
      return this.#fetchCut(tile, error);
    }
    return exactTile(tile, bytes);
  }

  /** A partial tile that is gone has become a full one. */
  async #fetchCut(tile: Tile, why: unknown): Promise<Uint8Array> {
    const full = { ...tile, width: fullWidth(tile.height) };
    const bytes = await this.ops.readRemote(tilePath(full)).catch(() => {
      throw why;
    });
    return cutTile(exactTile(full, bytes), tile.width);
  }
}

type HeldTile = {
  readonly tile: Tile;
  readonly path: string;
  readonly bytes: Uint8Array;
  /** It came from the store, or from memory. */
  readonly isStored: boolean;
  /** It came from memory. */
  readonly isTrusted: boolean;
};

export class TileSession {
  /** Paths whose bytes the source holds on this session's behalf. */
  readonly started: string[] = [];
  readonly #source: TileSource;
  readonly #given: ReadonlyMap<string, Uint8Array>;
  readonly #proven = new Map<string, { readonly held: HeldTile; readonly tree: Tree }>();

  constructor(source: TileSource, given: ReadonlyMap<string, Uint8Array>) {
    this.#source = source;
    this.#given = given;
  }

  /**
   * The hashes at these indices of `tree`, proven to be in it.
   *
   * A stored tile that fails is fetched anew: a disk may have lost it.
   *
   * @throws {CheckFailed} the tiles do not support the tree
   * @throws what `readRemote` throws
   */
  async readHashes(tree: Tree, indexes: readonly number[]): Promise<Hash[]> {
    const plan = planTiles(tree.size, indexes);
    const read = await Promise.all(plan.tiles.map(({ tile }) => this.#read(tile)));
    try {
      return this.#prove(tree, plan, read);
    } catch (error) {
      if (!(error instanceof CheckFailed) || !read.some(({ isStored }) => isStored)) throw error;
      const again = await Promise.all(read.map((held) => this.#readAnew(held))).catch(() => {
        throw error;
      });
      return this.#prove(tree, plan, again);
    }
  }

  /** The bytes of a tile that {@link readHashes} has proven here. */
  provenBytes(tile: Tile): Uint8Array | undefined {
    return this.#proven.get(tilePath(tile))?.held.bytes;
  }

  /** Keeps what was proven. */
  keep(): Promise<void> {
    return this.#source.keep([...this.#proven.values()].map(({ held }) => held));
  }

  #prove(tree: Tree, plan: TilePlan, read: readonly HeldTile[]): Hash[] {
    const isBelieved = this.#source.isBelieved(tree);
    const reads = read.map(({ path, bytes, isTrusted }) => ({
      bytes,
      isProven: (isTrusted && isBelieved) || this.#proven.get(path)?.tree === tree,
    }));
    const hashes = proveTiles(tree, plan, reads);
    for (const held of read) this.#proven.set(held.path, { held, tree });
    return hashes;
  }

  async #read(tile: Tile): Promise<HeldTile> {
    const path = tilePath(tile);
    const here = this.#proven.get(path)?.held;
    if (here !== undefined) return here;
    const given = this.#given.get(path);
    if (given !== undefined) return { tile, path, bytes: given, isStored: false, isTrusted: false };
    const trusted = this.#source.trusted(path);
    if (trusted !== undefined) return { tile, path, bytes: trusted, isStored: true, isTrusted: true };
    const stored = await this.#source.ops.readCache(tile);
    if (stored !== undefined && stored.length >= tileBytes(tile)) {
      return { tile, path, bytes: cutTile(stored, tile.width), isStored: true, isTrusted: false };
    }
    return this.#fetch(tile, path);
  }

  async #readAnew(held: HeldTile): Promise<HeldTile> {
    return held.isStored ? this.#fetch(held.tile, held.path) : held;
  }

  async #fetch(tile: Tile, path: string): Promise<HeldTile> {
    return { tile, path, bytes: await this.#source.fetch(tile, this), isStored: false, isTrusted: false };
  }
}
