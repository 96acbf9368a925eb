/**
 * Plans the tiles of a proof: a client reads them to trust a tree head, a record or an older tree head.
 *
 * A plan starts with the tiles at the tree's right edge. Their hashes make up the hash of the tree. From there it goes
 * down to the wanted tiles. Each tile below the edge is full, and its parent proves it.
 *
 * Follows `tileHashReader.ReadHashes` of golang.org/x/mod/sumdb/tlog/tile.go: the `go` command asks for exactly
 * these tiles.
 */

import { TILE_HEIGHT, type Tile, tileForIndex, tileInTree } from './tile.ts';
import { storedHashIndex, subtreeIndexes } from './tlog.ts';

/** A stored hash, and the position in the plan of the tile that holds it. */
export type PlannedHash = { readonly index: number; readonly position: number };

export type PlannedTile = {
  readonly tile: Tile;
  /** The position of the tile above, which proves this one; `undefined` at the right edge. */
  readonly parent: number | undefined;
};

export type TilePlan = {
  /** Each tile once, parents before children. */
  readonly tiles: readonly PlannedTile[];
  /** The hashes that make up the tree's hash, from the left. */
  readonly edge: readonly PlannedHash[];
  /** The wanted hashes, in their order. */
  readonly wanted: readonly PlannedHash[];
};

/**
 * Plans the reading of stored hashes in a tree of `size` records.
 *
 * @throws {RangeError} an index outside the tree, which is a bug of the caller
 */
export function planTiles(size: number, indexes: readonly number[]): TilePlan {
  const end = storedHashIndex(0, size);
  const plan = new Plan(size);
  const edge = subtreeIndexes(0, size).map((index) => ({ index, position: plan.placeEdge(index) }));
  const wanted = indexes.map((index) => {
    if (index >= end)
      throw new RangeError(`cannot plan tiles: hash ${index} is not in a tree of ${size} records`);
    return { index, position: plan.place(index) };
  });
  return { tiles: plan.tiles, edge, wanted };
}

/** The tiles at the right edge of a tree of `size` records. They prove its tree head. */
export function edgeTiles(size: number): Tile[] {
  return tilesOf(planTiles(size, []));
}

/** The tiles that prove record `id` in a tree of `size` records, including its right edge. */
export function recordTiles(size: number, id: number): Tile[] {
  return tilesOf(planTiles(size, [storedHashIndex(0, id)]));
}

/** The tiles that prove that a tree of `size` records begins with the tree of `olderSize`, including its right edge. */
export function treeTiles(size: number, olderSize: number): Tile[] {
  return tilesOf(planTiles(size, subtreeIndexes(0, olderSize)));
}

function tilesOf(plan: TilePlan): Tile[] {
  return plan.tiles.map(({ tile }) => tile);
}

/** A plan under construction: its tiles so far, and their positions. */
class Plan {
  readonly tiles: PlannedTile[] = [];
  readonly #size: number;
  readonly #positions = new Map<string, number>();

  constructor(size: number) {
    this.#size = size;
  }

  /** The position of the tile at the right edge that holds `index`. */
  placeEdge(index: number): number {
    const tile = this.#widest(tileForIndex(TILE_HEIGHT, index));
    return this.#positions.get(keyOf(tile)) ?? this.#add(tile, undefined);
  }

  /** The position of the tile that holds `index`. Tiles above it that are missing in the plan are added first. */
  place(index: number): number {
    const missing: Tile[] = [];
    let tile = this.#widest(tileForIndex(TILE_HEIGHT, index));
    let position = this.#positions.get(keyOf(tile));
    while (position === undefined) {
      missing.push(tile);
      // The loop ends at the right edge at the latest, as all tiles there are planned.
      tile = this.#widest(parentOf(tile));
      position = this.#positions.get(keyOf(tile));
    }
    for (const child of missing.reverse()) position = this.#add(child, position);
    return position;
  }

  #add(tile: Tile, parent: number | undefined): number {
    this.#positions.set(keyOf(tile), this.tiles.length);
    return this.tiles.push({ tile, parent }) - 1;
  }

  #widest(place: Omit<Tile, 'width'>): Tile {
    const tile = tileInTree(place, this.#size);
    if (tile === undefined)
      throw new RangeError(`cannot plan tiles: none at ${keyOf(place)} in a tree of ${this.#size}`);
    return tile;
  }
}

function parentOf({ height, level, number }: Tile): Omit<Tile, 'width'> {
  return { height, level: level + 1, number: Math.floor(number / 2 ** height) };
}

// The key needs no width: the tree's size sets it.
function keyOf({ level, number }: Omit<Tile, 'width'>): string {
  return `${level}/${number}`;
}
