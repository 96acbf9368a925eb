/**
 * Imports a GOPROXY tree into a store: every `.info`, `.mod` and `.zip` of a version that is not stored yet.
 *
 *     walk ──keys──▶ stored already? ──no──▶ check ──good──▶ store
 *
 * A file is checked as a download is. A bad file is reported and left out. Lists are not imported: those of a download
 * cache name the versions that one machine needed. Offline, lists are computed from the stored versions
 * (`modules/computed.ts`). If this process owns the store, its writer reads each zip itself, in one transaction. A
 * server gets a zip in chunks, under a key of its own, so that no download resumes from a broken import.
 */

import { type FileHandle, open } from 'node:fs/promises';
import type { SumdbLearner, WritableStore } from '../core/control-port.ts';
import { BadRequest, isServeError, messageOf } from '../core/errors.ts';
import {
  CHUNK_BYTES,
  INLINE_BYTES_MAX,
  KEYS_PER_CALL_MAX,
  SMALL_BYTES_MAX,
  ZIP_BYTES_MAX,
} from '../core/limits.ts';
import { parseResource, type Resource } from '../core/resource.ts';
import type { FileBuilder } from '../core/store-port.ts';
import { checkSmall } from '../modules/small-check.ts';
import { inLanes } from './lanes.ts';
import { READ_FLAGS, readWhole } from './read-whole.ts';
import { importSumdb } from './sumdb-import.ts';
import { type TreeFile, walkTree } from './tree-file.ts';

export type ImportOptions = {
  /** An existing directory. */
  readonly root: string;
  readonly store: WritableStore;
  readonly builder: FileBuilder;
  readonly sumdb: SumdbLearner;
  readonly wallMs: () => number;
  /** Ends the import after the files that are under way. */
  readonly signal: AbortSignal;
  /** Called for files that are in the store now; with 0 bytes if they were there before. */
  readonly onDone: (done: { readonly files: number; readonly bytes: number }) => void;
  /** Called for each file that is left out, with the reason. */
  readonly onBad: (path: string, why: string) => void;
};

/** The counts of an import. */
export type Imported = {
  readonly files: number;
  readonly bytes: number;
  /** Files that were stored before. */
  readonly present: number;
  readonly bad: number;
};

/** The key prefix of an import's growing blobs: no download resumes them. */
export const IMPORT_PREFIX = 'import:';

/**
 * Files under way to a server at one time. At 6, a transaction holds 6 calls and most wait for it; at 16, it holds 15.
 */
const LANES = 16;

/** The same for a store of this process: these files hold no bytes here, and they should fill a transaction. */
const OWN_LANES = 1024;

/** Keys in one question whether they are stored. */
const BATCH = KEYS_PER_CALL_MAX;

/** Imports a tree. @throws {StoreFailed} the store can't take any more: the disk is full, or the server is gone */
export async function importTree(options: ImportOptions): Promise<Imported> {
  const done = { files: 0, bytes: 0, present: 0, bad: 0 };
  const refuse = (path: string, why: string) => {
    done.bad++;
    options.onBad(path, why);
  };
  await importSumdb({
    ...options,
    onDone: ({ isNew, bytes }) => {
      if (isNew) done.files++;
      else done.present++;
      done.bytes += bytes;
      options.onDone({ files: 1, bytes });
    },
    onBad: refuse,
  });
  const missing = missingFiles(options, done, refuse);
  await inLanes(
    missing,
    options.store.putFile === undefined ? LANES : OWN_LANES,
    async ({ path, resource, key }) => {
      try {
        const bytes = await importFile(options, { path, resource, key });
        if (bytes === undefined) return;
        done.files++;
        done.bytes += bytes;
        options.onDone({ files: 1, bytes });
      } catch (error) {
        if (!isOfFile(error)) throw error;
        refuse(path, messageOf(error));
      }
    },
  );
  return done;
}

type Versioned = Extract<Resource, { readonly version: unknown }>;
type Missing = { readonly path: string; readonly key: string; readonly resource: Versioned };

async function* missingFiles(
  { root, store, signal, onDone }: ImportOptions,
  done: { present: number },
  refuse: (path: string, why: string) => void,
): AsyncGenerator<Missing> {
  for (const files of inBatches(namedFiles(root, refuse), BATCH)) {
    if (signal.aborted) return;
    const { stored } = await store.getStored({ keys: files.map(({ key }) => key) });
    const missing = files.filter((_, i) => stored[i] !== true);
    done.present += files.length - missing.length;
    onDone({ files: files.length - missing.length, bytes: 0 });
    for (const file of missing) {
      if (signal.aborted) return;
      yield file;
    }
  }
}

function* namedFiles(root: string, refuse: (path: string, why: string) => void): Generator<Missing> {
  for (const file of walkTree(root)) {
    const named = file.kind === 'bad' ? file.why : nameOf(file);
    if (typeof named === 'string') refuse(file.path, named);
    else yield named;
  }
}

