/** The machine's responsiveness: how late another process is that wants to run every millisecond. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export type Lateness = { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };

export class Ticker {
  readonly #child: ChildProcess;

  /** Resolves when it ticks. */
  static async start(): Promise<Ticker> {
    const main = join(import.meta.dirname, 'ticker-main.ts');
    const ticker = new Ticker(fork(main, { execArgv: ['--disable-warning=ExperimentalWarning'] }));
    await ticker.take();
    return ticker;
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Since the last time this was asked. */
  async take(): Promise<Lateness> {
    this.#child.send('take');
    const [lateness] = (await once(this.#child, 'message')) as [Lateness];
    return lateness;
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }
}
