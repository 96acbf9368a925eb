/**
 * Tiles: rows of a log's hashes or records, each with a name.
 *
 * Tile N of height H at level L lists the hashes at tree level H·L, from number N·2^H on. A full tile has 2^H of them,
 * a partial one fewer. The hashes above them, up to the next tile's level, are computed. The content under a name never
 * changes. A partial tile is the beginning of the full one.
 *
 * Follows golang.org/x/mod/sumdb/tlog/tile.go.
 */

import { BadRequest, CheckFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { HASH_BYTES, type Hash, rootHash } from './hash.ts';
import { splitStoredHashIndex, TREE_SIZE_MAX } from './tlog.ts';

export type Tile = {
  /** 1 to 30; checksum databases use {@link TILE_HEIGHT}. */
  readonly height: number;
  /** 0 to 63, or {@link DATA_LEVEL}. */
  readonly level: number;
  /** The tile's number within its level. */
  readonly number: number;
  /** The number of its hashes or records: 1 to 2^height. A full tile has 2^height. */
  readonly width: number;
};

/** The height that the `go` command uses (x/mod/sumdb/client.go). So a full tile has 8192 bytes. */
export const TILE_HEIGHT = 8;

/** The level of tiles that hold records instead of hashes. */
export const DATA_LEVEL = -1;

/** The width of a full tile. */
export function fullWidth(height: number): number {
  return 2 ** height;
}

export function isFullTile(tile: Tile): boolean {
  return tile.width === fullWidth(tile.height);
}

/** The size of a hash tile, in bytes. */
export function tileBytes(tile: Tile): number {
  return tile.width * HASH_BYTES;
}

/** The tile's path below the database's root, such as `tile/8/0/x001/x234/067.p/12`. */
export function tilePath({ height, level, number, width }: Tile): string {
  let digits = threeDigits(number % 1000);
  for (let rest = Math.floor(number / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    digits = `x${threeDigits(rest % 1000)}/${digits}`;
  }
  const partial = width === fullWidth(height) ? '' : `.p/${width}`;
  return `tile/${height}/${level === DATA_LEVEL ? 'data' : level}/${digits}${partial}`;
}

/**
 * The inverse of {@link tilePath}. It accepts no other spelling of the same tile.
 *
 * It accepts any height up to 30. Servers of tiles must check that it is {@link TILE_HEIGHT}.
 *
 * @throws {BadRequest} the path is not canonical, or the tile is past a tree of TREE_SIZE_MAX records
 */
export function parseTilePath(path: string): Tile {
  const match = path.length <= PATH_LENGTH_MAX ? TILE_PATH.exec(path) : null;
  if (match === null) throw malformed(path);
  const [, height = '', level = '', digits = '', width] = match;
  const tile = {
    height: Number(height),
    level: level === 'data' ? DATA_LEVEL : Number(level),
    number: Number(digits.replace(/[x/]/g, '')),
    width: width === undefined ? fullWidth(Number(height)) : Number(width),
  };
  if (!isInSomeTree(tile) || tilePath(tile) !== path) throw malformed(path);
  return tile;
}

function malformed(path: string): BadRequest {
  return new BadRequest(`cannot parse tile path: malformed: ${quote(path.slice(0, PATH_LENGTH_MAX))}`);
}

function isInSomeTree({ height, level, number, width }: Tile): boolean {
  if (height > HEIGHT_MAX || level > LEVEL_MAX || width > fullWidth(height)) return false;
  return number * 2 ** (height * (Math.max(level, 0) + 1)) <= TREE_SIZE_MAX;
}

const HEIGHT_MAX = 30;
const LEVEL_MAX = 63;

// The longest path of a tile in a tree of TREE_SIZE_MAX records is far shorter.
const PATH_LENGTH_MAX = 64;

const TILE_PATH = /^tile\/([1-9]\d?)\/(data|0|[1-9]\d?)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,9}))?$/;

function threeDigits(value: number): string {
  return String(value).padStart(3, '0');
}

/** The narrowest tile that holds the stored hash `index`. */
export function tileForIndex(height: number, index: number): Tile {
  return placeInTiles(height, index).tile;
}

/**
 * The stored hash `index`, computed from a tile's bytes.
 *
 * @throws {RangeError} the tile or its bytes do not hold this hash, which is a bug of the caller
 */
export function hashFromTile(tile: Tile, bytes: Uint8Array, index: number): Hash {
  const place = placeInTiles(tile.height, index);
  const isHere = place.tile.level === tile.level && place.tile.number === tile.number;
  if (!isHere || place.tile.width > tile.width || bytes.length < tileBytes(tile)) {
    throw new RangeError(`cannot take hash ${index} from ${tilePath(tile)} of ${bytes.length} bytes`);
  }
  return rootHash(bytes.subarray(place.from * HASH_BYTES, place.to * HASH_BYTES));
}

/** The tile that holds an index, and the range of its hashes that make up the wanted hash. */
function placeInTiles(height: number, index: number): { tile: Tile; from: number; to: number } {
  const split = splitStoredHashIndex(index);
  const level = Math.floor(split.level / height);
  const levelInTile = split.level % height;
  const perTile = 2 ** (height - levelInTile);
  const number = Math.floor(split.number / perTile);
  const from = (split.number % perTile) * 2 ** levelInTile;
  const to = from + 2 ** levelInTile;
  return { tile: { height, level, number, width: to }, from, to };
}

/** The tile at this place in a tree of `size` records, at its full width there; `undefined` if the tree has none. */
export function tileInTree(place: Omit<Tile, 'width'>, size: number): Tile | undefined {
  const { height, level, number } = place;
  const hashes = Math.floor(size / 2 ** (height * Math.max(level, 0)));
  const width = Math.min(fullWidth(height), hashes - number * fullWidth(height));
  return width > 0 ? { height, level, number, width } : undefined;
}

/** The hash tiles that are new when a tree grows from `oldSize` to `newSize` records. */
export function newTiles(height: number, oldSize: number, newSize: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0; newSize >= 2 ** (height * level); level++) {
    const before = Math.floor(oldSize / 2 ** (height * level));
    const after = Math.floor(newSize / 2 ** (height * level));
    if (before === after) continue;
    for (let number = Math.floor(before / fullWidth(height)); ; number++) {
      const tile = tileInTree({ height, level, number }, newSize);
      if (tile === undefined) break;
      tiles.push(tile);
    }
  }
  return tiles;
}

/**
 * The partial hash tile of `width` hashes, as a view into a wider one at the same place.
 *
 * @throws {CheckFailed} `bytes` has fewer hashes
 */
export function cutTile(bytes: Uint8Array, width: number): Uint8Array {
  const size = width * HASH_BYTES;
  if (bytes.length < size) {
    throw new CheckFailed(`cannot cut tile to ${width} hashes: it has ${bytes.length} bytes of ${size}`);
  }
  return bytes.subarray(0, size);
}
