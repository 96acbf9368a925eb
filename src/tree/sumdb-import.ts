/**
 * Imports the checksum databases' files of a Go download cache: `sumdb/<name>/lookup/…` and `tile/…`.
 *
 * The owner of the store proves each file. This file decides the order, and the tiles that go with each lookup. The
 * lookup with the newest tree head comes first. All other lookups that this machine's `go` has verified can then be
 * proven in that tree with the tiles in the cache: `go` read the right edge of each tree head when it proved the next
 * one. Tiles that no lookup needed come last. The upper ones come first, as they prove the lower ones.
 *
 * The places of the files follow cmd/go/internal/modfetch/sumdb.go.
 */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { SumdbHead, SumdbLearner, SumdbLesson } from '../core/control-port.ts';
import { BadRequest, isServeError, messageOf } from '../core/errors.ts';
import { SUMDB_ANSWER_BYTES_MAX } from '../core/limits.ts';
import type { ReaderPort, Remote } from '../core/store-port.ts';
import { parseRecord } from '../sumdb/record.ts';
import { parseSumdbPath, recordKey, type SumdbAsk, tileKey } from '../sumdb/sumdb-path.ts';
import { fullWidth, type Tile, tileBytes, tilePath } from '../sumdb/tile.ts';
import { recordTiles, treeTiles } from '../sumdb/tile-plan.ts';
import { parseTree } from '../sumdb/tree-head.ts';
import { readWhole } from './read-whole.ts';
import { walkSumdb } from './tree-file.ts';

export type SumdbImportOptions = {
  readonly root: string;
  readonly store: Pick<Remote<ReaderPort>, 'getKeys'>;
  readonly sumdb: SumdbLearner;
  readonly signal: AbortSignal;
  /** Called for each file that is in the store now; with 0 bytes if it was there before. */
  readonly onDone: (done: { readonly isNew: boolean; readonly bytes: number }) => void;
  /** Called for each file that is left out, with the reason. */
  readonly onBad: (path: string, why: string) => void;
};

type Lookup = { readonly key: string; readonly id: number; readonly size: number };
type Ask<Kind extends SumdbAsk['kind']> = Extract<SumdbAsk, { readonly kind: Kind }>;

/** Imports all checksum files of a tree. @throws {StoreFailed} the store can't take any more */
export async function importSumdb(options: SumdbImportOptions): Promise<void> {
  const databases = new Map<string, Files>();
  for (const file of walkSumdb(options.root)) {
    if (options.signal.aborted) return;
    if (file.kind === 'bad') {
      options.onBad(file.path, file.why);
      continue;
    }
    try {
      const ask = parseSumdbPath(file.key);
      if (ask === undefined) throw new BadRequest('not a file of a checksum database');
      const files = databases.get(ask.database) ?? { lookups: [], tiles: [] };
      databases.set(ask.database, files);
      if (ask.kind === 'lookup') files.lookups.push(ask);
      if (ask.kind === 'tile') files.tiles.push(ask.tile);
    } catch (error) {
      options.onBad(file.path, messageOf(error));
    }
  }
  for (const [name, files] of databases) await new DatabaseImport(options, name).run(files);
}

type Files = { readonly lookups: Ask<'lookup'>[]; readonly tiles: Tile[] };

class DatabaseImport {
  readonly #options: SumdbImportOptions;
  readonly #name: string;
  /** Sizes of the stored files by key: a stored tile may be narrower. */
  readonly #stored = new Map<string, number>();
  /** Tiles that were handed over with a lookup. */
  readonly #given = new Set<string>();
  /** The number of records in the newest tree that the store's owner has proven. */
  #known = 0;

  constructor(options: SumdbImportOptions, name: string) {
    this.#options = options;
    this.#name = name;
  }

