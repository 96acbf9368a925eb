/**
 * The tiles of one verification. They are read and proven, and kept only if the whole verification succeeds.
 *
 * Concurrent verifications share fetched tiles. A tile's bytes stay in memory until the verification that fetched them
 * ends. By then they are stored or dropped.
 *
 * Follows `readTile` and `SaveTiles` of golang.org/x/mod/sumdb/client.go.
 */

import { CheckFailed, UpstreamDown } from '../core/errors.ts';
import type { Hash } from './hash.ts';
import { SUMDB_TILES_TRUSTED_MAX } from './limits.ts';
import type { SumdbOps } from './sumdb-ops.ts';
import { cutTile, fullWidth, isFullTile, type Tile, tileBytes, tilePath } from './tile.ts';
import { planTiles, type TilePlan } from './tile-plan.ts';
import { exactTile, proveTiles } from './tile-proof.ts';
import type { Tree } from './tree-head.ts';

/** The tiles for all verifications of one database: from memory, the store and the network. */
export class TileSource {
  readonly ops: SumdbOps;
  /** Whether a tree is the newest proven one. Tiles that were proven on its timeline need no second proof. */
  readonly isBelieved: (tree: Tree) => boolean;
  readonly #fetched = new Map<string, Promise<Uint8Array>>();
  /** Proven tiles, the least recently used first. On one timeline the content of a path never changes. */
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
   * Remembers proven tiles, and stores those that are neither stored nor in memory. It also waits for the tiles that
   * other verifications are storing: the next tree head that is saved may need them.
   */
  async keep(tiles: readonly HeldTile[]): Promise<void> {
    const fresh = tiles.filter((held) => !held.isStored && !this.#trusted.has(held.path));
    // A copy: given bytes belong to the caller, and a cut tile would keep the whole one alive.
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
   * @param given tiles by their paths. They are used before stored ones, and proven like all others
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

  /** A tile's bytes from the database: unproven, of the right size. Concurrent sessions share one fetch. */
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

  /** Cuts a partial tile from the full one: a database drops partial tiles when the tile is full. */
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
  /** Paths of the fetches that this session started. The source holds their bytes until its end. */
  readonly started: string[] = [];
  readonly #source: TileSource;
  readonly #given: ReadonlyMap<string, Uint8Array>;
  readonly #proven = new Map<string, { readonly held: HeldTile; readonly tree: Tree }>();

  constructor(source: TileSource, given: ReadonlyMap<string, Uint8Array>) {
    this.#source = source;
    this.#given = given;
  }

  /**
   * The hashes at these indexes of `tree`, proven to be in it.
   *
   * If the proof with stored tiles fails, they are fetched again, as the disk may have damaged them.
   *
   * @throws {CheckFailed} the tiles do not prove the tree
   * @throws all errors of `readRemote`
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

  /** The bytes of a tile that {@link readHashes} has proven in this session. */
  provenBytes(tile: Tile): Uint8Array | undefined {
    return this.#proven.get(tilePath(tile))?.held.bytes;
  }

  /** Keeps the tiles that were proven in this session. */
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
