/**
 * Writes files into a user's directory, each one whole or not at all: it is written beside its name and then renamed.
 *
 * No symbolic link below the root is followed. A link in the place of a directory is refused, one in the place of a
 * file is replaced. Half-written files of a killed writer are removed when a later run enters their directory. Small
 * steps are synchronous, as a call to another thread for each would take most of the time.
 */

import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BadRequest, messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/** A half-written file of process `pid` is `.astera-<pid>-<number>`. No file of a GOPROXY has such a name. */
const HALF = /^\.astera-([0-9]{1,10})-/;

export class TreeWriter {
  readonly #root: string;
  /** Directories that were checked: they exist and are no symbolic links. */
  readonly #checked = new Set<string>();
  #halves = 0;

  /**
   * Makes the root if it does not exist. It may be a symbolic link.
   *
   * @throws {BadRequest} no directory, or can't be made
   */
  static open(root: string): TreeWriter {
    try {
      makeDirectory(root);
      return new TreeWriter(root);
    } catch (cause) {
      throw new BadRequest(`cannot write to ${quote(root)}: ${messageOf(cause)}`, { cause });
    }
  }

  private constructor(root: string) {
    this.#root = root;
  }

  /** Whether a regular file of `size` bytes is there. Files appear whole, so it is the file. */
  has(path: string, size: number): boolean {
    const stats = lstatSync(this.#place(path), { throwIfNoEntry: false });
    return stats?.isFile() === true && stats.size === size;
  }

  /** Whether a file with exactly `bytes` is there. For small files whose content may change. */
  hasBytes(path: string, bytes: Uint8Array): boolean {
    return this.has(path, bytes.byteLength) && readFileSync(this.#place(path)).equals(bytes);
  }

  /** Writes a small file at `path`. It replaces an older one. */
  write(path: string, bytes: Uint8Array): void {
    const place = this.#place(path);
    const half = this.#halfOf(path);
    try {
      // Fails if the name exists: then it is not our file, or a symbolic link.
      writeFileSync(half, bytes, { flag: 'wx' });
      renameSync(half, place);
    } catch (error) {
      rmSync(half, { force: true });
      throw error;
    }
  }

  /**
   * As {@link write}, but `fill` writes the content. The file exists and is empty when `fill` gets it, so that a second
   * reader can start again after the first one died. After a failure nothing has changed.
   */
  async fill(path: string, fill: (half: string) => Promise<unknown>): Promise<void> {
    const place = this.#place(path);
    const half = this.#halfOf(path);
    writeFileSync(half, '', { flag: 'wx' });
    try {
      await fill(half);
      renameSync(half, place);
    } catch (error) {
      rmSync(half, { force: true });
      throw error;
    }
  }

  /**
   * The place of `path` on disk. Directories above it are made. Keys may come from a hostile store.
   *
   * @throws {BadRequest} the path leads out of the root
   */
  #place(path: string): string {
    if (!isBelow(path)) throw new BadRequest(`cannot write ${quote(path)}: it leads out of the tree`);
    this.#enter(dirname(path));
    return join(this.#root, path);
  }

  #halfOf(path: string): string {
    return join(this.#root, dirname(path), `.astera-${process.pid}-${++this.#halves}`);
  }

  /** Makes a directory and those above it, if they do not exist. */
  #enter(path: string): void {
    if (path === '.' || this.#checked.has(path)) return;
    this.#enter(dirname(path));
    const directory = join(this.#root, path);
    const stats = lstatSync(directory, { throwIfNoEntry: false });
    if (stats === undefined) mkdirSync(directory);
    else if (stats.isDirectory()) removeHalf(directory);
    else throw new BadRequest(`cannot write to ${quote(directory)}: not a directory`);
    this.#checked.add(path);
  }
}

/** Whether a path only goes down from its root, by names that are one directory or file each. */
function isBelow(path: string): boolean {
  return path
    .split('/')
    .every((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0'));
}

/**
 * Makes directories step by step. Node's own `recursive` hangs in a directory that takes no new ones, such as /proc.
 */
function makeDirectory(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return;
  if (stats !== undefined) throw new Error('not a directory');
  makeDirectory(dirname(path));
  mkdirSync(path);
}

/** Removes the half-written files of dead writers. */
function removeHalf(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = Number(HALF.exec(name)?.[1] ?? 0);
    if (pid !== 0 && !isAlive(pid)) rmSync(join(directory, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
