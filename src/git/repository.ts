/**
 * One repository at a server, read with as little as each question needs.
 *
 *     refs           git ls-remote                          lists, tags, branches
 *     FileCopy       bare, one commit each, no history      go.mod files and zips
 *     HistoryCopy    bare, all commits, no files            ancestry, short hashes: only where they are asked for
 *
 * Follows cmd/go/internal/modfetch/codehost/git.go, which has one repository and makes it whole where this has a history.
 */

import { join } from 'node:path';
import { NotFound } from '../core/errors.ts';
import { type CommitFiles, type CommitZip, FileCopy, type FileCopyOptions } from './file-copy.ts';
import { gitFailure } from './git-failure.ts';
import { HistoryCopy } from './history-copy.ts';
import { RemoteRefs } from './remote-refs.ts';
import type { Revision } from './revision.ts';
import { compareSemver } from './semver.ts';
import type { TreeFile } from './tree-listing.ts';
import { oneLine } from './words.ts';

/** `directory`: this repository's own. */
export type RepositoryOptions = Omit<FileCopyOptions, 'onChanged'>;

export class Repository {
  readonly url: string;
  readonly #options: RepositoryOptions;
  readonly #files: FileCopy;
  readonly #history: HistoryCopy;
  #refs: { readonly sinceMs: number; readonly refs: Promise<RemoteRefs> } | undefined;
  /** Fulfilled when the refs that are asked for now are here, or failed. */
  #asking: Promise<void> | undefined;
  readonly #warned = new Set<string>();

  constructor(options: RepositoryOptions) {
    this.#options = options;
    this.url = options.url;
    const { directory } = options;
    const onChanged = () => {
      this.#refs = undefined;
    };
    this.#files = new FileCopy({ ...options, directory: join(directory, 'files'), onChanged });
    this.#history = new HistoryCopy({ ...options, directory: join(directory, 'history') });
  }

  /** Removes the copies, if nobody reads them now. */
  async evict(): Promise<boolean> {
    return (await this.#history.evict()) && (await this.#files.evict());
  }

  /** Joins the packs of copies that have many; how many copies were. */
  async tidy(): Promise<number> {
    return Number(await this.#files.tidy()) + Number(await this.#history.tidy());
  }

  /** Whether the refs that are known are older than this: something may be new since. */
  hasOldRefs(sinceMs: number): boolean {
    return this.#refs !== undefined && this.#refs.sinceMs < sinceMs;
  }

  /**
   * The refs as they were at `sinceMs` or later, in monotonic time. The server is asked once at a time; all that wait for
   * that share the next answer.
   */
  async refs(sinceMs: number): Promise<RemoteRefs> {
    for (;;) {
      if (this.#refs !== undefined && this.#refs.sinceMs >= sinceMs) return await this.#refs.refs;
      if (this.#asking === undefined) this.#ask();
      else await this.#asking;
    }
  }

  #ask(): void {
    const asked = { sinceMs: this.#options.clock.monotonicMs(), refs: this.#askRefs() };
    this.#refs = asked;
    const settled = asked.refs.then(
      (refs) => this.#warnOfMoved(refs),
      () => {
        if (this.#refs === asked) this.#refs = undefined;
      },
    );
    this.#asking = settled.finally(() => {
      this.#asking = undefined;
    });
  }

  /**
   * The commit that a tag, a branch, `HEAD` or a hash of at least 7 digits names, in this order.
   *
   * @throws {NotFound} nothing has the name, or several hashes begin so
   */
  async resolve(name: string, sinceMs: number): Promise<Revision> {
    const pinned = (await this.#files.pins())?.get(name);
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

  /** As {@link FileCopy.read}. */
  read(revision: Revision, paths: readonly string[]): Promise<CommitFiles> {
    return this.#files.read(revision, paths);
  }

  /** As {@link FileCopy.tree}. */
  tree(revision: Revision, directory: string): Promise<TreeFile[]> {
    return this.#files.tree(revision, directory);
  }

  /** As {@link FileCopy.zip}. */
  zip(files: CommitZip): AsyncGenerator<Buffer, void, void> {
    return this.#files.zip(files);
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
    return await highest(await this.#history.mergedTags(hash, refs));
  }

  /** Whether a tag leads to a commit or to an ancestor of it. */
  async descendsFrom(hash: string, tag: string, sinceMs: number): Promise<boolean> {
    const refs = await this.refs(sinceMs);
    const ancestor = refs.get(`refs/tags/${tag}`);
    return ancestor !== undefined && (await this.#history.isAncestor(ancestor, hash, refs));
  }

  get #name(): string {
    return oneLine(this.url);
  }

  async #askRefs(): Promise<RemoteRefs> {
    const { git, url, server, bounds } = this.#options;
    try {
      const args = ['ls-remote', '-q', '--end-of-options', url];
      const refs = await RemoteRefs.parse(await git.run(args, { server, timeoutMs: bounds.refsMs }));
      // Git takes a page of one line, such as that of a login, for a list without refs.
      if (refs.isSha256 === undefined)
        throw new NotFound(`repository ${this.#name} has no commits, or is none`);
      return refs;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): unknown {
    return gitFailure(error, this.url);
  }

  #warnOfMoved(refs: RemoteRefs): void {
    for (const [tag, hash] of this.#files.knownPins ?? []) {
      const now = refs.get(`refs/tags/${tag}`);
      const key = `${tag} ${now}`;
      if (now === hash || this.#warned.has(key)) continue;
      this.#warned.add(key);
      const moved = now === undefined ? 'is gone' : `leads to ${now} now`;
      this.#options.warn(`tag ${oneLine(tag)} of ${this.#name} ${moved}; ${hash} was served, and stays`);
    }
  }

  async #ofHash(name: string, refs: RemoteRefs): Promise<Revision> {
    const known = refs.startingWith(name).sort((a, b) => (a.name < b.name ? -1 : 1));
    const [first] = known;
    if (first !== undefined) {
      if (known.some(({ hash }) => hash !== first.hash)) throw new NotFound(`ambiguous revision ${name}`);
      return { hash: first.hash, tag: undefined, ref: first.name };
    }
    const found = await this.#history.find(name, refs);
    if (found === undefined) throw new NotFound(`unknown revision ${name}`);
    return { hash: found, tag: undefined, ref: undefined };
  }
}
