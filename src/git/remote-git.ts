/** `git` for one repository: the commands that reach its server mind the pauses after a refused login. */

import { type Git, GitFailed, type GitRun } from './git-command.ts';
import type { Environment } from './git-environment.ts';
import { gitFailure } from './git-failure.ts';
import { type LoginPauses, LoginRefused, type LoginTarget } from './login-pauses.ts';

export class RemoteGit implements Git {
  readonly #git: Git;
  readonly #pauses: LoginPauses;
  readonly #target: LoginTarget;

  constructor({ git, pauses, target }: { git: Git; pauses: LoginPauses; target: LoginTarget }) {
    this.#git = git;
    this.#pauses = pauses;
    this.#target = target;
  }

  /** As `GitCommand.run`. @throws {Forbidden} the login is refused, or was a while ago */
  async run(args: readonly string[], run: GitRun = {}): Promise<Buffer> {
    if (run.server === undefined) return await this.#git.run(args, run);
    const hasOwnSsh = run.server.protocols.includes('ssh') && (await this.#hasOwnSsh());
    return await this.#pauses.ask(this.#target, async () => {
      try {
        return await this.#git.run(args, { ...run, hasOwnSsh });
      } catch (error) {
        const meant = gitFailure(error, this.#target.url);
        throw meant instanceof LoginRefused ? meant : error;
      }
    });
  }

  /** As `GitCommand.stream`; for commands that stay on the disk. */
  stream(args: readonly string[], run: GitRun = {}): AsyncGenerator<Buffer, void, void> {
    return this.#git.stream(args, run);
  }

  /** As `GitCommand.elsewhere`. */
  elsewhere<T>(
    work: (environment: Environment) => AsyncGenerator<T, void, void>,
  ): AsyncGenerator<T, void, void> {
    return this.#git.elsewhere(work);
  }

  async #hasOwnSsh(): Promise<boolean> {
    try {
      return (await this.#git.run(['config', '--get', 'core.sshCommand'])).length > 0;
    } catch (error) {
      if (error instanceof GitFailed) return false;
      throw error;
    }
  }
}
