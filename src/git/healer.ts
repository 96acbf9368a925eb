/**
 * Throws a copy away where it turns out to be damaged, and has the work done once more.
 *
 * Not more than once in GIT_HEAL_MS, as a repository may be damaged at its server. Work that failed while another one's
 * damage was mended is done once more all the same.
 */

import type { Clock } from '../core/ports.ts';
import type { GitFailed } from './git-command.ts';
import { damaged, gitFailure, isDamage } from './git-failure.ts';
import { GIT_HEAL_MS } from './limits.ts';

export type HealerOptions = {
  /** The repository's, for messages. */
  readonly url: string;
  readonly clock: Clock;
  readonly warn: (message: string) => void;
  /** Waits for its turn at the copy. */
  readonly throwAway: () => Promise<void>;
};

export class Healer {
  readonly #options: HealerOptions;
  #mending: Promise<void> | undefined;
  #times = 0;
  #againMs = 0;

  constructor(options: HealerOptions) {
    this.#options = options;
  }

  /**
   * The result of `work`, at the second try if the copy was damaged at the first.
   *
   * @throws {ServeError} a failure of `git`, as the client gets it
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const times = this.#times;
    try {
      return await work();
    } catch (error) {
      if (!isDamage(error)) throw this.#failure(error);
      if (times === this.#times && !(await this.heal(error))) throw this.#failure(error);
      await this.#mending;
    }
    return await work().catch((error: unknown) => Promise.reject(this.#failure(error)));
  }

  /** Throws the damaged copy away. False if that was done a short time ago. */
  async heal(error: GitFailed): Promise<boolean> {
    const { url, clock, warn, throwAway } = this.#options;
    const nowMs = clock.monotonicMs();
    if (error.reason !== 'gone' && nowMs < this.#againMs) return false;
    this.#againMs = nowMs + GIT_HEAL_MS;
    this.#times++;
    warn(damaged(url, error));
    this.#mending = throwAway();
    await this.#mending;
    return true;
  }

  #failure(error: unknown): unknown {
    return gitFailure(error, this.#options.url);
  }
}
