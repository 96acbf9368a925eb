/** A Git server over HTTP in a child process. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { GitHttpCounts } from '../../test/git/git-http-server.ts';

export class GitServer {
  readonly url: string;
  readonly #child: ChildProcess;

  /** Resolves when it listens. The directories of `root` are its repositories. */
  static async start(root: string): Promise<GitServer> {
    const child = fork(join(import.meta.dirname, 'git-server-main.ts'), [root], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    const [{ url }] = (await once(child, 'message')) as [{ url: string }];
    return new GitServer(child, url);
  }

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /** The counts since they were last taken. */
  async takeCounts(): Promise<GitHttpCounts> {
    this.#child.send('take');
    const [counts] = (await once(this.#child, 'message')) as [GitHttpCounts];
    return counts;
  }

  async stop(): Promise<void> {
    this.#child.kill();
    await once(this.#child, 'exit');
  }
}
