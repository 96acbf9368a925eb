/** The bare uWebSockets.js server of `bare-uws-main.ts`, in a process of its own. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export class BareUws {
  readonly url: string;
  readonly #child: ChildProcess;

  /**
   * @param root the tree it serves
   * @param latencyMs of each answer
   */
  static async start(root: string, { latencyMs = 0 } = {}): Promise<BareUws> {
    const main = join(import.meta.dirname, 'bare-uws-main.ts');
    const child = fork(main, { execArgv: ['--disable-warning=ExperimentalWarning'] });
    child.send({ root, latencyMs });
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return new BareUws(child, `http://127.0.0.1:${port}`);
  }

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  get pids(): number[] {
    return [this.#child.pid ?? 0];
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }
}
