/**
 * The tiles of one verification: read, proven, and kept only once the whole verification holds.
 *
 * Verifications that run at one time share what they fetch: a tile's bytes stay at hand until the
 * verification that fetched them ends, by when they are stored or thrown away.
 *
 * Follows `readTile` and `SaveTiles` of golang.org/x/mod/sumdb/client.go.
 */

import { CheckFailed, UpstreamDown } from '../core/errors.ts';
import type { Hash } from './hash.ts';
import type { SumdbOps } from './sumdb-ops.ts';
import { cutTile, fullWidth, isFullTile, type Tile, tileBytes, tilePath } from './tile.ts';
import { planTiles } from './tile-plan.ts';
import { exactTile, proveTiles } from './tile-proof.ts';
import type { Tree } from './tree-head.ts';

/** Where tiles come from for all verifications of one database. */
export class TileSource {
  readonly ops: SumdbOps;
  readonly #fetched = new Map<string, Promise<Uint8Array>>();

  constructor(ops: SumdbOps) {
    this.ops = ops;
  }

  /** Tiles fetched for verifications that have not ended. */
  get size(): number {
    return this.#fetched.size;
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

type HeldTile = { readonly tile: Tile; readonly bytes: Uint8Array; readonly isStored: boolean };

export class TileSession {
  /** Paths whose bytes the source holds on this session's behalf. */
  readonly started: string[] = [];
  readonly #source: TileSource;
  readonly #given: ReadonlyMap<string, Uint8Array>;
  readonly #proven = new Map<string, HeldTile>();

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
    const tiles = plan.tiles.map(({ tile }) => tile);
    const read = await Promise.all(tiles.map((tile) => this.#read(tile)));
    try {
      return this.#prove(() => proveTiles(tree, plan, read.map(bytesOf)), read);
    } catch (error) {
      if (!(error instanceof CheckFailed) || !read.some(({ isStored }) => isStored)) throw error;
      const again = await Promise.all(read.map((held) => this.#readAnew(held))).catch(() => {
        throw error;
      });
      return this.#prove(() => proveTiles(tree, plan, again.map(bytesOf)), again);
    }
  }

  /** The bytes of a tile that {@link readHashes} has proven here. */
  provenBytes(tile: Tile): Uint8Array | undefined {
    return this.#proven.get(tilePath(tile))?.bytes;
  }

  /** Stores what was proven and is not stored yet. */
  async keep(): Promise<void> {
    const fresh = [...this.#proven.values()].filter(({ isStored }) => !isStored);
    await Promise.all(fresh.map(({ tile, bytes }) => this.#source.ops.writeCache(tile, bytes)));
  }

  #prove(prove: () => Hash[], read: readonly HeldTile[]): Hash[] {
    const hashes = prove();
    for (const held of read) this.#proven.set(tilePath(held.tile), held);
    return hashes;
  }

  async #read(tile: Tile): Promise<HeldTile> {
    const path = tilePath(tile);
    const proven = this.#proven.get(path);
    if (proven !== undefined) return proven;
    const given = this.#given.get(path);
    if (given !== undefined) return { tile, bytes: given, isStored: false };
    const stored = await this.#source.ops.readCache(tile);
    if (stored !== undefined && stored.length >= tileBytes(tile)) {
      return { tile, bytes: cutTile(stored, tile.width), isStored: true };
    }
    return { tile, bytes: await this.#source.fetch(tile, this), isStored: false };
  }

  async #readAnew(held: HeldTile): Promise<HeldTile> {
    if (!held.isStored) return held;
    return { tile: held.tile, bytes: await this.#source.fetch(held.tile, this), isStored: false };
  }
}

function bytesOf({ bytes }: HeldTile): Uint8Array {
  return bytes;
}
