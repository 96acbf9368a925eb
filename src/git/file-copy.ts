/**
 * The files of a repository's commits: each commit without its ancestors, fetched when it is first read.
 *
 * A version's tag is pinned then: a tag that moves later leads to what was served.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { NotFound, UpstreamDown } from '../core/errors.ts';
import { SMALL_BYTES_MAX } from '../core/limits.ts';
import { BareRepository } from './bare-repository.ts';
import type { BuildZip, ZipOrder } from './build-zip.ts';
import { type BatchAnswer, commitTime, parseBatch } from './commit-object.ts';
import { GitFailed } from './git-command.ts';
import { gitFailure, isDamage, isRefusal } from './git-failure.ts';
import { Healer } from './healer.ts';
import type { HistoryCopyOptions } from './history-copy.ts';
import type { KeptFiles } from './kept-files.ts';
import { GIT_COMMITS_KEPT_MAX } from './limits.ts';
import type { Revision } from './revision.ts';
import { canonicalOf } from './semver.ts';
import { readTree, type TreeFile } from './tree-listing.ts';
import { oneLine } from './words.ts';

/** A commit's time, and the files that were asked for; a file that is not there is undefined. */
export type CommitFiles = { readonly time: Date; readonly files: (Buffer | undefined)[] };

/** The same of a commit that may have no time. */
type FoundFiles = { readonly time: Date | undefined; readonly files: (Buffer | undefined)[] };

/** The files of a module zip, and their commit. */
export type CommitZip = Omit<ZipOrder, 'hash' | 'gitDir' | 'environment'> & { readonly revision: Revision };

export type FileCopyOptions = HistoryCopyOptions & {
  /** Small files that were read, of all repositories. */
  readonly kept: KeptFiles;
  readonly buildZip: BuildZip;
  /** The server's refs are no longer those that led here. */
  readonly onChanged: () => void;
};

export class FileCopy {
  readonly #options: FileCopyOptions;
  readonly #files: BareRepository;
  /** Undefined until the files are open. */
  #pins: Map<string, string> | undefined;
  /** The commits that are here, with their times; undefined for one that has none. */
  readonly #times = new Map<string, Date | undefined>();
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
    const known = this.#known(revision, paths);
    const { time, files } = known ?? (await this.#healer.run(() => this.#read(revision, paths)));
    if (time === undefined)
      throw new NotFound(`commit ${revision.hash} has no time, or one that no version can have`);
    return { time, files };
  }

  /** All files of a commit below a directory; an empty one is the root. Their paths are from the root. */
  async tree(revision: Revision, directory: string): Promise<TreeFile[]> {
    const args = ['ls-tree', '-r', '-l', '-z', '--full-tree', revision.hash, ...below(directory)];
    return await this.#healed(revision, () => readTree(this.#files.stream(args)));
  }

  /** The zip of some of a commit's files. Their content is as it is stored: line endings stay. */
  async *zip({ revision, ...parts }: CommitZip): AsyncGenerator<Buffer, void, void> {
    const { buildZip } = this.#options;
    const begin = async () => {
      const { directory: gitDir } = this.#files;
      const output = this.#files.elsewhere((environment) =>
        buildZip({ ...parts, hash: revision.hash, gitDir, environment }),
      );
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

  /** Tags that were read, name to commit; undefined while there are none, and no files on the disk. */
  async pins(): Promise<Map<string, string> | undefined> {
    if (this.#pins !== undefined) return this.#pins;
    return await this.#healer.run(() =>
      this.#files.alone(async () => {
        if (this.#pins !== undefined) return this.#pins;
        const saved = await this.#savedPins();
        if (!(await this.#files.open())) {
          if (saved.size > 0) this.#pins = saved;
          return this.#pins;
        }
        const format = '--format=%(refname) %(objectname) %(*objectname)';
        const listing = (await this.#files.run(['for-each-ref', format, PINS])).toString();
        this.#pins = new Map([...saved, ...listing.split('\n').flatMap(parsePin)]);
        return this.#pins;
      }),
    );
  }

  /** From memory. Undefined if it is not all there, or the tag is still to be pinned. */
  #known(revision: Revision, paths: readonly string[]): FoundFiles | undefined {
    if (!this.#isDone(revision)) return undefined;
    const { kept } = this.#options;
    const names = paths.map((path) => `${revision.hash}:${path}`);
    if (!names.every((name) => kept.has(name))) return undefined;
    return { time: this.#times.get(revision.hash), files: names.map((name) => kept.get(name)) };
  }

  /** From the disk, else from the server: a commit with its files and without its ancestors. */
  async #read(revision: Revision, paths: readonly string[]): Promise<FoundFiles> {
    const { hash } = revision;
    if (this.#isDone(revision)) {
      const found = await this.#look(hash, paths);
      if (found === undefined) throw broken(`cat-file has no ${hash}`);
      return found;
    }
    return await this.#files.alone(async () => {
      const known = this.#known(revision, paths);
      if (known !== undefined) return known;
      const found = (await this.#files.open()) ? await this.#look(hash, paths) : undefined;
      if (found === undefined) return await this.#fetchCommit(revision, paths);
      await this.#pin(revision);
      return found;
    });
  }

  async #fetchCommit(revision: Revision, paths: readonly string[]): Promise<FoundFiles> {
    const { hash, tag, ref } = revision;
    if (await this.#files.make(hash.length === 64)) this.#pins ??= await this.#savedPins();
    const here = isVersion(tag) ? pinOf(tag) : `refs/commits/${hash}`;
    // By its hash git lists no refs. Some servers give no commit by its hash; a ref's name they all take. A ref may have moved.
    for (const wanted of ref === undefined ? [hash] : [hash, ref]) {
      const found = (await this.#fetched(`+${wanted}:${here}`)) ? await this.#look(hash, paths) : undefined;
      if (found === undefined) continue;
      if (isVersion(tag)) this.#pins?.set(tag, hash);
      return found;
    }
    await this.#fetchAll();
    const found = await this.#look(hash, paths);
    if (found !== undefined) {
      await this.#pin(revision);
      return found;
    }
    this.#options.onChanged();
    throw new UpstreamDown(
      `repository ${this.#name} changed while it was read: ${ref ?? hash} is not ${hash}`,
    );
  }

  /** Whether the server gives what is asked. */
  async #fetched(refspec: string): Promise<boolean> {
    try {
      await this.#files.fetch(['--depth=1'], [refspec]);
      return true;
    } catch (error) {
      if (isRefusal(error)) return false;
      throw error;
    }
  }

  /** All of the repository, for servers that give no single commit. */
  async #fetchAll(): Promise<void> {
    const all = ['+refs/heads/*:refs/all/heads/*', '+refs/tags/*:refs/all/tags/*'];
    const isShallow =
      (await this.#files.run(['rev-parse', '--is-shallow-repository'])).toString().trim() === 'true';
    await this.#files.fetch(isShallow ? ['--unshallow'] : [], all);
  }

  /** Whether the commit is here, and its tag is pinned. */
  #isDone({ hash, tag }: Revision): boolean {
    return this.#times.has(hash) && (!isVersion(tag) || this.#pins?.has(tag) === true);
  }

