/**
 * The history of a repository: all its commits, without files. Fetched only where ancestry or a short hash is asked for.
 */

import { NotFound } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { BareRepository, type BareRepositoryOptions } from './bare-repository.ts';
import { GitFailed } from './git-command.ts';
import { isDamage } from './git-failure.ts';
import { Healer } from './healer.ts';
import { RemoteRefs } from './remote-refs.ts';

export type HistoryCopyOptions = BareRepositoryOptions & {
  readonly clock: Clock;
  /** One line worth a log entry. */
  readonly warn: (message: string) => void;
};

export class HistoryCopy {
  readonly #history: BareRepository;
  /** The refs that the history was fetched for. */
  #sum: string | undefined;
  readonly #healer: Healer;

  constructor(options: HistoryCopyOptions) {
    this.#history = new BareRepository(options);
    const throwAway = () =>
      this.#history.alone(async () => {
        this.#sum = undefined;
        await this.#history.remove();
      });
    this.#healer = new Healer({ ...options, throwAway });
  }

  /** Removes the history, if nobody reads it now. */
  evict(): Promise<boolean> {
    return this.#history.alone(async () => {
      if (this.#history.isRead) return false;
      this.#sum = undefined;
      await this.#history.remove();
      return true;
    });
  }

  /** As {@link BareRepository.tidy}. */
  tidy(): Promise<boolean> {
    return this.#history.tidy();
  }

  /** The names of the tags that lead to a commit or to an ancestor of it. */
  async mergedTags(hash: string, refs: RemoteRefs): Promise<string[]> {
    const merged = await this.#healed(refs, hash, async () =>
      (await this.#run(['for-each-ref', '--format=%(refname)', `--merged=${hash}`, 'refs/tags/'])).toString(),
    );
    return merged
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.slice('refs/tags/'.length));
  }

  /** Whether a commit is another one, or its ancestor. */
  async isAncestor(ancestor: string, hash: string, refs: RemoteRefs): Promise<boolean> {
    return await this.#healed(refs, hash, () => this.#says(['merge-base', '--is-ancestor', ancestor, hash]));
  }

  /** The one commit whose hash begins so. */
  async find(name: string, refs: RemoteRefs): Promise<string | undefined> {
    return await this.#healed(refs, undefined, async () => {
      const args = ['rev-parse', '-q', '--verify', `${name}^{commit}`];
      const found = await this.#run(args).catch((error: unknown) => noIs(error, Buffer.alloc(0)));
      if (found.length > 0) return found.toString().trim();
      // Lost objects look like commits that never were.
      if (!(await this.#isWhole())) throw new GitFailed('objects are lost', { reason: 'exit' });
      return undefined;
    });
  }

  /**
   * Does `work` on the history of these refs. Where it is damaged it is thrown away, and all is done once more.
   *
   * @throws {NotFound} the commit `hash` is in no branch or tag, so nothing can be said of its ancestors
   */
  #healed<T>(refs: RemoteRefs, hash: string | undefined, work: () => Promise<T>): Promise<T> {
    // Alone, as a fetch writes one ref after the other: tags would be missing.
    return this.#healer.run(() =>
      this.#history.alone(async () => {
        await this.#have(refs);
        try {
          return await work();
        } catch (error) {
          if (hash === undefined || !isDamage(error) || error.reason === 'gone') throw error;
          if ((await this.#says(['cat-file', '-e', hash])) || !(await this.#isWhole())) throw error;
          throw new NotFound(`commit ${hash} is in no branch or tag`);
        }
      }),
    );
  }

  /** Whether the commits of all branches and tags are here. Says nothing of their ancestors. */
  async #isWhole(): Promise<boolean> {
    const hashes = await this.#run(['for-each-ref', '--format=%(objectname)']);
    const found = await this.#run(['cat-file', '--batch-check'], hashes.toString());
    return !/ missing$/m.test(found.toString());
  }

  /** The answer of a command that ends with 0 or 1. */
  async #says(args: readonly string[]): Promise<boolean> {
    return await this.#run(args).then(
      () => true,
      (error: unknown) => noIs(error, false),
    );
  }

  #run(args: readonly string[], input?: string): Promise<Buffer> {
    return this.#history.run(args, input === undefined ? {} : { input });
  }

  /** Fetches the history of all branches and tags, without files, if it is not of these refs. */
  async #have(refs: RemoteRefs): Promise<void> {
    const sum = refs.repositorySum();
    if (this.#sum === sum) return;
    if (!(await this.#isLeftOf(sum))) {
      const head = refs.get('HEAD') === undefined ? [] : [`+HEAD:${HEAD}`];
      const all = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*', ...head];
      await this.#history.make(refs.isSha256 ?? false);
      await this.#history.fetch(['--prune', '--filter=tree:0'], all);
    }
    this.#sum = sum;
  }

  /** Whether an earlier process has left the history of the same refs. */
  async #isLeftOf(sum: string): Promise<boolean> {
    if (this.#sum !== undefined || !(await this.#history.open())) return false;
    const listing = await this.#run(['show-ref', '--dereference']).catch((error: unknown) => {
      if (error instanceof GitFailed) return Buffer.alloc(0);
      throw error;
    });
    const refs = await RemoteRefs.parse(Buffer.from(listing.toString().replace(` ${HEAD}\n`, ' HEAD\n')));
    return refs.repositorySum() === sum;
  }
}

/** Where the server's HEAD is kept. */
const HEAD = 'refs/astera/head';

/** The answer `no` for a command that ended with 1, which is no failure. */
function noIs<T>(error: unknown, no: T): T {
  if (error instanceof GitFailed && error.exitCode === 1) return no;
  throw error;
}
