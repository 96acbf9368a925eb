/**
 * The build cache's local directory, in go-cache-plugin's layout: `action/xx/<hex>` holds `<output hex> <Unix ns>`,
 * `output/xx/<hex>` the raw bytes. Several processes use one directory at once.
 *
 * A file comes by rename and is never written again, since `go` may have it mapped. Last use is its mtime, noted by the
 * hour. All calls are synchronous: on a local disk they are quicker than a thread's round trip.
 */

import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isCacheId } from '../core/cache-id.ts';
import { PLUGIN_KEPT_MS_MIN } from '../core/limits.ts';
import { isCacheTime } from './remote-protocol.ts';
import { START_BYTES } from './shareable.ts';

export type LocalEntry = {
  readonly outputId: string;
  readonly size: number;
  /** Unix nanoseconds. */
  readonly time: string;
  readonly path: string;
};

export type LocalCacheOptions = {
  readonly directory: string;
  readonly now: () => number;
  /** One line for the user. */
  readonly warn: (line: string) => void;
};

export class LocalCache {
  readonly #directory: string;
  readonly #now: () => number;
  readonly #warn: (line: string) => void;
  /** Stands in for the directory once it could not be written. */
  #spare: string | undefined;
  /** The spare directory's actions. */
  readonly #spareEntries = new Map<string, LocalEntry>();

  constructor({ directory, now, warn }: LocalCacheOptions) {
    this.#directory = directory;
    this.#now = now;
    this.#warn = warn;
  }

  /** What an action gave, as long as its output is there. Notes the use. */
  get(actionId: string): LocalEntry | undefined {
    const spare = this.#spareEntries.get(actionId);
    if (spare !== undefined) return spare;
    const actionFile = this.#path('action', actionId);
    try {
      const [outputId, time] = fs.readFileSync(actionFile, 'latin1').trim().split(' ');
      if (!isCacheId(outputId) || !isCacheTime(time)) return undefined;
      const path = this.#path('output', outputId);
      const stat = fs.statSync(path);
      if (!stat.isFile()) return undefined;
      if (stat.mtimeMs < this.#now() - USE_NOTED_MS) {
        this.#noteUse(path);
        this.#noteUse(actionFile);
      }
      return { outputId, time, path, size: stat.size };
    } catch {
      return undefined;
    }
  }

  /** Starts an output whose bytes come in pieces. */
  beginPut(request: { readonly outputId: string; readonly size: number }): LocalPut {
    return new LocalPut(request, {
      known: this.#known(request.outputId, request.size),
      openTemporary: () => this.#openTemporary(),
      openSpare: (error) => this.#openSpare(error),
      moveIn: (temporary) => this.#moveIn(temporary, request),
      link: (actionId, entry) => this.#link(actionId, entry),
      now: this.#now,
    });
  }

