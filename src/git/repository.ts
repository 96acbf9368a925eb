/**
 * One repository at a server, read with as little as each question needs.
 *
 *     refs      git ls-remote                          lists, tags, branches
 *     files     bare, one commit each, no history      go.mod files and zips
 *     history   bare, all commits, no files            ancestry, short hashes: only where they are asked for
 *
 * A version's tag is pinned when it is first read: a tag that moves later leads to what was served. Follows
 * cmd/go/internal/modfetch/codehost/git.go, which has one repository and makes it whole where this has a history.
 */

import { join } from 'node:path';
import { NotFound, UpstreamDown, UpstreamFailed } from '../core/errors.ts';
import { SMALL_BYTES_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import { BareRepository } from './bare-repository.ts';
import { type BatchAnswer, commitTime, parseBatch } from './commit-object.ts';
import { type GitCommand, GitFailed } from './git-command.ts';
import type { Protocol } from './git-environment.ts';
import { gitFailure, isDamage, isRefusal } from './git-failure.ts';
import { GIT_COMMITS_KEPT_MAX, GIT_REFS_MS } from './limits.ts';
import { RemoteRefs } from './remote-refs.ts';
import type { Revision } from './revision.ts';
import { canonicalOf, compareSemver } from './semver.ts';
import { oneLine } from './words.ts';

export type RepositoryOptions = {
  readonly git: GitCommand;
  readonly url: string;
  readonly protocols: readonly Protocol[];
  /** This repository's own. */
  readonly directory: string;
  readonly clock: Clock;
  /** One line worth a log entry. */
  readonly warn: (message: string) => void;
};

export class Repository {
  readonly url: string;
  readonly #options: RepositoryOptions;
  readonly #files: BareRepository;
  readonly #history: BareRepository;
  #refs: { readonly sinceMs: number; readonly refs: Promise<RemoteRefs> } | undefined;
  /** The refs that the history was fetched for. */
  #historySum: string | undefined;
  /** Tags that were read: name to commit. Undefined until the files are open. */
  #pins: Map<string, string> | undefined;
  /** The commits that the files have, with their times. */
  readonly #times = new Map<string, Date>();
  readonly #warned = new Set<string>();

  constructor(options: RepositoryOptions) {
    this.#options = options;
    this.url = options.url;
    const { git, url, protocols, directory } = options;
    this.#files = new BareRepository({ git, url, protocols, directory: join(directory, 'files') });
    this.#history = new BareRepository({ git, url, protocols, directory: join(directory, 'history') });
  }

  /** Whether the refs that are known are older than this: something may be new since. */
  hasOldRefs(sinceMs: number): boolean {
    return this.#refs !== undefined && this.#refs.sinceMs < sinceMs;
  }

  /** The refs as they were at `sinceMs` or later, in monotonic time. */
  async refs(sinceMs: number): Promise<RemoteRefs> {
    if (this.#refs !== undefined && this.#refs.sinceMs >= sinceMs) return this.#refs.refs;
    const asked = { sinceMs: this.#options.clock.monotonicMs(), refs: this.#askRefs() };
    this.#refs = asked;
    try {
      const refs = await asked.refs;
      this.#warnOfMoved(refs);
      return refs;
    } catch (error) {
      if (this.#refs === asked) this.#refs = undefined;
      throw error;
    }
  }

  /**
   * The commit that a tag, a branch, `HEAD` or a hash of at least 7 digits names, in this order.
   *
   * @throws {NotFound} nothing has the name, or several hashes begin so
   */
  async resolve(name: string, sinceMs: number): Promise<Revision> {
    const pinned = (await this.#openPins())?.get(name);
    if (pinned !== undefined) return { hash: pinned, tag: name, ref: `refs/tags/${name}` };
    const refs = await this.refs(sinceMs);
    const tag = refs.get(`refs/tags/${name}`);
    if (tag !== undefined) return { hash: tag, tag: name, ref: `refs/tags/${name}` };
    for (const ref of [`refs/heads/${name}`, ...(name === 'HEAD' ? ['HEAD'] : [])]) {
      const hash = refs.get(ref);
      if (hash !== undefined) return { hash, tag: undefined, ref };
    }
    if (!/^[0-9a-f]{7,64}$/.test(name)) throw new NotFound(`unknown revision ${oneLine(name)}`);
    return await this.#ofHash(name, refs);
  }

  /** The default branch's newest commit. */
  async head(sinceMs: number): Promise<Revision> {
    const hash = (await this.refs(sinceMs)).get('HEAD');
    if (hash === undefined) throw new NotFound('no commits');
    return { hash, tag: undefined, ref: 'HEAD' };
  }

  /**
   * A commit's time and some of its files; a file that is not there is undefined.
   *
   * @throws {UpstreamFailed} a file is larger than SMALL_BYTES_MAX
   */
  async read(
    revision: Revision,
    paths: readonly string[],
  ): Promise<{ time: Date; files: (Buffer | undefined)[] }> {
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
    { settings, more }: { readonly settings: readonly string[]; readonly more: readonly string[] },
  ): AsyncGenerator<Buffer, void, void> {
    await this.#have(revision);
    try {
      yield* this.#files.stream([...args, revision.hash, ...more], { settings });
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /**
   * The highest version among the tags with a prefix that lead to a commit or to an ancestor of it, of those that are
   * allowed; with the prefix.
   */
  async recentTag(
    { hash, ref }: Revision,
    {
      prefix,
      isAllowed,
      sinceMs,
    }: { prefix: string; isAllowed: (tag: string) => Promise<boolean>; sinceMs: number },
  ): Promise<string | undefined> {
    const refs = await this.refs(sinceMs);
    const highest = async (tags: readonly string[]) => {
      let best: string | undefined;
      for (const tag of tags) {
        if (!tag.startsWith(prefix) || !(await isAllowed(tag))) continue;
        if (best === undefined || compareSemver(tag.slice(prefix.length), best.slice(prefix.length)) > 0)
          best = tag;
      }
      return best;
    };
    // As the go command does, which has no history of a commit that a ref leads to before it looks at its tags.
    const own = ref === undefined ? undefined : await highest(refs.tagsOf(hash));
    if (own !== undefined) return own;
    if (refs.tags(`${prefix}v`).length === 0) return undefined;
    await this.#haveHistory(refs);
    const merged = await this.#inHistory([
      'for-each-ref',
      '--format=%(refname)',
      `--merged=${hash}`,
      'refs/tags/',
    ]);
    return await highest(
      merged
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.slice('refs/tags/'.length)),
    );
  }

  /** Whether a tag leads to a commit or to an ancestor of it. */
  async descendsFrom(hash: string, tag: string, sinceMs: number): Promise<boolean> {
    const refs = await this.refs(sinceMs);
    const ancestor = refs.get(`refs/tags/${tag}`);
    if (ancestor === undefined) return false;
    await this.#haveHistory(refs);
    try {
      await this.#history.run(['merge-base', '--is-ancestor', ancestor, hash]);
      return true;
    } catch (error) {
      if (error instanceof GitFailed && error.exitCode === 1) return false;
      if (error instanceof GitFailed && (await this.#inHistoryIs(hash))) return false;
      throw this.#failure(error);
    }
  }

  get #name(): string {
    return oneLine(this.url);
  }

  async #askRefs(): Promise<RemoteRefs> {
    const { git, url, protocols } = this.#options;
    try {
      const args = ['ls-remote', '-q', '--end-of-options', url];
      return RemoteRefs.parse(await git.run(args, { protocols, timeoutMs: GIT_REFS_MS }));
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): unknown {
    return gitFailure(error, this.url);
  }

  #warnOfMoved(refs: RemoteRefs): void {
    for (const [tag, hash] of this.#pins ?? []) {
      const now = refs.get(`refs/tags/${tag}`);
      const key = `${tag} ${now}`;
      if (now === hash || this.#warned.has(key)) continue;
      this.#warned.add(key);
      const moved = now === undefined ? 'is gone' : `leads to ${now} now`;
      this.#options.warn(`tag ${oneLine(tag)} of ${this.#name} ${moved}; ${hash} was served, and stays`);
    }
  }

  /** The pins, or undefined while there are no files on the disk. */
  async #openPins(): Promise<Map<string, string> | undefined> {
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

  async #ofHash(name: string, refs: RemoteRefs): Promise<Revision> {
    const known = refs.startingWith(name).sort((a, b) => (a.name < b.name ? -1 : 1));
    const [first] = known;
    if (first !== undefined) {
      if (known.some(({ hash }) => hash !== first.hash)) throw new NotFound(`ambiguous revision ${name}`);
      return { hash: first.hash, tag: undefined, ref: first.name };
    }
    await this.#haveHistory(refs);
    const found = await this.#inHistory(['rev-parse', '-q', '--verify', `${name}^{commit}`]).catch(() => '');
    if (found === '') throw new NotFound(`unknown revision ${name}`);
    return { hash: found.trim(), tag: undefined, ref: undefined };
  }

  async #inHistory(args: readonly string[]): Promise<string> {
    try {
      return (await this.#history.run(args)).toString();
    } catch (error) {
      // The next question fetches it again.
      if (isDamage(error)) this.#historySum = undefined;
      throw this.#failure(error);
    }
  }

  async #inHistoryIs(hash: string): Promise<boolean> {
    return await this.#history.run(['cat-file', '-e', hash]).then(
      () => true,
      () => false,
    );
  }

  /** Fetches the history of all branches and tags, without files, if it is not of these refs. */
  async #haveHistory(refs: RemoteRefs): Promise<void> {
    const sum = refs.repositorySum();
    if (this.#historySum === sum) return;
    await this.#history.alone(async () => {
      if (this.#historySum === sum) return;
      const head = refs.get('HEAD') === undefined ? [] : ['+HEAD:refs/astera/head'];
      const all = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*', ...head];
      try {
        await this.#history.make(refs.isSha256 ?? false);
        await this.#history.fetch(['--prune', '--filter=tree:0'], all);
      } catch (error) {
        throw this.#failure(error);
      }
      this.#historySum = sum;
    });
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
    this.#refs = undefined;
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
}

/** Where pinned tags are kept, by their names in hex: a name and its directory can both be tags, at different times. */
const PINS = 'refs/pins/';

const damaged = (name: string) => `the copy of ${name} is damaged: it is fetched again`;
