/**
 * The builders: few threads for CPU work.
 *
 * Piscina's own queue serves here: a task is one zip, and downloads bound how many there are. A thread has several tasks at
 * a time: a zip out of Git waits for `git`, and for those who take it, and a check that comes then must not wait too.
 */

import { messageOf, StoreFailed } from '../core/errors.ts';
import type { Builder, FileBuilder } from '../core/store-port.ts';
import type { BuildZip } from '../git/build-zip.ts';
import type { Request } from '../wire/messages.ts';
import {
  createPool,
  entryBeside,
  type Pending,
  remoteOf,
  runBatch,
  settle,
  threadIdsOf,
} from './calls-client.ts';
import type { Piscina } from './piscina.ts';
import { zipFrom } from './zip-client.ts';

/** Steps below the front in the kernel's scheduling: a zip check must not keep answers waiting on a full machine. */
const NICE = 10;

/** The last step: nobody waits for the background. */
const NICE_BACKGROUND = 19;

/** At half, four zips that are taken slowly stop all checks; more zips than this `git` has no places for. */
const TASKS_PER_THREAD = 9;

/** An idle thread of the background ends after so long, and its 20 MB with it. */
const IDLE_MS = 10_000;

export class BuilderPool {
  readonly call: Builder & FileBuilder;
  readonly buildZip: BuildZip;
  readonly #open: () => Piscina;
  #pool: Piscina | undefined;
  #up: Promise<void> | undefined;

  /** One for what nobody waits for, so that no client's zip queues up behind it. Costs nothing while idle. */
  static inBackground(dbPath: string): BuilderPool {
    return new BuilderPool({ dbPath, threads: 1, nice: NICE_BACKGROUND, idleMs: IDLE_MS });
  }

  /**
   * Its threads start with its first task, or by {@link BuilderPool.start}.
   *
   * @param options `nice`: 0 where no front is to come first; `idleMs`: see {@link createPool}
   */
  constructor({
    nice = NICE,
    ...options
  }: { dbPath: string; threads: number; nice?: number; idleMs?: number }) {
    const url = entryBeside(import.meta.url, 'builder-worker');
    this.#open = () => createPool({ url, ...options, nice, tasksPerThread: TASKS_PER_THREAD });
    this.buildZip = (order) => zipFrom(this.#start(), order);
    this.call = remoteOf(['checkZip', 'hashStored', 'checkZipFile'], (request) => this.#send(request));
  }

  get threadIds(): number[] {
    return this.#pool === undefined ? [] : threadIdsOf(this.#pool);
  }

  /** Starts its threads, so that no task waits for them. Resolves when one is up. */
  async start(): Promise<void> {
    this.#start();
    await this.#up;
  }

  async close(): Promise<void> {
    await this.#pool?.destroy();
  }

  #start(): Piscina {
    if (this.#pool !== undefined) return this.#pool;
    const pool = this.#open();
    pool.on('error', () => {}); // The task's own rejection says it.
    this.#up = new Promise((resolve) => pool.once('workerCreate', () => resolve()));
    this.#pool = pool;
    return pool;
  }

  #send(request: Request): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const pending: Pending = { request, resolve, reject };
      runBatch(this.#start(), [request]).then(
        ([reply]) => settle(pending, reply),
        (error: unknown) => reject(new StoreFailed(`cannot build: ${messageOf(error)}`)),
      );
    });
  }
}
