/**
 * The history of a repository: all its commits, without files. Fetched only where ancestry or a short hash is asked for.
 */

import { BareRepository } from './bare-repository.ts';
import { type GitCommand, GitFailed } from './git-command.ts';
import type { Protocol } from './git-environment.ts';
import { gitFailure, isDamage } from './git-failure.ts';
import type { RemoteRefs } from './remote-refs.ts';

export type HistoryCopyOptions = {
  readonly git: GitCommand;
  readonly url: string;
  readonly protocols: readonly Protocol[];
  readonly directory: string;
};

export class HistoryCopy {
  readonly #url: string;
  readonly #history: BareRepository;
  /** The refs that the history was fetched for. */
  #historySum: string | undefined;

  constructor(options: HistoryCopyOptions) {
    this.#url = options.url;
    this.#history = new BareRepository(options);
  }

  /** The names of the tags that lead to a commit or to an ancestor of it. */
  async mergedTags(hash: string, refs: RemoteRefs): Promise<string[]> {
    await this.#haveHistory(refs);
    const merged = await this.#inHistory([
      'for-each-ref',
      '--format=%(refname)',
      `--merged=${hash}`,
      'refs/tags/',
    ]);
    return merged
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.slice('refs/tags/'.length));
  }

  /** Whether a commit is another one, or its ancestor. */
  async isAncestor(ancestor: string, hash: string, refs: RemoteRefs): Promise<boolean> {
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

  /** The one commit whose hash begins so. */
  async find(name: string, refs: RemoteRefs): Promise<string | undefined> {
    await this.#haveHistory(refs);
    const found = await this.#inHistory(['rev-parse', '-q', '--verify', `${name}^{commit}`]).catch(() => '');
    return found === '' ? undefined : found.trim();
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

  #failure(error: unknown): unknown {
    return gitFailure(error, this.#url);
  }
}
