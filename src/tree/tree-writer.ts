/**
 * Files into a directory of somebody's, each whole or not at all: written beside its name, then renamed.
 *
 * No symbolic link below the root is followed: one in a directory's place is refused, one in a file's
 * is replaced. What a killed writer left is removed when its directory is met again.
 */

import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BadRequest, messageOf } from '../core/errors.ts';

/** A file half-written by process `pid` is `.astera-<pid>-<number>`. No file of a GOPROXY begins so. */
const HALF = /^\.astera-([0-9]{1,10})-/;

export class TreeWriter {
  readonly #root: string;
  /** Directories that are there, and no symbolic links: none for a directory that is being looked at. */
  readonly #checked = new Map<string, Promise<void>>();
  #halves = 0;

  /** Makes the root where there is none; it may be a symbolic link itself. @throws {BadRequest} it is no directory, or can't be made */
  static async open(root: string): Promise<TreeWriter> {
    try {
      await mkdir(root, { recursive: true });
      return new TreeWriter(root);
    } catch (cause) {
      throw new BadRequest(`cannot write to ${JSON.stringify(root)}: ${messageOf(cause)}`, { cause });
    }
  }

  private constructor(root: string) {
    this.#root = root;
  }

  /** Whether a regular file of `size` bytes is there. As files appear whole, it is the file. */
  async has(path: string, size: number): Promise<boolean> {
    await this.#directory(dirname(path));
    const stats = await lstat(join(this.#root, path)).catch(noneWhere('ENOENT'));
    return stats?.isFile() === true && stats.size === size;
  }

  /** Whether exactly `bytes` are there. For small files whose content may change. */
  async hasBytes(path: string, bytes: Uint8Array): Promise<boolean> {
    if (!(await this.has(path, bytes.byteLength))) return false;
    return (await readFile(join(this.#root, path))).equals(bytes);
  }

  /** Writes the file at `path`, in place of what is there; where `pieces` throws, nothing has changed. */
  async write(path: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    await this.#directory(dirname(path));
    const target = join(this.#root, path);
    const half = join(dirname(target), `.astera-${process.pid}-${++this.#halves}`);
    try {
      // Fails where it exists: then it is none of ours, or a symbolic link.
      const file = await open(half, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
      try {
        for await (const piece of pieces) await file.writeFile(piece);
      } finally {
        await file.close();
      }
      await rename(half, target);
    } catch (error) {
      await rm(half, { force: true }).catch(() => {});
      throw error;
    }
  }

  #directory(path: string): Promise<void> {
    const known = this.#checked.get(path);
    if (known !== undefined) return known;
    const checking = this.#enter(path);
    this.#checked.set(path, checking);
    return checking;
  }

  async #enter(path: string): Promise<void> {
    if (path === '.') return;
    await this.#directory(dirname(path));
    const directory = join(this.#root, path);
    const isNew = await mkdir(directory).then(() => true, noneWhere('EEXIST'));
    if (isNew) return;
    const stats = await lstat(directory);
    if (!stats.isDirectory()) {
      throw new BadRequest(`cannot write to ${JSON.stringify(directory)}: not a directory`);
    }
    await removeHalf(directory);
  }
}

/** What writers that are dead now left. */
async function removeHalf(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const pid = Number(HALF.exec(name)?.[1] ?? 0);
    if (pid !== 0 && !isAlive(pid)) await rm(join(directory, name), { force: true });
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

function noneWhere(code: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code !== code) throw error;
    return undefined;
  };
}
