/**
 * A store as a GOPROXY tree on disk: every stored file of every module, and of each module a list and
 * an `@latest` that name what is there.
 *
 * A list names the versions that `go` can take whole, with `.info`, `.mod` and `.zip`; of a module
 * that has none of these, those with a `.mod`. The upstream's own list stays in the store: it names
 * versions that the tree has not, and `go` would stop at the first of them. Pseudo-versions are in
 * no list, as with any proxy. Checksum databases: `sumdb-export.ts`.
 */

import { isServeError, messageOf, StoreFailed } from '../core/errors.ts';
import { isPseudoVersion } from '../core/pseudo-version.ts';
import { parseResource, type Resource, resourceKey } from '../core/resource.ts';
import type { KeyRow } from '../core/store-port.ts';
import { compareVersions, type Version } from '../core/version.ts';
import { latestOf } from '../core/version-list.ts';
import { inLanes } from './lanes.ts';
import { sumdbFiles } from './sumdb-export.ts';
import { type ExportedStore, storedRows, type TreeEntry } from './tree-entry.ts';
import { TreeWriter } from './tree-writer.ts';

export type ExportOptions = {
  readonly root: string;
  readonly store: ExportedStore;
  /** Ends it after the files that are under way. */
  readonly signal: AbortSignal;
  /** Told of files that are there now; 0 bytes where they were before. */
  readonly onDone: (done: { readonly files: number; readonly bytes: number }) => void;
};

export type Exported = {
  readonly files: number;
  readonly bytes: number;
  /** Files that were there already. */
  readonly present: number;
  /** Checksum lookups left out, as the store can't prove them. */
  readonly unproven: number;
};

/** Files under way at one time: the readers always have some to write, and small bodies are read in batches. */
const LANES = 32;

/** @throws {BadRequest} the directory can't be written to. @throws {StoreFailed} the store can't be read */
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
    throw new StoreFailed(`cannot export to ${JSON.stringify(options.root)}: ${messageOf(error)}`, {
      cause: error,
    });
  });
  return done;
}

async function* inTurn<T>(...streams: AsyncIterable<T>[]): AsyncGenerator<T> {
  for (const stream of streams) yield* stream;
}

/** In the order of keys, which keeps each module's together: its list and `@latest` come behind them. */
async function* filesOf(options: ExportOptions): AsyncGenerator<TreeEntry> {
  let module: Listing | undefined;
  for await (const row of storedRows(options.store, '')) {
    if (options.signal.aborted) return;
    const resource = resourceOf(row.key);
    if (resource === undefined) continue;
    if (module?.name !== resource.module) {
      if (module !== undefined) yield* module.files();
      module = new Listing(resource.module);
    }
    module.add(resource);
    if (resource.kind === 'list' || resource.kind === 'latest') continue;
    yield { kind: 'stored', row, isFixed: resource.kind !== 'query' };
  }
  if (module !== undefined) yield* module.files();
}

/** Undefined for what is no file of a module: a checksum database's, say. */
function resourceOf(key: string): Resource | undefined {
  try {
    return parseResource(key);
  } catch {
    return undefined;
  }
}

/** One module's versions, and what names them. */
class Listing {
  readonly name: Resource['module'];
  readonly #versions = new Map<Version, Set<string>>();

  constructor(name: Resource['module']) {
    this.name = name;
  }

  add(resource: Resource): void {
    if (!('version' in resource)) return;
    const kinds = this.#versions.get(resource.version) ?? new Set();
    this.#versions.set(resource.version, kinds.add(resource.kind));
  }

  /** The list, always; `@latest` where there is a version that can be it. */
  *files(): Generator<TreeEntry> {
    const module = this.name;
    if (this.#versions.size === 0) return;
    const whole = this.#having('info', 'mod', 'zip');
    const listed = (whole.length > 0 ? whole : this.#having('mod')).filter((v) => !isPseudoVersion(v));
    const text = listed.map((version) => `${version}\n`).join('');
    const path = resourceKey({ kind: 'list', module });
    yield { kind: 'made', path, bytes: new TextEncoder().encode(text) };
    const latest = latestOf(whole) ?? latestOf(this.#having('info'));
    if (latest === undefined) return;
    const of = resourceKey({ kind: 'info', module, version: latest });
    yield { kind: 'copy', path: resourceKey({ kind: 'latest', module }), of };
  }

  #having(...kinds: string[]): Version[] {
    const versions = [...this.#versions].filter(([, has]) => kinds.every((kind) => has.has(kind)));
    return versions.map(([version]) => version).sort(compareVersions);
  }
}

/** @returns its bytes; undefined where nothing was to be done */
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
  // Forgotten meanwhile: then it belongs into no tree.
  if (stored?.status !== 200 || bytes === undefined) return undefined;
  if (bytes.byteLength === stored.size) return writeSmall(writer, path, bytes);
  if (stored.blob === undefined) throw new StoreFailed(`cannot read ${JSON.stringify(key)}: it is not whole`);
  const { blob, size } = stored;
  await writer.fill(path, (half) => options.store.writeBlob({ blob, size, path: half }));
  return size;
}

/** Whether the row's blob is in its place now; not where the key has another body, or none, by now. */
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
