/**
 * One bare repository on the disk: made when it is needed, made anew when it is damaged, changed by one command at a time.
 *
 * Knows commands and files, no modules. Two of these make a `Repository`.
 */

import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UpstreamFailed } from '../core/errors.ts';
import type { GitBounds } from './git-bounds.ts';
import type { Git, GitRun, GitServer } from './git-command.ts';
import type { Environment } from './git-environment.ts';
import { GIT_LOOSE_MAX, GIT_PACKS_MAX, GIT_TIDY_MS } from './limits.ts';
import { treeBytes } from './tree-bytes.ts';
import { oneLine } from './words.ts';

export type BareRepositoryOptions = {
  readonly git: Git;
  readonly directory: string;
  readonly url: string;
  readonly server: GitServer;
  readonly bounds: GitBounds;
};

export class BareRepository {
  readonly directory: string;
  readonly #options: BareRepositoryOptions;
  #isReady = false;
  #last: Promise<unknown> = Promise.resolve();
  /** Commands that read it now. */
  #readers = 0;
  /** Ends what tidies it now. */
  #tidying: AbortController | undefined;

  constructor(options: BareRepositoryOptions) {
    this.directory = options.directory;
    this.#options = options;
  }

  /** Whether a command reads it now. */
  get isRead(): boolean {
    return this.#readers > 0;
  }

  /** One after the other, so that no two commands change the repository at one time. Nobody waits for it to be tidied. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    this.#tidying?.abort(new Error('somebody waits'));
    const next = this.#last.then(work, work);
    this.#last = next.catch(() => {});
    return next;
  }

  /** Whether it is there already. What a killed process left behind goes. */
  async open(): Promise<boolean> {
    if (this.#isReady && (await isDirectory(this.directory))) return true;
    this.#isReady = false;
    if (!(await this.#isSound())) return false;
    await removeLeftovers(this.directory);
    await this.#writeAttributes();
    this.#isReady = true;
    return true;
  }

  /**
   * Makes the repository if it is not there. Its files are written here: `git init` and `git config` would be two processes.
   *
   * @param isSha256 its objects have hashes of 64 digits
   * @returns whether it was made
   */
  async make(isSha256: boolean): Promise<boolean> {
    if (await this.open()) return false;
    const { directory, url } = this.#options;
    await rm(directory, { recursive: true, force: true });
    for (const name of ['objects/info', 'objects/pack', 'refs'])
      await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
    await this.#writeAttributes();
    await writeFile(join(directory, 'HEAD'), HEAD);
    // Last, as it says that all the rest is there.
    await writeFile(join(directory, 'config'), configOf(url, isSha256));
    this.#isReady = true;
    return true;
  }

  /** Throws it away; the next {@link make} makes it anew. */
  async remove(): Promise<void> {
    this.#isReady = false;
    await rm(this.#options.directory, { recursive: true, force: true });
  }

  /** A command that stays on the disk. */
  async run(args: readonly string[], run: GitRun = {}): Promise<Buffer> {
    this.#readers++;
    try {
      return await this.#options.git.run(args, { ...run, gitDir: this.#options.directory });
    } finally {
      this.#readers--;
    }
  }

  /** As {@link GitCommand.elsewhere}, for a command that reads this repository. */
  async *elsewhere<T>(
    work: (environment: Environment) => AsyncGenerator<T, void, void>,
  ): AsyncGenerator<T, void, void> {
    this.#readers++;
    try {
      yield* this.#options.git.elsewhere(work);
    } finally {
      this.#readers--;
    }
  }

  async *stream(args: readonly string[], run: GitRun = {}): AsyncGenerator<Buffer, void, void> {
    this.#readers++;
    try {
      yield* this.#options.git.stream(args, { ...run, gitDir: this.#options.directory });
    } finally {
      this.#readers--;
    }
  }

  /** Joins the packs and loose objects of many fetches to one pack. Whether that was needed, and done. */
  tidy(): Promise<boolean> {
    return this.alone(async () => {
      if (!(await isInPieces(this.directory))) return false;
      const tidying = new AbortController();
      this.#tidying = tidying;
      try {
        await this.#options.git.run(['gc', '-q', '--prune=now'], {
          gitDir: this.directory,
          isBackground: true,
          settings: ['pack.threads=1', 'pack.windowMemory=64m', 'core.bigFileThreshold=16m'],
          timeoutMs: GIT_TIDY_MS,
          signal: tidying.signal,
        });
        return true;
      } catch {
        // Whoever reads it next finds damage, if that is the reason.
        await removeLeftovers(this.directory);
        return false;
      } finally {
        this.#tidying = undefined;
      }
    });
  }

  /**
   * Fetches from the repository's server.
   *
   * @throws {GitFailed} as `git` fails
   * @throws {UpstreamFailed} the repository grows past its bound; what came is thrown away
   */
  async fetch(args: readonly string[], refspecs: readonly string[]): Promise<void> {
    const { git, directory, server, bounds } = this.#options;
    const tooLarge = new AbortController();
    const watch = setInterval(() => {
      void treeBytes(directory).then((bytes) => {
        if (bytes > bounds.copyBytesMax)
          tooLarge.abort(
            new UpstreamFailed(
              `repository ${oneLine(this.#options.url)} has more than ${bounds.copyBytesMax} bytes`,
            ),
          );
      });
    }, bounds.sizeCheckMs);
    const fixed = ['fetch', '-q', '-f', '--no-tags', '--no-write-fetch-head', '--no-recurse-submodules'];
    try {
      await git.run([...fixed, ...args, '--end-of-options', 'origin', ...refspecs], {
        gitDir: directory,
        server,
        // A larger file goes to the disk as it comes. Git's own bound is 512 MiB, all of it in memory.
        settings: ['core.bigFileThreshold=16m'],
        timeoutMs: bounds.fetchMs,
        signal: tooLarge.signal,
      });
    } catch (error) {
      await removeLeftovers(directory);
      if (tooLarge.signal.aborted) await this.remove();
      throw error;
    } finally {
      clearInterval(watch);
    }
  }

  async #writeAttributes(): Promise<void> {
    const info = join(this.directory, 'info');
    await mkdir(info, { recursive: true });
    await writeFile(join(info, 'attributes'), ATTRIBUTES);
  }

  /** Whether it was made for this URL, and to the end. Git may have added settings. */
  async #isSound(): Promise<boolean> {
    const { directory, url } = this.#options;
    const text = (name: string) => readFile(join(directory, name), 'utf8').catch(() => '');
    const config = await text('config');
    const isOurs = [false, true].some((isSha256) => config.startsWith(configOf(url, isSha256)));
    return isOurs && (await text('HEAD')) === HEAD;
  }
}