  /** Where a file of the directory itself lies, such as the spool. */
  ownPath(name: string): string {
    return join(this.#directory, name);
  }

  /** Whether an entry outlasts this process. */
  isKept(entry: LocalEntry): boolean {
    return entry.path.startsWith(this.#directory);
  }

  /** Removes the spare directory, which `go` needs no longer. */
  close(): void {
    if (this.#spare !== undefined) fs.rmSync(this.#spare, { recursive: true, force: true });
  }

  #path(kind: 'action' | 'output', id: string): string {
    return join(this.#directory, kind, id.slice(0, 2), id);
  }

  #known(outputId: string, size: number): string | undefined {
    const path = this.#path('output', outputId);
    const stat = statQuietly(path);
    if (stat === undefined || !stat.isFile() || stat.size !== size) return undefined;
    if (stat.mtimeMs < this.#now() - USE_NOTED_MS) this.#noteUse(path);
    return path;
  }

  #openTemporary(): Temporary {
    if (this.#spare !== undefined) return openIn(this.#spare);
    const directory = join(this.#directory, 'tmp');
    return withDirectory(directory, () => openIn(directory));
  }

  /** @throws {Error} where not even the system's temporary directory can be written */
  #openSpare(error: unknown): Temporary {
    if (this.#spare === undefined) {
      this.#spare = fs.mkdtempSync(join(tmpdir(), 'astera-cacheprog-'));
      const why = error instanceof Error ? error.message : String(error);
      this.#warn(`cannot write to ${this.#directory}: this build's results are not kept: ${why}`);
    }
    return openIn(this.#spare);
  }

  #moveIn({ path: from }: Temporary, request: { readonly outputId: string; readonly size: number }): string {
    if (this.#spare !== undefined && from.startsWith(this.#spare)) return from;
    const path = this.#path('output', request.outputId);
    // Another process may have been quicker: its file may be mapped already.
    if (this.#known(request.outputId, request.size) !== undefined) fs.unlinkSync(from);
    else withDirectory(dirname(path), () => fs.renameSync(from, path));
    return path;
  }

  #link(actionId: string, entry: LocalEntry): void {
    if (!this.isKept(entry)) {
      this.#spareEntries.set(actionId, entry);
      return;
    }
    try {
      const file = this.#openTemporary();
      fs.writeSync(file.fd, `${entry.outputId} ${entry.time}`);
      fs.closeSync(file.fd);
      const path = this.#path('action', actionId);
      withDirectory(dirname(path), () => fs.renameSync(file.path, path));
    } catch {
      this.#spareEntries.set(actionId, entry);
    }
  }

  #noteUse(path: string): void {
    try {
      const nowS = this.#now() / 1000;
      fs.utimesSync(path, nowS, nowS);
    } catch {
      // A directory that is read-only is not trimmed either.
    }
  }
}

/** An output on its way in. Its SHA-256 is checked before anybody sees it. */
export class LocalPut {
  readonly #outputId: string;
  readonly #size: number;
  readonly #doors: PutDoors;
  readonly #hash = createHash('sha256');
  #temporary: Temporary | undefined;
  #written = 0;
  /** The output's first bytes: at least `START_BYTES`, or all that have come. */
  start: Buffer = Buffer.alloc(0);

  /** Made by {@link LocalCache.beginPut}. */
  constructor({ outputId, size }: { readonly outputId: string; readonly size: number }, doors: PutDoors) {
    this.#outputId = outputId;
    this.#size = size;
    this.#doors = doors;
  }

  /** @throws {Error} more bytes than were announced, or no place to write them */
  write(bytes: Buffer): void {
    if (this.#written + bytes.length > this.#size) throw new Error('body is longer than its size');
    if (this.start.length < START_BYTES)
      this.start = Buffer.concat([this.start, bytes.subarray(0, START_BYTES)]);
    this.#hash.update(bytes);
    if (this.#doors.known === undefined) this.#store(bytes);
    this.#written += bytes.length;
  }

  /** @throws {Error} the body is not the one that the ID names, or there is no place to write it */
  finish({ actionId }: { readonly actionId: string }): LocalEntry {
    return this.link({ actionId, path: this.seal(), time: `${this.#doors.now()}000000` });
  }

  /**
   * Checks the output and puts it where it stays. No action has it yet.
   *
   * @returns its path
   * @throws {Error} as `finish`
   */
  seal(): string {
    if (this.#written !== this.#size) throw new Error(`body has ${this.#written} bytes of ${this.#size}`);
    if (this.#hash.digest('hex') !== this.#outputId) throw new Error('body does not match its OutputID');
    return this.#doors.known ?? this.#settle();
  }

  /** Makes the sealed output that of an action. */
  link({
    actionId,
    path,
    time,
  }: Pick<LocalEntry, 'path' | 'time'> & { readonly actionId: string }): LocalEntry {
    const entry: LocalEntry = { outputId: this.#outputId, size: this.#size, time, path };
    this.#doors.link(actionId, entry);
    return entry;
  }

  /** Forgets what came. May be called at any time, also after a failure. */
  abort(): void {
    const temporary = this.#temporary;
    this.#temporary = undefined;
    if (temporary === undefined) return;
    closeQuietly(temporary);
    fs.rmSync(temporary.path, { force: true });
  }

  #store(bytes: Buffer): void {
    try {
      this.#temporary ??= this.#doors.openTemporary();
      writeAll(this.#temporary.fd, bytes, this.#written);
    } catch (error) {
      this.#goToSpare(error);
      if (this.#temporary !== undefined) writeAll(this.#temporary.fd, bytes, this.#written);
    }
  }

  #settle(): string {
    try {
      this.#temporary ??= this.#doors.openTemporary();
      return this.#moveIn(this.#temporary);
    } catch (error) {
      this.#goToSpare(error);
      if (this.#temporary === undefined) throw error;
      return this.#moveIn(this.#temporary);
    }
  }

  #moveIn(temporary: Temporary): string {
    const path = this.#doors.moveIn(temporary);
    closeQuietly(temporary);
    this.#temporary = undefined;
    return path;
  }

  /** Takes along what was written: the open file can be read even where its directory is gone. */
  #goToSpare(error: unknown): void {
    const before = this.#temporary;
    const spare = this.#doors.openSpare(error);
    this.#temporary = spare;
    if (before === undefined) return;
    const buffer = Buffer.alloc(COPY_BYTES);
    for (let at = 0; at < this.#written; ) {
      const count = fs.readSync(before.fd, buffer, 0, Math.min(COPY_BYTES, this.#written - at), at);
      if (count === 0) throw error;
      writeAll(spare.fd, buffer.subarray(0, count), at);
      at += count;
    }
    closeQuietly(before);
    fs.rmSync(before.path, { force: true });
  }
}

type PutDoors = {
  readonly known: string | undefined;
  readonly openTemporary: () => Temporary;
  readonly openSpare: (error: unknown) => Temporary;
  readonly moveIn: (temporary: Temporary) => string;
  readonly link: (actionId: string, entry: LocalEntry) => void;
  readonly now: () => number;
};

type Temporary = { readonly path: string; readonly fd: number };

/** Uses are noted no finer, as in Go's own cache: each note is a write. */
const USE_NOTED_MS = 3_600_000;
const COPY_BYTES = 256 * 1024;

function openIn(directory: string): Temporary {
  const path = join(directory, `${process.pid}-${randomBytes(8).toString('hex')}`);
  return { path, fd: fs.openSync(path, 'wx+', 0o644) };
}

/** Makes the directory only where it turns out to be absent: nearly always it is there. */
function withDirectory<T>(directory: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    fs.mkdirSync(directory, { recursive: true });
    return use();
  }
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at, position + at);
}

/** Undefined also where the directory may not be read: the put then finds out whether it can write. */
function statQuietly(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path);
  } catch {
    return undefined;
  }
}

function closeQuietly({ fd }: Temporary): void {
  try {
    fs.closeSync(fd);
  } catch {
    // What it held is checked or dropped already.
  }
}

/**
 * Removes what was not used for `expiryMs`, then the least used until outputs have at most `bytesMax`. Keeps what was
 * used within the last day, whatever the settings: another process may be building with it.
 */
export function trimDirectory(
  directory: string,
  {
    expiryMs,
    bytesMax,
    nowMs,
  }: { readonly expiryMs: number; readonly bytesMax: number; readonly nowMs: number },
): void {
  const oldestMs = nowMs - Math.max(expiryMs, PLUGIN_KEPT_MS_MIN);
  for (const file of [...listFiles(join(directory, 'action'), 2), ...listFiles(join(directory, 'tmp'), 1)]) {
    removeUnused(file.path, oldestMs);
  }
  const outputs = listFiles(join(directory, 'output'), 2).sort((a, b) => a.usedAtMs - b.usedAtMs);
  let bytes = outputs.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of outputs) {
    const unusedSinceMs = bytes > bytesMax ? nowMs - PLUGIN_KEPT_MS_MIN : oldestMs;
    if (removeUnused(path, unusedSinceMs)) bytes -= size;
  }
}

type FoundFile = { readonly path: string; readonly size: number; readonly usedAtMs: number };

function listFiles(directory: string, depth: number): FoundFile[] {
  const found: FoundFile[] = [];
  for (const name of readNames(directory)) {
    const path = join(directory, name);
    if (depth > 1) {
      found.push(...listFiles(path, depth - 1));
      continue;
    }
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile()) found.push({ path, size: stat.size, usedAtMs: stat.mtimeMs });
  }
  return found;
}

function readNames(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

/** Looks once more: the use may have been noted since the directory was read. */
function removeUnused(path: string, oldestMs: number): boolean {
  try {
    if (fs.lstatSync(path).mtimeMs >= oldestMs) return false;
    fs.unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}
