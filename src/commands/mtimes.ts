/**
 * `astera mtimes [DIR]`: sets the times of a Git checkout's files from their contents, so that tests can be shared.
 *
 * The `go` command keys the result of a test by the path, size, mode and mtime of each file that the test opened (cmd/go/
 * internal/test/test.go, hashOpen), and a checkout gives every file the time at which it was made. A content's time
 * is the same on all machines, and another content has another time. Directories get one fixed time: their entries'
 * names are in the key too.
 *
 * Only files that Git tracks are touched. A link is never followed: neither a file nor a directory on the way to it.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/** Files of one checkout; the largest known ones have half a million. */
const FILES_MAX = 1_000_000;

/** Git's list of them: 200 bytes a file. */
const LIST_BYTES_MAX = 200 * FILES_MAX;

/** 2000-01-01 and 2^29 s after it, which is in 2017: `go` does not keep tests of files that are new. */
const BEGIN_S = 946_684_800;
const SPAN_S = 2 ** 29;

/** @throws {Error} no Git checkout, or too many files */
export async function mtimesCommand(directory: string): Promise<void> {
  const root = (await git(directory, 'rev-parse', '--show-toplevel')).replace(/\n$/, '');
  const list = await git(root, 'ls-files', '-s', '-z');
  const paths = list.split('\0').flatMap((line) => /^100(?:644|755) \S+ 0\t([\s\S]+)$/.exec(line)?.[1] ?? []);
  if (paths.length > FILES_MAX) throw new Error(`over ${FILES_MAX} files in ${quote(root)}`);
  const checkout = new Checkout(root);
  let count = 0;
  for (const path of paths) if (await checkout.setTime(path)) count++;
  const directories = await checkout.setDirectories();
  // Git compares times too: without this it would read all files at its next look.
  await git(root, 'update-index', '-q', '--refresh').catch(() => {});
  const rest = paths.length - count;
  const left = rest === 0 ? '' : `; ${rest} tracked files are not there, or behind a link`;
  process.stdout.write(
    `set the times of ${count} files and ${directories} directories from their contents${left}\n`,
  );
}

class Checkout {
  readonly #root: string;
  /** Whether a directory is one all the way from the root. */
  readonly #real = new Map<string, boolean>([['.', true]]);

  constructor(root: string) {
    this.#root = root;
  }

  /** False where there is no file of its own. */
  async setTime(path: string): Promise<boolean> {
    if (!(await this.#isReal(dirname(path)))) return false;
    let file: Awaited<ReturnType<typeof open>> | undefined;
    try {
      // A pipe in its place must not hold this up.
      file = await open(
        join(this.#root, path),
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      );
      if (!(await file.stat()).isFile()) return false;
      const hash = createHash('sha256');
      for await (const piece of file.createReadStream({ autoClose: false })) hash.update(piece);
      const timeS = BEGIN_S + (hash.digest().readUInt32BE(0) % SPAN_S);
      await file.utimes(timeS, timeS);
      return true;
    } catch (error) {
      if (isAbsent(error)) return false;
      throw new Error(`cannot set the time of ${quote(path)}: ${messageOf(error)}`, { cause: error });
    } finally {
      await file?.close();
    }
  }

  /** Those that have tracked files. After the files: making one changes its directory's time. */
  async setDirectories(): Promise<number> {
    const real = [...this.#real].filter(([, isReal]) => isReal).map(([path]) => path);
    for (const path of real) await utimes(join(this.#root, path), BEGIN_S, BEGIN_S);
    return real.length;
  }

  async #isReal(path: string): Promise<boolean> {
    const known = this.#real.get(path);
    if (known !== undefined) return known;
    const stat = await lstat(join(this.#root, path)).catch(() => undefined);
    const isReal = stat?.isDirectory() === true && (await this.#isReal(dirname(path)));
    this.#real.set(path, isReal);
    return isReal;
  }
}

function isAbsent(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ELOOP' || code === 'ENXIO' || code === 'EMLINK';
}

function git(directory: string, ...args: readonly string[]): Promise<string> {
  const all = ['-C', resolve(directory), '-c', 'core.fsmonitor=false', ...args];
  return new Promise((settle, reject) => {
    execFile('git', all, { maxBuffer: LIST_BYTES_MAX }, (error, stdout, stderr) => {
      if (error === null) settle(stdout);
      else {
        const why = stderr.trim().split('\n')[0] || messageOf(error);
        reject(new Error(`cannot read the Git checkout in ${quote(directory)}: ${why}`));
      }
    });
  });
}
