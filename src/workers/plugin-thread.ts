/** The owner of the plugin server's thread: starts it, starts it anew when it dies, and stops it. */

import { Worker } from 'node:worker_threads';
import { type Address, formatAddress } from '../core/address.ts';
import { entryBeside } from './calls-client.ts';
import type { PluginWorkerData, PluginWorkerMessage, PluginWorkerStop } from './plugin-worker.ts';

export type PluginThreadOptions = PluginWorkerData & {
  readonly onWarning: (line: string) => void;
  /** It had a bug, and starts anew; its `go` commands go on alone. */
  readonly onDeath: (why: string) => void;
  /** Another thread entry, for tests. */
  readonly url?: URL;
};

/** A thread that dies at once must not take a core. */
const RESTART_MS = 1_000;

export class PluginThread {
  readonly #options: PluginThreadOptions;
  /** Has the port that the system chose. */
  #address: Address;
  #worker: Worker | undefined;
  #restart: NodeJS.Timeout | undefined;
  /** Between its first start and `stop`. */
  #isWanted = false;

  /** @throws {Error} the address can't be had, or the token's file can't be read */
  static async start(options: PluginThreadOptions): Promise<PluginThread> {
    const thread = new PluginThread(options);
    await thread.#start();
    thread.#isWanted = true;
    return thread;
  }

  private constructor(options: PluginThreadOptions) {
    this.#options = options;
    this.#address = options.address;
  }

  get address(): Address {
    return this.#address;
  }

  /** Sessions have `graceMs` to end. Resolves when the thread has ended. */
  async stop(graceMs: number): Promise<void> {
    this.#isWanted = false;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage({ graceMs } satisfies PluginWorkerStop);
    await ended;
  }

  #start(): Promise<void> {
    const { settings, env } = this.#options;
    const workerData: PluginWorkerData = { address: this.#address, settings, env };
    const url = this.#options.url ?? entryBeside(import.meta.url, 'plugin-worker');
    const worker = new Worker(url, { workerData });
    this.#worker = worker;
    return new Promise((resolve, reject) => {
      worker.on('message', (message: PluginWorkerMessage) => {
        if (message.kind === 'warning') this.#options.onWarning(message.line);
        else if (message.kind === 'failed') {
          reject(new Error(`cannot serve --plugin on ${formatAddress(this.#address)}: ${message.why}`));
        } else {
          if (this.#address.kind === 'tcp') this.#address = { ...this.#address, port: message.port };
          resolve();
        }
      });
      let why = 'it ended';
      worker.on('error', (error) => {
        why = error.stack ?? error.message;
        reject(error);
      });
      worker.on('exit', () => {
        this.#worker = undefined;
        reject(new Error(why));
        if (this.#isWanted) this.#startAgain(why);
      });
    });
  }

  #startAgain(why: string): void {
    this.#options.onDeath(why);
    this.#restart = setTimeout(() => void this.#start().catch(() => {}), RESTART_MS);
  }
}
