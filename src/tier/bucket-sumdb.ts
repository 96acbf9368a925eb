/** The files of a checksum database in the bucket. They are proven as an upstream's are. */

import { collect } from '../core/collect.ts';
import { isServeError, NotFound } from '../core/errors.ts';
import { SUMDB_ANSWER_BYTES_MAX } from '../core/limits.ts';
import type { ObjectStore } from '../core/object-store.ts';
import { quote } from '../core/quote.ts';
import { cutTile, DATA_LEVEL, fullWidth, parseTilePath, type Tile, tilePath } from '../sumdb/tile.ts';
import { moduleObject } from './layout.ts';

export class BucketSumdb {
  readonly #bucket: ObjectStore;
  readonly #root: string;

  /** @param name the database's */
  constructor(bucket: ObjectStore, name: string) {
    this.#bucket = bucket;
    this.#root = moduleObject(`sumdb/${name}/`);
  }

  /**
   * A file by its path below the database's root.
   *
   * @throws {NotFound} the bucket has none
   * @throws as an {@link ObjectStore}
   */
  async whole(path: string): Promise<Uint8Array> {
    const bytes = (await this.#get(path)) ?? (await this.#wider(path));
    if (bytes === undefined) throw new NotFound(`cannot find ${quote(path)} in the bucket`);
    return bytes;
  }

  async #get(path: string): Promise<Uint8Array | undefined> {
    const object = await this.#bucket.get(`${this.#root}${path}`);
    return object && collect(object.body, SUMDB_ANSWER_BYTES_MAX);
  }

  /** A partial tile cut from a wider one: a node writes a tile in the width that it has when it comes to it. */
  async #wider(path: string): Promise<Uint8Array | undefined> {
    const tile = partialTile(path);
    if (tile === undefined) return undefined;
    const full = tilePath({ ...tile, width: fullWidth(tile.height) });
    const { objects } = await this.#bucket.list({ prefix: `${this.#root}${full}` });
    const paths = objects.map(({ key }) => key.slice(this.#root.length));
    const widths = paths.flatMap((one) => widthOf(one, tile)).sort((a, b) => a - b);
    const [width] = widths.filter((one) => one >= tile.width);
    const bytes = width === undefined ? undefined : await this.#get(tilePath({ ...tile, width }));
    return bytes && new Uint8Array(cutTile(bytes, tile.width));
  }
}

function partialTile(path: string): Tile | undefined {
  const tile = path.startsWith('tile/') ? tileOf(path) : undefined;
  if (tile === undefined || tile.level === DATA_LEVEL || tile.width === fullWidth(tile.height))
    return undefined;
  return tile;
}

function widthOf(path: string, { level, number }: Tile): number[] {
  const found = tileOf(path);
  return found?.level === level && found.number === number ? [found.width] : [];
}

function tileOf(path: string): Tile | undefined {
  try {
    return parseTilePath(path);
  } catch (error) {
    if (isServeError(error)) return undefined;
    throw error;
  }
}