  async run({ lookups, tiles }: Files): Promise<void> {
    const { sumdb, onBad } = this.#options;
    const { state, size } = await sumdb.sumdbHead({ database: this.#name });
    if (state === 'unknown')
      onBad(this.#pathOf(this.#prefix), 'a checksum database that is not among --sumdb');
    if (state !== 'proxied') return;
    this.#known = size;
    await this.#loadStored();
    const missing = await this.#missing(lookups);
    for (const lookup of missing.sort((a, b) => b.size - a.size)) {
      if (this.#options.signal.aborted) return;
      await this.#guarded(lookup.key, () => this.#learnLookup(lookup));
    }
    for (const tile of tiles.sort((a, b) => b.level - a.level)) {
      if (this.#options.signal.aborted) return;
      const path = this.#prefix + tilePath(tile);
      if (this.#hasTile(tile)) this.#told(tile);
      else await this.#guarded(path, () => this.#learnTile(path, tile));
    }
  }

  get #prefix(): string {
    return `sumdb/${this.#name}/`;
  }

  #pathOf(key: string): string {
    return join(this.#options.root, key);
  }

  async #loadStored(): Promise<void> {
    for (let after = ''; ; ) {
      const { rows } = await this.#options.store.getKeys({ prefix: this.#prefix, after });
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.key;
      for (const { key, size, status } of rows) if (status === 200) this.#stored.set(key, size);
    }
  }

  /** The lookups that are not stored yet, with their record numbers and tree sizes. */
  async #missing(asks: readonly Ask<'lookup'>[]): Promise<Lookup[]> {
    const missing: Lookup[] = [];
    for (const { asked } of asks) {
      const key = recordKey(this.#name, asked);
      if (this.#stored.has(key)) {
        this.#options.onDone({ isNew: false, bytes: 0 });
        continue;
      }
      await this.#guarded(key, async () => {
        const { id, rest } = parseRecord(await this.#read(key));
        missing.push({ key, id, size: parseTree(Buffer.from(rest).toString('utf8')).size });
      });
    }
    return missing;
  }

  async #learnLookup({ key, id, size }: Lookup): Promise<void> {
    const newest = Math.max(this.#known, size);
    const wanted = [
      ...(id < newest ? recordTiles(newest, id) : []),
      ...(size < newest ? treeTiles(newest, size) : []),
      ...(this.#known > 0 && this.#known < newest ? treeTiles(newest, this.#known) : []),
    ];
    const given = await this.#tilesFor(wanted);
    const bytes = await this.#read(key);
    try {
      await this.#learn({ path: key, bytes, tiles: given.map(({ path, bytes }) => ({ path, bytes })) });
      for (const { tile } of given) {
        this.#stored.set(tileKey(this.#name, tile), tileBytes(tile));
        this.#given.add(tileKey(this.#name, tile));
      }
    } catch (error) {
      if (given.length === 0 || !isServeError(error) || error.kind !== 'check-failed') throw error;
      // One of the given tiles may be damaged. Other tiles, or the upstream, may still prove the lookup.
      await this.#learn({ path: key, bytes, tiles: [] });
    }
    this.#options.onDone({ isNew: true, bytes: bytes.byteLength });
  }

  async #learnTile(path: string, tile: Tile): Promise<void> {
    if (this.#known === 0) throw new BadRequest('no lookup with a tree head that could prove it');
    const bytes = await this.#read(path);
    await this.#learn({ path, bytes, tiles: [] });
    this.#stored.set(tileKey(this.#name, tile), bytes.byteLength);
    this.#options.onDone({ isNew: true, bytes: bytes.byteLength });
  }

  async #learn(lesson: SumdbLesson): Promise<SumdbHead> {
    const head = await this.#options.sumdb.sumdbLearn(lesson);
    this.#known = head.size;
    return head;
  }

  #told(tile: Tile): void {
    const isNew = this.#given.has(tileKey(this.#name, tile));
    this.#options.onDone({ isNew, bytes: isNew ? tileBytes(tile) : 0 });
  }

  #hasTile(tile: Tile): boolean {
    return (this.#stored.get(tileKey(this.#name, tile)) ?? 0) >= tileBytes(tile);
  }

  /** The wanted tiles that are in the tree and not in the store, each once. */
  async #tilesFor(wanted: readonly Tile[]): Promise<{ tile: Tile; path: string; bytes: Uint8Array }[]> {
    const missing = new Map(
      wanted.filter((tile) => !this.#hasTile(tile)).map((tile) => [tilePath(tile), tile]),
    );
    const given = await Promise.all(
      Array.from(missing, async ([path, tile]) => {
        const bytes = await this.#readTile(tile);
        return bytes === undefined ? [] : [{ tile, path, bytes }];
      }),
    );
    return given.flat();
  }

  /** The tile's bytes, cut from a wider tile if need be. */
  async #readTile(tile: Tile): Promise<Uint8Array | undefined> {
    const full = this.#prefix + tilePath({ ...tile, width: fullWidth(tile.height) });
    const partial = `${full}.p`;
    const widths = (await readdir(this.#pathOf(partial)).catch(() => [])).map(Number);
    const width = widths.filter((width) => width >= tile.width).sort((a, b) => a - b)[0];
    for (const key of [...(width === undefined ? [] : [`${partial}/${width}`]), full]) {
      const bytes = await this.#read(key).catch(() => undefined);
      if (bytes !== undefined && bytes.byteLength >= tileBytes(tile))
        return bytes.subarray(0, tileBytes(tile));
    }
    return undefined;
  }

  async #read(key: string): Promise<Uint8Array> {
    return readWhole(this.#pathOf(key), SUMDB_ANSWER_BYTES_MAX);
  }

  /** Runs `work` for one file. If the fault is the file's, only this file is left out. */
  async #guarded(key: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const isOfFile = isServeError(error)
        ? error.kind !== 'store-failed'
        : error instanceof Error && 'syscall' in error;
      if (!isOfFile) throw error;
      this.#options.onBad(this.#pathOf(key), messageOf(error));
    }
  }
}