/** The file of a version, or the reason why it is none. */
function nameOf({ path, key }: TreeFile & { kind: 'file' }): Missing | string {
  try {
    const resource = parseResource(key);
    if (resource !== undefined && 'version' in resource) return { path, key, resource };
    return 'not the file of a version';
  } catch (error) {
    return messageOf(error);
  }
}

function* inBatches<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let batch: T[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Whether the fault is that of one file or key, so that the import can go on. */
function isOfFile(error: unknown): boolean {
  if (isServeError(error)) return error.kind !== 'store-failed';
  return error instanceof Error && 'syscall' in error;
}

/** Imports one file. @returns its size; undefined if the import was ended */
async function importFile(options: ImportOptions, file: Missing): Promise<number | undefined> {
  const { store, signal } = options;
  const { resource, path, key } = file;
  if (resource.kind !== 'zip') {
    const bytes = readWhole(path, SMALL_BYTES_MAX);
    checkSmall(resource, key, bytes);
    // Very many files are under way to a store of this process, so only the smallest ones may be held in memory.
    if (store.putFile === undefined || bytes.byteLength <= INLINE_BYTES_MAX) return put(options, key, bytes);
    return putFile(options, store.putFile, { path, key, size: bytes.byteLength });
  }
  const { module, version } = resource;
  const { size } = await options.builder.checkZipFile({ module, version, path });
  if (size > ZIP_BYTES_MAX) throw new BadRequest(`${size} bytes: over ${ZIP_BYTES_MAX}`);
  if (store.putFile !== undefined) return putFile(options, store.putFile, { path, key, size });
  await store.waitForRoom();
  if (signal.aborted) return undefined;
  if (size <= CHUNK_BYTES) return put(options, key, readWhole(path, CHUNK_BYTES));
  const opened = await open(path, READ_FLAGS);
  try {
    return await putByChunks(options, file, { opened, size });
  } finally {
    await opened.close();
  }
}

/** Lets the writer read a file. @returns its size; undefined if the import was ended */
async function putFile(
  { store, wallMs, signal }: ImportOptions,
  send: NonNullable<WritableStore['putFile']>,
  file: { readonly path: string; readonly key: string; readonly size: number },
): Promise<number | undefined> {
  await store.waitForRoom();
  if (signal.aborted) return undefined;
  await send({ ...file, source: 'import', nowMs: wallMs(), blob: store.nextBlob() });
  return file.size;
}

async function put({ store, wallMs }: ImportOptions, key: string, bytes: Uint8Array): Promise<number> {
  await store.waitForRoom();
  const blob = store.nextBlob();
  const size = bytes.byteLength; // Read now: the call may move the bytes to another thread.
  await store.putEntry({ key, status: 200, source: 'import', nowMs: wallMs(), blob, bytes });
  return size;
}

/**
 * Sends a zip in chunks, without a wait for each commit. `waitForRoom` keeps the sent chunks within their bound.
 *
 * @returns its size; undefined if the import was ended
 */
async function putByChunks(
  { store, wallMs, signal }: ImportOptions,
  { key }: Missing,
  { opened, size }: { opened: FileHandle; size: number },
): Promise<number | undefined> {
  const blob = store.nextBlob();
  const nowMs = wallMs();
  const validator = { etag: undefined, lastModified: undefined };
  const sent = new Sent();
  try {
    sent.add(store.openBlob({ blob, key: `${IMPORT_PREFIX}${key}`, size, nowMs, ...validator }));
    for (let seq = 0; seq * CHUNK_BYTES < size && !sent.hasFailed && !signal.aborted; seq++) {
      await store.waitForRoom();
      const offset = seq * CHUNK_BYTES;
      const bytes = await readPart(opened, offset, Math.min(CHUNK_BYTES, size - offset));
      sent.add(store.putChunk({ blob, seq, bytes }));
    }
    await sent.settled();
    const isBrokenOff = signal.aborted;
    if (isBrokenOff) await store.dropBlob({ blob });
    else await store.sealBlob({ blob, key, size, source: 'import', nowMs });
    return isBrokenOff ? undefined : size;
  } catch (error) {
    await store.dropBlob({ blob }).catch(() => {}); // The next import of the key drops it.
    throw error;
  }
}

/** Calls under way. */
class Sent {
  readonly #calls: Promise<unknown>[] = [];
  readonly #failures: unknown[] = [];

  get hasFailed(): boolean {
    return this.#failures.length > 0;
  }

  add(call: Promise<unknown>): void {
    this.#calls.push(call.catch((error: unknown) => this.#failures.push(error)));
  }

  /** Waits for all calls. @throws the first failure */
  async settled(): Promise<void> {
    await Promise.all(this.#calls);
    if (this.hasFailed) throw this.#failures[0];
  }
}

/** Reads a part of a file into a buffer of its own, which may be moved. @throws {BadRequest} the file is too short */
async function readPart(opened: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await opened.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw new BadRequest(`it ends at ${offset + filled}: it changes while it is read`);
    filled += bytesRead;
  }
  return bytes;
}
