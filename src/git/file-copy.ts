/**
 * The files of a repository's commits: each commit without its ancestors, fetched when it is first read.
 *
 * A version's tag is pinned then: a tag that moves later leads to what was served.
 */

import { NotFound, UpstreamDown } from '../core/errors.ts';
import { SMALL_BYTES_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import { BareRepository } from './bare-repository.ts';
import { type BatchAnswer, commitTime, parseBatch } from './commit-object.ts';
import { type Git, GitFailed } from './git-command.ts';
import type { Protocol } from './git-environment.ts';
import { gitFailure, isDamage, isRefusal } from './git-failure.ts';
import { Healer } from './healer.ts';
import { GIT_COMMITS_KEPT_MAX } from './limits.ts';
import type { Revision } from './revision.ts';
import { canonicalOf } from './semver.ts';
import { readTree, type TreeFile } from './tree-listing.ts';
import { oneLine } from './words.ts';

/** A commit's time, and the files that were asked for; a file that is not there is undefined. */
export type CommitFiles = { readonly time: Date; readonly files: (Buffer | undefined)[] };

export type FileCopyOptions = {
  readonly git: Git;
  readonly url: string;
  readonly protocols: readonly Protocol[];
  readonly directory: string;
  readonly clock: Clock;
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
  /** The commits that are here. */
  readonly #here = new Set<string>();
  readonly #healer: Healer;

  constructor(options: FileCopyOptions) {
    this.#options = options;
    this.#files = new BareRepository(options);
    this.#healer = new Healer({ ...options, throwAway: () => this.#forget() });
  }

  /** The pins as far as they are known in memory. */
  get knownPins(): ReadonlyMap<string, string> | undefined {
    return this.#pins;
  }

  /**
   * A commit's time and some of its files; a file that is not there is undefined.
   *
   * @throws {NotFound} a file is larger than SMALL_BYTES_MAX, or the commit has no time that a version can have
   */
  async read(revision: Revision, paths: readonly string[]): Promise<CommitFiles> {
    const [commit, ...files] = await this.#healed(revision, () => this.#objects(revision.hash, paths));
    const time = commit === undefined ? undefined : commitTime(commit.bytes);
    if (time === undefined)
      throw new NotFound(`commit ${revision.hash} has no time, or one that no version can have`);
    if (files.some((file) => file !== undefined && file.bytes.length > SMALL_BYTES_MAX))
      throw tooLarge(paths);
    return { time, files: files.map((file) => (file?.type === 'blob' ? file.bytes : undefined)) };
  }

  /** All files of a commit below a directory; an empty one is the root. Their paths are from the root. */
  async tree(revision: Revision, directory: string): Promise<TreeFile[]> {
    const args = ['ls-tree', '-r', '-l', '-z', '--full-tree', revision.hash, ...below(directory)];
    return await this.#healed(revision, () => readTree(this.#files.stream(args)));
  }

  /** The output of `git archive` for a commit's files below a directory, as they are stored: line endings stay. */
  async *archive(
    revision: Revision,
    directory: string,
    options: readonly string[],
  ): AsyncGenerator<Buffer, void, void> {
    const settings = ['core.autocrlf=input', 'core.eol=lf', 'core.bigFileThreshold=512m'];
    const begin = async () => {
      const args = ['archive', ...options, revision.hash, ...below(directory)];
      const output = this.#files.stream(args, { settings });
      return { output, first: await output.next() };
    };
    const { output, first } = await this.#healed(revision, begin);
    try {
      if (first.done) return;
      yield first.value;
      yield* output;
    } catch (error) {
      // Too late for another try: the next one finds a new copy.
      if (isDamage(error)) await this.#healer.heal(error);
      throw this.#failure(error);
    } finally {
      await output.return();
    }
  }

  /** Tags that were read, name to commit; undefined while there are no files on the disk. */
  async pins(): Promise<Map<string, string> | undefined> {
    if (this.#pins !== undefined) return this.#pins;
    return await this.#healer.run(() =>
      this.#files.alone(async () => {
        if (this.#pins !== undefined || !(await this.#files.open())) return this.#pins;
        const format = '--format=%(refname) %(objectname) %(*objectname)';
        const listing = (await this.#files.run(['for-each-ref', format, PINS])).toString();
        this.#pins = new Map(listing.split('\n').flatMap(parsePin));
        return this.#pins;
      }),
    );
  }

  /** Fetches a commit with its files and without its ancestors, if it is not here. */
  async #have(revision: Revision): Promise<void> {
    if (this.#here.has(revision.hash)) return;
    await this.#files.alone(async () => {
      if (this.#here.has(revision.hash)) return;
      await this.#files.make(revision.hash.length === 64);
      if (!(await this.#note(revision.hash))) await this.#fetchCommit(revision);
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
    if (commit?.type !== 'commit') return false;
    if (this.#here.size >= GIT_COMMITS_KEPT_MAX) this.#here.clear();
    this.#here.add(hash);
    return true;
  }

  /** Does `work` on a commit that is here. Where the copy is damaged it is thrown away, and all is done once more. */
  #healed<T>(revision: Revision, work: () => Promise<T>): Promise<T> {
    return this.#healer.run(async () => {
      await this.#have(revision);
      return await work();
    });
  }

  /** A commit and some of its files. */
  async #objects(hash: string, paths: readonly string[]): Promise<BatchAnswer[]> {
    const objects = [hash, ...paths.map((path) => `${hash}:${path}`)];
    const output = await this.#files
      .run(['cat-file', '--batch'], { input: `${objects.join('\n')}\n`, bytesMax: 2 * SMALL_BYTES_MAX })
      .catch((error: unknown) => {
        throw error instanceof GitFailed && error.reason === 'too-long' ? tooLarge(paths) : error;
      });
    const answers = parseBatch(output, objects.length);
    if (answers?.[0] === undefined) throw broken(`cat-file has no ${hash}`);
    await this.#checkMissing(
      hash,
      paths.filter((_, at) => answers[at + 1] === undefined),
    );
    return answers;
  }

  /** `cat-file` says of a file whose object is lost that there is none: a module would lose its go.mod file. */
  async #checkMissing(hash: string, paths: readonly string[]): Promise<void> {
    if (paths.length === 0) return;
    const listing = await this.#files.run(['ls-tree', '-z', '--full-tree', hash, '--', ...paths]);
    // A submodule has no object here.
    if (/(?:^|\0)[0-9]+ blob /.test(listing.toString('latin1'))) throw broken(`an object of ${hash} is lost`);
  }

  /** Throws the files away. Pins stay in memory, and are written again with their commits. */
  async #forget(): Promise<void> {
    this.#here.clear();
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

function below(directory: string): string[] {
  return directory === '' ? [] : [directory];
}

/** A line of `for-each-ref`: the pin's name, its object, and the commit that an annotated tag leads to. */
function parsePin(line: string): [name: string, hash: string][] {
  const [name, hash, peeled] = line.split(' ');
  if (name === undefined || hash === undefined) return [];
  return [[Buffer.from(name.slice(PINS.length), 'hex').toString(), peeled || hash]];
}

function broken(message: string): GitFailed {
  return new GitFailed(message, { reason: 'exit' });
}

function tooLarge(paths: readonly string[]): NotFound {
  return new NotFound(`${paths.join(' or ')} is larger than ${SMALL_BYTES_MAX} bytes`);
}
