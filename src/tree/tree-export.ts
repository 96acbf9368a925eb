/**
 * Exports a store as a GOPROXY tree on disk: all stored files of all modules. Each module also gets a list and an
 * `@latest` that name the exported versions.
 *
 * `core/module-listing.ts` says what a list names. The upstream's own list is not exported: it names versions that are not
 * in the tree. `sumdb-export.ts` exports checksum databases.
 */

import { isServeError, messageOf, StoreFailed } from '../core/errors.ts';
import { ModuleListing } from '../core/module-listing.ts';
import type { ModulePath } from '../core/module-path.ts';
import { quote } from '../core/quote.ts';
import { parseResource, type Resource, resourceKey } from '../core/resource.ts';
import type { KeyRow } from '../core/store-port.ts';
import { inLanes } from './lanes.ts';
import { sumdbFiles } from './sumdb-export.ts';
import { type ExportedStore, storedRows, type TreeEntry } from './tree-entry.ts';
import { TreeWriter } from './tree-writer.ts';

export type ExportOptions = {
  readonly root: string;
  readonly store: ExportedStore;
  /** Ends the export after the files that are under way. */
  readonly signal: AbortSignal;
  /** Called for files that are in the tree now; with 0 bytes if they were there before. */
  readonly onDone: (done: { readonly files: number; readonly bytes: number }) => void;
};

/** The counts of an export. */
export type Exported = {
  readonly files: number;
  readonly bytes: number;
  /** Files that were in the tree before. */
  readonly present: number;
  /** Checksum lookups that are left out, as the store can't prove them. */
  readonly unproven: number;
};

/** Files under way at one time: enough that all readers are busy, and that small bodies are read in batches. */
const LANES = 32;

/**
 * Writes the tree. Files that are there already with the same content are not written again.
 *
 * @throws {BadRequest} the directory can't be written to
 * @throws {StoreFailed} the store can't be read, or a file can't be written
 */
export async function exportTree(options: ExportOptions): Promise<Exported> {
  const writer = TreeWriter.open(options.root);
  const done = { files: 0, bytes: 0, present: 0, unproven: 0 };
  const sumdb = sumdbFiles({ ...options, onUnproven: () => done.unproven++ });
  await inLanes(inTurn(filesOf(options), sumdb), LANES, async (file) => {
    const written = await writeFile(options, writer, file);
    if (written === undefined) done.present++;
    else done.files++;
    done.bytes += written ?? 0;
    options.onDone({ files: 1, bytes: written ?? 0 });
  }).catch((error: unknown) => {
    if (isServeError(error) || !(error instanceof Error && 'syscall' in error)) throw error;
    throw new StoreFailed(`cannot export to ${quote(options.root)}: ${messageOf(error)}`, {
      cause: error,
    });
  });
  return done;
}

async function* inTurn<T>(...streams: AsyncIterable<T>[]): AsyncGenerator<T> {
  for (const stream of streams) yield* stream;
}

/** The files in the order of keys, module by module. A module's list and `@latest` come after its other files. */
async function* filesOf(options: ExportOptions): AsyncGenerator<TreeEntry> {
  let module: ModulePath | undefined;
  let listing = new ModuleListing();
  for await (const row of storedRows(options.store, '')) {
    if (options.signal.aborted) return;
    const resource = resourceOf(row.key);
    if (resource === undefined) continue;
    if (module !== resource.module) {
      if (module !== undefined) yield* namingFiles(module, listing);
      module = resource.module;
      listing = new ModuleListing();
    }
    listing.add(resource);
    if (resource.kind === 'list' || resource.kind === 'latest') continue;
    yield { kind: 'stored', row, isFixed: resource.kind !== 'query' };
  }
  if (module !== undefined) yield* namingFiles(module, listing);
}

/** The module file of a key; undefined for any other key, such as one of a checksum database. */
function resourceOf(key: string): Resource | undefined {
  try {
    return parseResource(key);
  } catch {
    return undefined;
  }
}

/** The list, and `@latest` if there is a version for it. */
function* namingFiles(module: ModulePath, listing: ModuleListing): Generator<TreeEntry> {
  const text = listing.list();
  if (text === undefined) return;
  const path = resourceKey({ kind: 'list', module });
  yield { kind: 'made', path, bytes: new TextEncoder().encode(text) };
  const version = listing.latest();
  if (version === undefined) return;
  const of = resourceKey({ kind: 'info', module, version });
  yield { kind: 'copy', path: resourceKey({ kind: 'latest', module }), of };
}

/** Writes one file. @returns its size; undefined if there was nothing to do */
async function writeFile(
  options: ExportOptions,
  writer: TreeWriter,
  entry: TreeEntry,
): Promise<number | undefined> {
  if (entry.kind === 'made') return writeSmall(writer, entry.path, entry.bytes);
  if (entry.kind === 'stored' && entry.isFixed && writer.has(entry.row.key, entry.row.size)) return undefined;
  if (entry.kind === 'stored' && (await fillFrom(options, writer, entry.row))) return entry.row.size;
  const [path, key] = entry.kind === 'stored' ? [entry.row.key, entry.row.key] : [entry.path, entry.of];
  const { entry: stored, bytes } = await options.store.getEntry({ key });
  // The file was forgotten meanwhile, so it must not be in the tree.
  if (stored?.status !== 200 || bytes === undefined) return undefined;
  if (bytes.byteLength === stored.size) return writeSmall(writer, path, bytes);
  if (stored.blob === undefined) throw new StoreFailed(`cannot read ${quote(key)}: it is not whole`);
  const { blob, size } = stored;
  await writer.fill(path, (half) => options.store.writeBlob({ blob, size, path: half }));
  return size;
}

/** Writes the row's blob into its file. @returns false if the key has another body, or none, by now */
async function fillFrom(
  { store }: ExportOptions,
  writer: TreeWriter,
  { key, size, blob }: KeyRow,
): Promise<boolean> {
  if (blob === undefined) return false;
  try {
    await writer.fill(key, (half) => store.writeBlob({ blob, size, path: half }));
    return true;
  } catch (error) {
    const { entry } = await store.getEntry({ key });
    if (entry?.status === 200 && entry.blob === blob) throw error;
    return false;
  }
}

function writeSmall(writer: TreeWriter, path: string, bytes: Uint8Array): number | undefined {
  if (writer.hasBytes(path, bytes)) return undefined;
  writer.write(path, bytes);
  return bytes.byteLength;
}
