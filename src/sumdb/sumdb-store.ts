/**
 * One checksum database in the store: its records, its tiles at their widest, and its newest tree head.
 *
 * Only proven files are written here. The verifier alone decides that they are proven.
 */

import { isServeError, messageOf } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';
import { forgetFiles } from './forget-database.ts';
import { recordKey, tileKey, treeHeadKey } from './sumdb-path.ts';
import { DATA_LEVEL, type Tile } from './tile.ts';
import type { ModuleVersion } from './verifier.ts';

export type SumdbStoreOptions = {
  readonly name: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly events: Events;
};

export class SumdbStore {
  readonly #options: SumdbStoreOptions;
  /** The last put under way for each tile. The next one waits for it, as it must see the tile that it stored. */
  readonly #puts = new Map<string, Promise<void>>();
  readonly #writing = new Set<Promise<unknown>>();

  constructor(options: SumdbStoreOptions) {
    this.#options = options;
  }

  /** The stored record, as a lookup's answer begins with it. */
  record(asked: ModuleVersion): Promise<Uint8Array | undefined> {
    return this.#get(recordKey(this.#options.name, asked));
  }

  putRecord(asked: ModuleVersion, bytes: Uint8Array): Promise<void> {
    return this.#put(recordKey(this.#options.name, asked), bytes);
  }

  /** The stored tile at that place, at its widest. */
  tile(tile: Tile): Promise<Uint8Array | undefined> {
    return this.#get(tileKey(this.#options.name, tile));
  }

  /** Stores a tile, unless a wider one is stored: narrower ones can be cut from that. */
  async putTile(tile: Tile, bytes: Uint8Array): Promise<void> {
    const key = tileKey(this.#options.name, tile);
    const before = this.#puts.get(key) ?? Promise.resolve();
    const put = before.catch(() => {}).then(() => this.#widen(tile, bytes));
    this.#puts.set(key, put);
    try {
      await put;
    } finally {
      if (this.#puts.get(key) === put) this.#puts.delete(key);
    }
  }

  head(): Promise<Uint8Array | undefined> {
    return this.#get(treeHeadKey(this.#options.name));
  }

  putHead(note: Uint8Array): Promise<void> {
    return this.#put(treeHeadKey(this.#options.name), note);
  }

  /** Drops all of it, after the writes that are under way. @returns how many files */
  async forget(): Promise<number> {
    await Promise.allSettled([...this.#writing, ...this.#puts.values()]);
    return forgetFiles(this.#options.store, this.#options.name);
  }

  async #widen(tile: Tile, bytes: Uint8Array): Promise<void> {
    const stored = await this.tile(tile);
    const isWider = stored !== undefined && stored.byteLength > bytes.byteLength;
    // If the stored tile is damaged, the verifier notices it and asks for the same width again.
    if (isWider && (tile.level === DATA_LEVEL || isPrefix(bytes, stored))) return;
    await this.#put(tileKey(this.#options.name, tile), bytes);
  }

  async #get(key: string): Promise<Uint8Array | undefined> {
    const { entry, bytes } = await this.#options.store.getEntry({ key });
    return entry?.status === 200 && bytes?.byteLength === entry.size ? bytes : undefined;
  }

  /** A file that can't be stored is served all the same, and the log says so. */
  async #put(key: string, bytes: Uint8Array): Promise<void> {
    const { store, clock, events } = this.#options;
    const nowMs = clock.wallMs();
    const put = { key, status: 200, source: 'upstream', nowMs, blob: store.nextBlob(), bytes } as const;
    const writing = store.putEntry(put);
    this.#writing.add(writing);
    try {
      await writing;
    } catch (error) {
      if (!isServeError(error)) throw error;
      events.notStored(key, messageOf(error));
    } finally {
      this.#writing.delete(writing);
    }
  }
}

function isPrefix(short: Uint8Array, long: Uint8Array): boolean {
  return Buffer.compare(short, long.subarray(0, short.byteLength)) === 0;
}
