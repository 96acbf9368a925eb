/** The local upstream in a child process: the same options, its counters asked over IPC. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Counters, UpstreamOptions } from './local-upstream.ts';

export class UpstreamProcess {
  readonly url: string;
  readonly #child: ChildProcess;

  /** Resolves when it listens. */
  static async start(options: UpstreamOptions): Promise<UpstreamProcess> {
    const main = join(import.meta.dirname, 'local-upstream-main.ts');
    const child = fork(main, [JSON.stringify(options)], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    const [{ url }] = (await once(child, 'message')) as [{ url: string }];
    return new UpstreamProcess(child, url);
  }

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  counters(): Promise<Counters> {
    return this.#ask('counters');
  }

  resetCounters(): Promise<Counters> {
    return this.#ask('reset');
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill();
    await once(this.#child, 'exit');
  }

  async #ask(question: string): Promise<Counters> {
    this.#child.send(question);
    const [counters] = (await once(this.#child, 'message')) as [Counters];
    return counters;
  }
}
