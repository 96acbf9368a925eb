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
  readonly #pool: Piscina;

  /** One for what nobody waits for, so that no client's zip queues up behind it. Costs nothing while idle. */
  static inBackground(dbPath: string): BuilderPool {
    return new BuilderPool({ dbPath, threads: 1, nice: NICE_BACKGROUND, idleMs: IDLE_MS });
  }

  /** @param options `nice`: 0 where no front is to come first; `idleMs`: see {@link createPool} */
  constructor({
    nice = NICE,
    ...options
  }: { dbPath: string; threads: number; nice?: number; idleMs?: number }) {
    this.#pool = createPool({
      url: entryBeside(import.meta.url, 'builder-worker'),
      ...options,
      nice,
      tasksPerThread: TASKS_PER_THREAD,
    });
    this.#pool.on('error', () => {}); // The task's own rejection says it.
    this.buildZip = (order) => zipFrom(this.#pool, order);
    this.call = remoteOf(['checkZip', 'hashStored', 'checkZipFile'], (request) => this.#send(request));
  }

  get threadIds(): number[] {
    return threadIdsOf(this.#pool);
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #send(request: Request): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const pending: Pending = { request, resolve, reject };
      runBatch(this.#pool, [request]).then(
        ([reply]) => settle(pending, reply),
        (error: unknown) => reject(new StoreFailed(`cannot build: ${messageOf(error)}`)),
      );
    });
  }
}
