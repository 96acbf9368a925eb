/**
 * Files into a directory of somebody's, each whole or not at all: written beside its name, then renamed.
 *
 * No symbolic link below the root is followed: one in a directory's place is refused, one in a file's
 * is replaced. The rest of a killed writer is removed when a later run meets its directory. Small steps are
 * taken in place, as handing each to another thread would take most of the time.
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

/** A file half-written by process `pid` is `.astera-<pid>-<number>`. No file of a GOPROXY begins so. */
const HALF = /^\.astera-([0-9]{1,10})-/;

export class TreeWriter {
  readonly #root: string;
  /** Directories that are there, and no symbolic links. */
  readonly #checked = new Set<string>();
  #halves = 0;

  /** Makes the root where there is none; it may be a symbolic link itself. @throws {BadRequest} it is no directory, or can't be made */
  static open(root: string): TreeWriter {
    try {
      makeDirectory(root);
      return new TreeWriter(root);
    } catch (cause) {
      throw new BadRequest(`cannot write to ${JSON.stringify(root)}: ${messageOf(cause)}`, { cause });
    }
  }

  private constructor(root: string) {
    this.#root = root;
  }

  /** Whether a regular file of `size` bytes is there. As files appear whole, it is the file. */
  has(path: string, size: number): boolean {
    const stats = lstatSync(this.#place(path), { throwIfNoEntry: false });
    return stats?.isFile() === true && stats.size === size;
  }

  /** Whether exactly `bytes` are there. For small files whose content may change. */
  hasBytes(path: string, bytes: Uint8Array): boolean {
    return this.has(path, bytes.byteLength) && readFileSync(this.#place(path)).equals(bytes);
  }

  /** Writes a small file at `path`, in place of what is there. */
  write(path: string, bytes: Uint8Array): void {
    const place = this.#place(path);
    const half = this.#halfOf(path);
    try {
      // Fails where it exists: then it is none of ours, or a symbolic link.
      writeFileSync(half, bytes, { flag: 'wx' });
      renameSync(half, place);
    } catch (error) {
      rmSync(half, { force: true });
      throw error;
    }
  }

  /**
   * As {@link write}, with a file that `fill` writes into: it is there, empty, so that a reader who dies over it
   * can be followed by another. Where it fails nothing has changed.
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
   * Where `path` lies, with the directories above it. Keys come out of a store that anyone may have made.
   *
   * @throws {BadRequest} it leads out of the root
   */
  #place(path: string): string {
    if (!isBelow(path))
      throw new BadRequest(`cannot write ${JSON.stringify(path)}: it leads out of the tree`);
    this.#enter(dirname(path));
    return join(this.#root, path);
  }

  #halfOf(path: string): string {
    return join(this.#root, dirname(path), `.astera-${process.pid}-${++this.#halves}`);
  }

  /** Makes a directory where there is none, and those above it. */
  #enter(path: string): void {
    if (path === '.' || this.#checked.has(path)) return;
    this.#enter(dirname(path));
    const directory = join(this.#root, path);
    const stats = lstatSync(directory, { throwIfNoEntry: false });
    if (stats === undefined) mkdirSync(directory);
    else if (stats.isDirectory()) removeHalf(directory);
    else throw new BadRequest(`cannot write to ${JSON.stringify(directory)}: not a directory`);
    this.#checked.add(path);
  }
}

/** Whether a path goes down from its root only, by names that are one directory or file each. */
function isBelow(path: string): boolean {
  return path
    .split('/')
    .every((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0'));
}

/** Step by step: Node's own `recursive` never comes back where a directory that is there takes none, as in /proc. */
function makeDirectory(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return;
  if (stats !== undefined) throw new Error('not a directory');
  makeDirectory(dirname(path));
  mkdirSync(path);
}

/** Temporary files of dead writers. */
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