  /** Pins a version's tag whose commit came for another name. */
  async #pin({ hash, tag }: Revision): Promise<void> {
    if (!isVersion(tag) || this.#pins === undefined || this.#pins.has(tag)) return;
    await this.#files.run(['update-ref', pinOf(tag), hash]);
    this.#pins.set(tag, hash);
  }

  /** Does `work` on a commit that is here. Where the copy is damaged it is thrown away, and all is done once more. */
  #healed<T>(revision: Revision, work: () => Promise<T>): Promise<T> {
    return this.#healer.run(async () => {
      if (!this.#isDone(revision)) await this.#read(revision, []);
      return await work();
    });
  }

  /** A commit and some of its files, if it is here. */
  async #look(hash: string, paths: readonly string[]): Promise<FoundFiles | undefined> {
    const names = paths.map((path) => `${hash}:${path}`);
    const [commit, ...answers] = await this.#objects([hash, ...names], paths);
    if (commit?.type !== 'commit') return undefined;
    await this.#checkMissing(
      hash,
      paths.filter((_, at) => answers[at] === undefined),
    );
    if (answers.some((answer) => answer !== undefined && answer.bytes.length > SMALL_BYTES_MAX))
      throw tooLarge(paths);
    const files = answers.map((answer) => (answer?.type === 'blob' ? answer.bytes : undefined));
    for (const [at, name] of names.entries()) this.#options.kept.add(name, files[at]);
    const time = commitTime(commit.bytes);
    if (this.#times.size >= GIT_COMMITS_KEPT_MAX) this.#times.clear();
    this.#times.set(hash, time);
    return { time, files };
  }

  async #objects(names: readonly string[], paths: readonly string[]): Promise<BatchAnswer[]> {
    const output = await this.#files
      .run(['cat-file', '--batch'], { input: `${names.join('\n')}\n`, bytesMax: 2 * SMALL_BYTES_MAX })
      .catch((error: unknown) => {
        throw error instanceof GitFailed && error.reason === 'too-long' ? tooLarge(paths) : error;
      });
    const answers = parseBatch(output, names.length);
    if (answers === undefined) throw broken('cat-file wrote unexpected words');
    return answers;
  }

  /** `cat-file` says of a file whose object is lost that there is none: a module would lose its go.mod file. */
  async #checkMissing(hash: string, paths: readonly string[]): Promise<void> {
    if (paths.length === 0) return;
    const listing = await this.#files.run(['ls-tree', '-z', '--full-tree', hash, '--', ...paths]);
    // A submodule has no object here.
    if (/(?:^|\0)[0-9]+ blob /.test(listing.toString('latin1'))) throw broken(`an object of ${hash} is lost`);
  }

  /** Removes the files, if nobody reads them now. The pins stay. */
  async evict(): Promise<boolean> {
    await this.pins();
    return await this.#files.alone(async () => {
      if (this.#files.isRead) return false;
      await this.#remove();
      return true;
    });
  }

  /** As {@link BareRepository.tidy}. */
  tidy(): Promise<boolean> {
    return this.#files.tidy();
  }

  /** Throws the files away. Their tags stay pinned. */
  async #forget(): Promise<void> {
    await this.#files.alone(() => this.#remove());
  }

  async #remove(): Promise<void> {
    this.#times.clear();
    const lines = [...(this.#pins ?? [])].map(([tag, hash]) => `${pinOf(tag)} ${hash}\n`);
    if (lines.length > 0 && (await this.#files.open())) await writeFile(this.#savedAt, lines.join(''));
    await this.#files.remove();
  }

  /** The pins that outlived the files. */
  async #savedPins(): Promise<Map<string, string>> {
    const text = await readFile(this.#savedAt, 'utf8').catch(() => '');
    return new Map(text.split('\n').flatMap(parsePin));
  }

  /** Beside the files. */
  get #savedAt(): string {
    return `${this.#options.directory}.pins`;
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

function pinOf(tag: string): string {
  return PINS + Buffer.from(tag).toString('hex');
}

/** Whether a tag names a version, of the root's module or of another one's. */
function isVersion(tag: string | undefined): tag is string {
  return tag !== undefined && canonicalOf(tag.slice(tag.lastIndexOf('/') + 1)) !== undefined;
}

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
