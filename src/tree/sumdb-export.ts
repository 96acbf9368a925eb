/**
 * The checksum databases of a store as files: those that `go` reads from GOPROXY=file://… below `sumdb/<name>/`.
 *
 * Each lookup is written with the newest proven tree head. It is written only if the tiles that prove it in that tree
 * are written too, with their full width in that tree. So a client can verify all lookups without the network. Tiles
 * come before the lookups that need them. Data tiles are left out, as `go` never asks for them. A malformed row is left
 * out, as it proves nothing.
 *
 * Follows cmd/go/internal/modfetch/sumdb.go.
 */

import { isServeError } from '../core/errors.ts';
import { parseRecord } from '../sumdb/record.ts';
import { parseSumdbPath, treeHeadKey } from '../sumdb/sumdb-path.ts';
import {
  cutTile,
  DATA_LEVEL,
  isFullTile,
  type Tile,
  tileBytes,
  tileInTree,
  tilePath,
} from '../sumdb/tile.ts';
import { recordTiles } from '../sumdb/tile-plan.ts';
import { parseTree } from '../sumdb/tree-head.ts';
import { type ExportedStore, storedRows, type TreeEntry } from './tree-entry.ts';

export type SumdbExportOptions = {
  readonly store: ExportedStore;
  readonly signal: AbortSignal;
  /** Told of each lookup that is left out, as the store can't prove it. */
  readonly onUnproven: (key: string) => void;
};

export async function* sumdbFiles(options: SumdbExportOptions): AsyncGenerator<TreeEntry> {
  const names: string[] = [];
  for await (const { key } of storedRows(options.store, 'sumdb/')) {
    const ask = orNothing(() => parseSumdbPath(key));
    if (ask?.kind === 'head') names.push(ask.database);
  }
  for (const name of names) if (!options.signal.aborted) yield* databaseFiles(options, name);
}

async function* databaseFiles(options: SumdbExportOptions, name: string): AsyncGenerator<TreeEntry> {
  const { store, signal, onUnproven } = options;
  const note = await wholeOf(store, treeHeadKey(name));
  if (note === undefined) return;
  const tree = orNothing(() => parseTree(Buffer.from(note).toString('utf8')));
  if (tree === undefined) {
    onUnproven(treeHeadKey(name));
    return;
  }
  const { size } = tree;
  const written = new Set<string>();
  for await (const { key, ...row } of storedRows(store, `sumdb/${name}/tile/`)) {
    if (signal.aborted) return;
    const tile = tileOf(key, row.size, size);
    if (tile === undefined) continue;
    written.add(tilePath(tile));
    if (isFullTile(tile)) yield { kind: 'stored', row: { key, ...row }, isFixed: true };
    else yield* partialTile(store, { key, tile, path: `sumdb/${name}/${tilePath(tile)}` });
  }
  for await (const { key } of storedRows(store, `sumdb/${name}/lookup/`)) {
    if (signal.aborted) return;
    const record = await wholeOf(store, key);
    if (record === undefined) continue;
    const isLookup = orNothing(() => parseSumdbPath(key))?.kind === 'lookup';
    const { id = size } = (isLookup && orNothing(() => parseRecord(record))) || {};
    const isProven = id < size && recordTiles(size, id).every((tile) => written.has(tilePath(tile)));
    if (isProven) yield { kind: 'made', path: key, bytes: Buffer.concat([record, note]) };
    else onUnproven(key);
  }
  yield { kind: 'made', path: treeHeadKey(name), bytes: note };
  // This file comes last: once it is there, `go` asks no other server.
  yield { kind: 'made', path: `sumdb/${name}/supported`, bytes: new Uint8Array(0) };
}

/** The tile stored under `key`, with its width in the tree of `size` records, or its stored width if that is less. */
function tileOf(key: string, storedBytes: number, size: number): Tile | undefined {
  const ask = orNothing(() => parseSumdbPath(key));
  if (ask?.kind !== 'tile' || ask.tile.level === DATA_LEVEL) return undefined;
  const inTree = tileInTree(ask.tile, size);
  const width = Math.min(inTree?.width ?? 0, Math.floor(storedBytes / tileBytes({ ...ask.tile, width: 1 })));
  return width === 0 ? undefined : { ...ask.tile, width };
}

async function* partialTile(
  store: ExportedStore,
  { key, tile, path }: { key: string; tile: Tile; path: string },
): AsyncGenerator<TreeEntry> {
  const bytes = await wholeOf(store, key);
  if (bytes !== undefined) yield { kind: 'made', path, bytes: cutTile(bytes, tile.width) };
}

/** The result of `parse`; undefined if the row is malformed. */
function orNothing<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (isServeError(error)) return undefined;
    throw error;
  }
}

async function wholeOf(store: ExportedStore, key: string): Promise<Uint8Array | undefined> {
  const { entry, bytes } = await store.getEntry({ key });
  return entry?.status === 200 && bytes?.byteLength === entry.size ? bytes : undefined;
}
