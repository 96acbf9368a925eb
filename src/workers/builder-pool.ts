/**
 * The builders: few threads for CPU work.
 *
 * Piscina's own queue serves here: a task is one zip, and downloads bound how many there are.
 */

import type { Piscina } from 'piscina';
import { messageOf, StoreFailed } from '../core/errors.ts';
import type { Builder, FileBuilder } from '../core/store-port.ts';
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

/** Steps below the front in the kernel's scheduling: a zip check must not keep answers waiting on a full machine. */
const NICE = 10;

export class BuilderPool {
  readonly call: Builder & FileBuilder;
  readonly #pool: Piscina;

  /** @param options `nice`: 0 where no front is to come first */
  constructor({ dbPath, threads, nice = NICE }: { dbPath: string; threads: number; nice?: number }) {
    this.#pool = createPool({
      url: entryBeside(import.meta.url, 'builder-worker'),
      threads,
      dbPath,
      nice,
    });
    this.#pool.on('error', () => {}); // The task's own rejection says it.
    this.call = remoteOf(['checkZip', 'checkZipFile'], (request) => this.#send(request));
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
