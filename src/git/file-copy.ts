/**
 * The files of a repository's commits: each commit without its ancestors, fetched when it is first read.
 *
 * A version's tag is pinned then: a tag that moves later leads to what was served.
 */

import { UpstreamDown, UpstreamFailed } from '../core/errors.ts';
import { SMALL_BYTES_MAX } from '../core/limits.ts';
import { BareRepository } from './bare-repository.ts';
import { type BatchAnswer, commitTime, parseBatch } from './commit-object.ts';
import { type GitCommand, GitFailed } from './git-command.ts';
import type { Protocol } from './git-environment.ts';
import { gitFailure, isDamage, isRefusal } from './git-failure.ts';
import { GIT_COMMITS_KEPT_MAX } from './limits.ts';
import type { Revision } from './revision.ts';
import { canonicalOf } from './semver.ts';
import { oneLine } from './words.ts';

/** A commit's time, and the files that were asked for; a file that is not there is undefined. */
export type CommitFiles = { readonly time: Date; readonly files: (Buffer | undefined)[] };

/** For a command on a commit. */
export type StreamOptions = {
  /** As `name=value`. */
  readonly settings: readonly string[];
  /** Arguments behind the commit. */
  readonly more: readonly string[];
};

export type FileCopyOptions = {
  readonly git: GitCommand;
  readonly url: string;
  readonly protocols: readonly Protocol[];
  readonly directory: string;
  /** One line worth a log entry. */
  readonly warn: (message: string) => void;
  /** The server's refs are no longer those that led here. */
  readonly onChanged: () => void;
};

export class FileCopy {
  readonly #options: FileCopyOptions;
  readonly #files: BareRepository;
  /** Undefined until the files are open. */
  #pins: Map<string, string> | undefined;
  /** The commits that are here, with their times. */
  readonly #times = new Map<string, Date>();

  constructor(options: FileCopyOptions) {
    this.#options = options;
    this.#files = new BareRepository(options);
  }

  /** The pins as far as they are known in memory. */
  get knownPins(): ReadonlyMap<string, string> | undefined {
    return this.#pins;
  }