/**
 * Go turns off the first two, so that a zip does not depend on the version of git. A filter would be a program of the
 * server's own settings, such as Git LFS, that runs as often as a repository asks for it.
 */
const ATTRIBUTES = '* -export-subst -export-ignore -filter\n';

/** It leads to no branch, as there is none here. */
const HEAD = 'ref: refs/heads/none\n';

/** The settings of a new repository, as gitrepository-layout(5) and git-config(1) have them. A URL that was checked has no quote. */
function configOf(url: string, isSha256: boolean): string {
  const core = '[core]\n\trepositoryformatversion = 1\n\tbare = true\n';
  const format = isSha256 ? '[extensions]\n\tobjectformat = sha256\n' : '';
  return `${core}${format}[remote "origin"]\n\turl = "${url}"\n`;
}

/** The URL in the settings of a repository that was made here. */
export function urlIn(config: string): string | undefined {
  return /^\[remote "origin"\]\n\turl = "([^"\n]*)"$/m.exec(config)?.[1];
}

async function isInPieces(directory: string): Promise<boolean> {
  const names = await readdir(join(directory, 'objects'), { recursive: true }).catch(() => []);
  const packs = names.filter((name) => name.endsWith('.pack')).length;
  const loose = names.filter((name) => /^[0-9a-f]{2}\/./.test(name)).length;
  return packs > GIT_PACKS_MAX || loose > GIT_LOOSE_MAX;
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Removes the locks and half-written packs of processes that were killed. Nobody else may be at work. */
async function removeLeftovers(directory: string): Promise<void> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const left = names.filter((name) => name.endsWith('.lock') || /(?:^|\/)tmp_[^/]+$/.test(name));
  await Promise.all(left.map((name) => rm(join(directory, name), { force: true, recursive: true })));
}
