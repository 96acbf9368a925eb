/**
 * The readers: misses of one event-loop turn go out together, one batch a reader at a time.
 *
 * While all readers are busy, what comes queues up, within READ_QUEUE_MAX, and is the
 * next batch: the busier the store, the larger the batches. A call that takes as long
 * as a file is large is a task by itself, behind the reads that wait. When a reader dies, each
 * call of its batch is tried once more, alone, so that one that kills readers fails by itself.
 */

import { Busy, messageOf, StoreFailed } from '../core/errors.ts';
import type { ReaderPort, Remote } from '../core/store-port.ts';
import { type CallName, isLong, type Request } from '../wire/messages.ts';
import {
  createPool,
  entryBeside,
  type Pending,
  remoteOf,
  runBatch,
  settle,
  threadIdsOf,
} from './calls-client.ts';
import { READ_BATCH_CHUNKS_MAX, READ_BATCH_MAX, READ_QUEUE_MAX } from './limits.ts';
import type { Piscina } from './piscina.ts';

export type ReaderPoolOptions = {
  readonly dbPath: string;
  readonly threads: number;
  /** Told of each batch: its calls, for metrics. */
  readonly onReads?: (calls: number) => void;
  /** Told when a reader died. */
  readonly onDeath?: (message: string) => void;
  /** If set, threads start with their first read and end after so long without one. */
  readonly idleMs?: number;
  /** Steps of nice, for reads that must not hinder others. */
  readonly nice?: number;
  /** Its threads, where they were started before. */
  readonly started?: ReaderThreads;
  /** Another thread entry, for tests. */
  readonly url?: URL;
};

const calls = [
  'getEntry',
  'getChunk',
  'writeBlob',
  'getVersions',
  'getSightings',
  'getUnsettled',
  'getStored',
  'getKeys',
  'getPartialKeys',
  'getLeastUsedZips',
  'getSizes',
  'getAction',
  'getOutput',
  'getOutputChunk',
  'getOutputDelta',
  'undoOutputDelta',
  'getOutputsStored',
  'getShortIds',
  'getSession',
  'getUploads',
  'getUploadCounts',
  'getSessions',
  'getStats',
  'findModules',
  'getModuleVersions',
] as const;

/** As the front has: every answer out of the store passes through here. */
const YOUNG_MIB = 24;

/** As a builder's background: an idle thread ends, and its memory with it. */
const BROWSE_IDLE_MS = 30_000;
const BROWSE_NICE = 10;

/** Readers' threads, which touch nothing before their first read. */
export type ReaderThreads = Piscina;

/** Starts the threads alone: they take 0.1 s to come up, in which others can be loaded. */
export function startReaders(
  options: Pick<ReaderPoolOptions, 'dbPath' | 'threads' | 'idleMs' | 'nice' | 'url'>,
): ReaderThreads {
  return createPool({
    url: options.url ?? entryBeside(import.meta.url, 'reader-worker'),
    threads: options.threads,
    dbPath: options.dbPath,
    ...(options.idleMs !== undefined && { idleMs: options.idleMs }),
    ...(options.nice !== undefined && { nice: options.nice }),
    youngMiB: YOUNG_MIB,
  });
}

export class ReaderPool {
  readonly call: Remote<ReaderPort>;
  readonly #pool: Piscina;
  readonly #options: ReaderPoolOptions;
  #queue: Pending[] = [];
  #longQueue: Pending[] = [];
  #busy = 0;
  #isScheduled = false;
  #isClosed = false;

  /** One reader for those who look at all of a store, so that no client's read queues up behind it. Costs nothing while idle. */
  static forBrowsing(options: Omit<ReaderPoolOptions, 'threads'>): ReaderPool {
    return new ReaderPool({ ...options, threads: 1, idleMs: BROWSE_IDLE_MS, nice: BROWSE_NICE });
  }

  constructor(options: ReaderPoolOptions) {
    this.#options = options;
    this.#pool = options.started ?? startReaders(options);
    this.#pool.on('error', (error: unknown) => options.onDeath?.(messageOf(error)));
    this.call = remoteOf(calls, (request) => this.#send(request));
  }

  get threadIds(): number[] {
    return threadIdsOf(this.#pool);
  }

  /** Ends the threads. Reads that are under way or come later fail: their threads did not die. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const pending of [...this.#queue.splice(0), ...this.#longQueue.splice(0)]) pending.reject(closed());
    await this.#pool.destroy();
  }

  #send(request: Request): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(closed());
    const queue = isLong(request) ? this.#longQueue : this.#queue;
    if (queue.length >= READ_QUEUE_MAX) {
      return Promise.reject(new Busy(`cannot read store: ${READ_QUEUE_MAX} reads are waiting`));
    }
    return new Promise((resolve, reject) => {
      queue.push({ request, resolve, reject });
      if (this.#isScheduled || this.#busy >= this.#options.threads) return;
      this.#isScheduled = true;
      // After this turn's I/O callbacks: all requests that came with it are one batch.
      setImmediate(() => {
        this.#isScheduled = false;
        this.#dispatch();
      });
    });
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && this.#busy < this.#options.threads) {
      void this.#run(this.#takeBatch());
    }
    while (this.#longQueue.length > 0 && this.#busy < this.#options.threads) {
      void this.#run(this.#longQueue.splice(0, 1));
    }
  }

  /** A fair part of the queue for each reader that is free. */
  #takeBatch(): Pending[] {
    const free = this.#options.threads - this.#busy;
    const most = Math.min(READ_BATCH_MAX, Math.ceil(this.#queue.length / free));
    let size = 0;
    let chunks = 0;
    while (size < most) {
      if (isChunk(this.#queue[size]?.request) && ++chunks > READ_BATCH_CHUNKS_MAX) break;
      size++;
    }
    return this.#queue.splice(0, size);
  }

  async #run(batch: Pending[]): Promise<void> {
    this.#busy++;
    this.#options.onReads?.(batch.length);
    try {
      const replies = await runBatch(
        this.#pool,
        batch.map((pending) => pending.request),
      );
      batch.forEach((pending, i) => {
        settle(pending, replies[i]);
      });
    } catch (error) {
      if (!this.#isClosed) {
        this.#options.onDeath?.(messageOf(error));
        await this.#runAlone(batch);
      }
      for (const pending of batch) pending.reject(closed()); // Of those that have no answer yet.
    } finally {
      this.#busy--;
      this.#dispatch();
    }
  }

  async #runAlone(batch: Pending[]): Promise<void> {
    for (const pending of batch) {
      try {
        settle(pending, (await runBatch(this.#pool, [pending.request]))[0]);
      } catch (error) {
        pending.reject(new StoreFailed(`cannot read store: the reader died: ${messageOf(error)}`));
      }
    }
  }
}

function closed(): StoreFailed {
  return new StoreFailed('cannot read store: it is closed');
}

/** Whether the call brings a chunk, or what may be as long. */
function isChunk(request: Request | undefined): boolean {
  return request !== undefined && CHUNK_CALLS.has(request.call);
}

const CHUNK_CALLS: ReadonlySet<CallName> = new Set([
  'getChunk',
  'getOutputChunk',
  'getOutputDelta',
  'undoOutputDelta',
]);
