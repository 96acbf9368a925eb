/**
 * The proof that tiles belong to a tree: it compares their hashes with the tree's hash. All are proven, or none.
 *
 * Follows `tileHashReader.ReadHashes` of golang.org/x/mod/sumdb/tlog/tile.go.
 */

import { CheckFailed } from '../core/errors.ts';
import { formatHash, HASH_BYTES, type Hash, isSameHash, rootHash } from './hash.ts';
import { fullWidth, hashFromTile, type Tile, tileBytes, tilePath } from './tile.ts';
import type { PlannedHash, PlannedTile, TilePlan } from './tile-plan.ts';
import { subtreeHash } from './tlog.ts';
import type { Tree } from './tree-head.ts';

/** The bytes that were read for a planned tile. */
export type TileRead = {
  readonly bytes: Uint8Array;
  /** Proven before, in this tree or an older one on its timeline. It is not hashed again. */
  readonly isProven: boolean;
};

/**
 * Proves the plan's tiles in `tree` and takes the wanted hashes from them.
 *
 * @param reads one for each tile of the plan, in its order
 * @returns the wanted hashes in their order, each proven to be in the tree
 * @throws {CheckFailed} a tile is short or long, or the tiles do not make up the tree's hash
 */
export function proveTiles(tree: Tree, plan: TilePlan, reads: readonly TileRead[]): Hash[] {
  const tiles = plan.tiles.map((planned, position) => readTile(planned, reads[position]));
  if (plan.edge.some(({ position }) => tiles[position]?.isProven !== true)) {
    const hashes = plan.edge.map((place) => hashAt(tiles, place));
    proveEdge(tree, hashes);
  }
  for (const tile of tiles) if (!tile.isProven) proveChild(tile, tiles);
  return plan.wanted.map((place) => hashAt(tiles, place));
}

type ReadTile = PlannedTile & TileRead;

function readTile(planned: PlannedTile, read: TileRead | undefined): ReadTile {
  return { ...planned, bytes: exactTile(planned.tile, read?.bytes), isProven: read?.isProven === true };
}

function proveEdge(tree: Tree, hashes: readonly Hash[]): void {
  const root = subtreeHash(hashes);
  if (isSameHash(root, tree.hash)) return;
  // At least one tile is wrong, but nothing tells which one.
  throw new CheckFailed(
    `cannot verify tiles: the right edge hashes to "${formatHash(root)}", not to the head of ${tree.size} records "${formatHash(tree.hash)}"`,
  );
}

/** Proves a tile below the edge. It is full, so its root must be one of its parent's hashes. */
function proveChild({ tile, bytes, parent }: ReadTile, tiles: readonly ReadTile[]): void {
  const above = parent === undefined ? undefined : tiles[parent];
  if (above === undefined) return;
  const at = (tile.number % fullWidth(tile.height)) * HASH_BYTES;
  if (isSameHash(rootHash(bytes), above.bytes.subarray(at, at + HASH_BYTES))) return;
  throw new CheckFailed(
    `cannot verify tile: its parent ${tilePath(above.tile)} has another hash: "${tilePath(tile)}"`,
  );
}

function hashAt(tiles: readonly ReadTile[], { index, position }: PlannedHash): Hash {
  const holder = tiles[position];
  if (holder === undefined) throw new RangeError(`cannot prove tiles: no tile ${position} in the plan`);
  return hashFromTile(holder.tile, holder.bytes, index);
}

/**
 * Returns the bytes of a hash tile.
 *
 * @throws {CheckFailed} they do not have the tile's size
 */
export function exactTile(tile: Tile, bytes: Uint8Array | undefined): Uint8Array {
  if (bytes?.length === tileBytes(tile)) return bytes;
  throw new CheckFailed(
    `cannot verify tile: ${bytes?.length ?? 0} bytes where it has ${tileBytes(tile)}: "${tilePath(tile)}"`,
  );
}