  /**
   * A commit's time and some of its files; a file that is not there is undefined.
   *
   * @throws {UpstreamFailed} a file is larger than SMALL_BYTES_MAX
   */
  async read(revision: Revision, paths: readonly string[]): Promise<CommitFiles> {
    const { hash } = revision;
    const objects = [hash, ...paths.map((path) => `${hash}:${path}`)];
    await this.#have(revision);
    const answers = await this.#batch(objects).catch(async (error: unknown) => {
      if (!isDamage(error)) throw this.#failure(error);
      await this.#forgetFiles();
      await this.#have(revision);
      return await this.#batch(objects).catch((again: unknown) => Promise.reject(this.#failure(again)));
    });
    const [commit, ...files] = answers;
    const time = commit === undefined ? undefined : commitTime(commit.bytes);
    if (time === undefined)
      throw new UpstreamFailed(`cannot read repository ${this.#name}: ${hash} has no time`);
    return { time, files: files.map((file) => (file?.type === 'blob' ? file.bytes : undefined)) };
  }

  /** The output of a command on a commit whose files are here: `ls-tree`, `archive`. The commit's hash goes last. */
  async *stream(
    revision: Revision,
    args: readonly string[],
    { settings, more }: StreamOptions,
  ): AsyncGenerator<Buffer, void, void> {
    await this.#have(revision);
    try {
      yield* this.#files.stream([...args, revision.hash, ...more], { settings });
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Tags that were read, name to commit; undefined while there are no files on the disk. */
  async pins(): Promise<Map<string, string> | undefined> {
    if (this.#pins !== undefined) return this.#pins;
    return await this.#files.alone(async () => {
      if (this.#pins !== undefined || !(await this.#files.open())) return this.#pins;
      const listing = await this.#listPins();
      if (listing === undefined) return undefined;
      const pins = new Map<string, string>();
      for (const line of listing.split('\n')) {
        const [name, hash, peeled] = line.split(' ');
        if (name === undefined || hash === undefined) continue;
        pins.set(Buffer.from(name.slice(PINS.length), 'hex').toString(), peeled || hash);
      }
      this.#pins = pins;
      return pins;
    });
  }

  /** Undefined where they can't be read: the files are damaged, and thrown away. */
  async #listPins(): Promise<string | undefined> {
    const format = '--format=%(refname) %(objectname) %(*objectname)';
    try {
      return (await this.#files.run(['for-each-ref', format, PINS])).toString();
    } catch (error) {
      if (!isDamage(error)) throw this.#failure(error);
      this.#options.warn(damaged(this.#name));
      await this.#files.remove();
      return undefined;
    }
  }

  /** Fetches a commit with its files and without its ancestors, if it is not here. */
  async #have(revision: Revision): Promise<void> {
    if (this.#times.has(revision.hash)) return;
    await this.#files.alone(async () => {
      if (this.#times.has(revision.hash)) return;
      try {
        await this.#files.make(revision.hash.length === 64);
        if (!(await this.#note(revision.hash))) await this.#fetchCommit(revision);
      } catch (error) {
        throw this.#failure(error);
      }
    });
  }

  async #fetchCommit({ hash, tag, ref }: Revision): Promise<void> {
    const isPinned = tag !== undefined && canonicalOf(tag.slice(tag.lastIndexOf('/') + 1)) !== undefined;
    const here = isPinned ? PINS + Buffer.from(tag).toString('hex') : `refs/commits/${hash}`;
    // Some servers give no commit by its hash; a ref's name they all take. A ref that has moved leads elsewhere.
    for (const wanted of ref === undefined ? [hash] : [ref, hash]) {
      if (await this.#fetched(`+${wanted}:${here}`, hash)) {
        if (isPinned) this.#pins?.set(tag, hash);
        return;
      }
    }
    await this.#fetchAll();
    if (await this.#note(hash)) return;
    this.#options.onChanged();
    throw new UpstreamDown(
      `repository ${this.#name} changed while it was read: ${ref ?? hash} is not ${hash}`,
    );
  }

  /** Whether a commit came with a fetch. */
  async #fetched(refspec: string, hash: string): Promise<boolean> {
    try {
      await this.#files.fetch(['--depth=1'], [refspec]);
    } catch (error) {
      if (isRefusal(error)) return false;
      throw error;
    }
    return await this.#note(hash);
  }

  /** All of the repository, for servers that give no single commit. */
  async #fetchAll(): Promise<void> {
    const all = ['+refs/heads/*:refs/all/heads/*', '+refs/tags/*:refs/all/tags/*'];
    const isShallow =
      (await this.#files.run(['rev-parse', '--is-shallow-repository'])).toString().trim() === 'true';
    await this.#files.fetch(isShallow ? ['--unshallow'] : [], all);
  }

  /** Whether a commit is here. */
  async #note(hash: string): Promise<boolean> {
    const [commit] =
      parseBatch(await this.#files.run(['cat-file', '--batch'], { input: `${hash}\n` }), 1) ?? [];
    const time = commit?.type === 'commit' ? commitTime(commit.bytes) : undefined;
    if (time === undefined) return false;
    if (this.#times.size >= GIT_COMMITS_KEPT_MAX) this.#times.clear();
    this.#times.set(hash, time);
    return true;
  }

  async #batch(objects: readonly string[]): Promise<BatchAnswer[]> {
    const input = `${objects.join('\n')}\n`;
    const output = await this.#files.run(['cat-file', '--batch'], { input, bytesMax: 2 * SMALL_BYTES_MAX });
    const answers = parseBatch(output, objects.length);
    if (answers === undefined) throw new GitFailed('git cat-file wrote unexpected words', { reason: 'exit' });
    return answers;
  }

  /** Throws damaged files away. Pins stay in memory, and are written again with their commits. */
  async #forgetFiles(): Promise<void> {
    this.#options.warn(damaged(this.#name));
    this.#times.clear();
    await this.#files.alone(() => this.#files.remove());
  }

  get #name(): string {
    return oneLine(this.#options.url);
  }

  #failure(error: unknown): unknown {
    return gitFailure(error, this.#options.url);
  }
}

/** Where pinned tags are kept, by their names in hex: a name and its directory can both be tags, at different times. */
const PINS = 'refs/pins/';

const damaged = (name: string) => `the copy of ${name} is damaged: it is fetched again`;
