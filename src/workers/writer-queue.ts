/**
 * The writer: a pool of exactly one thread, and the queue in front of it.
 *
 * One group is in flight; all that queues up behind it, within WRITE_GROUP_BYTES_MAX,
 * is the next one and commits as one transaction. The answer means committed. When
 * the writer dies its group's fate is unknown: its calls are idempotent and are sent
 * once more, which needs the bytes: they are copied to the writer, not moved.
 */

import { messageOf, StoreFailed } from '../core/errors.ts';
import type { AllSizes, Remote, WriterPort } from '../core/store-port.ts';
import type { WriterMode } from '../store/schema.ts';
import type { Reply, Request } from '../wire/messages.ts';
import {
  createPool,
  entryBeside,
  type Pending,
  remoteOf,
  runBatch,
  settle,
  threadIdsOf,
} from './calls-client.ts';
import { BULK_GROUP_BYTES_MAX, WRITE_GROUP_BYTES_MAX, WRITE_QUEUE_BYTES_MAX } from './limits.ts';
import type { Piscina } from './piscina.ts';
import { SizeBound } from './size-bound.ts';
import { WalWatch } from './wal-watch.ts';
import type { Opened } from './writer-worker.ts';

/** The writer's thread, which touches nothing before {@link WriterQueue.open}. */
export type WriterThread = Piscina;

export type WriterQueueOptions = {
  readonly dbPath: string;
  /** For an import that has the store to itself: see `store/schema.ts`. */
  readonly mode?: WriterMode;
  /** Its thread, where that was started before. */
  readonly thread?: WriterThread;
  /** Told of each committed group: its calls, for metrics. */
  readonly onWrites?: (calls: number) => void;
  /** Called after each group, with the store's message if it failed, and without one if it committed. */
  readonly onOutcome?: (failure: string | undefined) => void;
  readonly onDeath?: (message: string) => void;
  /** Told of the file's sizes and of what is queued. Chunks wait for its room. */
  readonly bound?: SizeBound;
  /** Told when the WAL is too long for more to be stored, with the reason, and when it no longer is, without. */
  readonly onLongWal?: (why: string | undefined) => void;
  /** Another wait than GATHER_MS, for tests. */
  readonly gatherMs?: number;
  /** Another bound than WAL_BYTES_MAX, and another time between two looks, for tests. */
  readonly walBytesMax?: number;
  readonly longWalMs?: number;
  /** Another thread entry, for tests. */
  readonly url?: URL;
};

/** While the WAL is too long nothing is written that would have it looked at, so it is looked at so often. */
const LONG_WAL_MS = 5_000;

/**
 * So long an answer that came from the upstream waits for others to be committed with. Each group wakes the writer and
 * the front once more, on the cores where clients' answers are made just then (bench/cold-herd.ts).
 */
const GATHER_MS = 10;

/** A call counts as so many bytes in the queue, beside its own. */
const CALL_BYTES = 512;

const calls = [
  'putEntry',
  'putFile',
  'revalidateEntry',
  'setVerdict',
  'confirmBy',
  'exemptBy',
  'delayYoung',
  'noteSightings',
  'dropVerdicts',
  'dropEntry',
  'openBlob',
  'putChunk',
  'sealBlob',
  'dropBlob',
  'forget',
  'dropUnused',
  'touch',
  'putOutput',
  'openOutput',
  'sealOutput',
  'putAction',
  'touchActions',
  'putSession',
  'keepUploads',
  'endUploads',
  'retryUploads',
  'queueStored',
  'dropAction',
  'dropOutput',
  'expireActions',
  'forgetActions',
  'checkpoint',
  'tidy',
  'letGo',
  'dropLeaving',
  'sizes',
  'shrink',
  'keepWithin',
] as const;

/** Starts the thread alone: it takes 0.1 s to come up, in which others can be loaded. */
export function startWriter(
  dbPath: string,
  { mode, url }: Pick<WriterQueueOptions, 'mode' | 'url'> = {},
): WriterThread {
  return createPool({
    url: url ?? entryBeside(import.meta.url, 'writer-worker'),
    threads: 1,
    dbPath,
    ...(mode !== undefined && { writerMode: mode }),
  });
}

export class WriterQueue {
  readonly call: Remote<WriterPort>;
  readonly #pool: Piscina;
  readonly #options: WriterQueueOptions;
  readonly #bound: SizeBound;
  #queue: Pending[] = [];
  #waitingForRoom: (() => void)[] = [];
  readonly #wal: WalWatch;
  #longWal: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** Ends the wait for others. */
  #hurry: () => void = () => {};

  constructor(options: WriterQueueOptions) {
    this.#options = options;
    this.#bound = options.bound ?? new SizeBound(undefined);
    this.#wal = new WalWatch(options.walBytesMax);
    this.#bound.onRoom = () => this.#wakeWaiting();
    this.#pool = options.thread ?? startWriter(options.dbPath, options);
    this.#pool.on('error', (error: unknown) => options.onDeath?.(messageOf(error)));
    this.call = remoteOf(calls, (request) => this.#send(request));
  }

  /** Opens or makes the store. @throws {StoreFailed} from `store/schema.ts` */
  async open(): Promise<Opened> {
    try {
      return await this.#pool.run('open');
    } catch (error) {
      throw new StoreFailed(messageOf(error), { cause: error });
    }
  }

  get #isBulk(): boolean {
    return this.#options.mode === 'bulk';
  }

  get threadIds(): number[] {
    return threadIdsOf(this.#pool);
  }

  /** Why the WAL's length allows nothing to be stored; undefined: it does. */
  get full(): string | undefined {
    return this.#wal.full;
  }

  /** Commits what is queued, empties the WAL, ends the thread. Calls that come later fail. */
  async close(): Promise<void> {
    clearInterval(this.#longWal);
    while (this.#running !== undefined) await this.#running;
    this.#isClosed = true;
    await this.#pool.run('close').catch((error: unknown) => this.#options.onDeath?.(messageOf(error)));
    await this.#pool.destroy();
  }

  /**
   * Waits while more than WRITE_QUEUE_BYTES_MAX are queued, or while old files must be dropped first: writers ask this
   * before they send chunks.
   */
  async waitForRoom(): Promise<void> {
    const bytesMax = this.#isBulk ? 2 * BULK_GROUP_BYTES_MAX : WRITE_QUEUE_BYTES_MAX;
    while (this.#bound.queuedBytes > bytesMax || this.#bound.isWaiting) {
      await new Promise<void>((resolve) => this.#waitingForRoom.push(resolve));
    }
  }

  #send(request: Request): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new StoreFailed('cannot write store: it is closed'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve, reject });
      this.#bound.queuedBytes += bytesOf(request);
      this.#running ??= this.#drain();
      if (request.call !== 'putEntry') this.#hurry();
    });
  }

  async #drain(): Promise<void> {
    await this.#gather();
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      await this.#runGroup(group);
      if (this.#wal.isDue) await this.#checkpoint();
    }
    this.#running = undefined;
  }

  /** Until GATHER_MS are over, or somebody's call is there who waits for it; after this turn at the earliest. */
  async #gather(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#options.gatherMs ?? GATHER_MS);
      this.#hurry = () => {
        clearTimeout(timer);
        setImmediate(resolve);
      };
    });
    this.#hurry = () => {};
  }

  #takeGroup(): Pending[] {
    const bytesMax = this.#isBulk ? BULK_GROUP_BYTES_MAX : WRITE_GROUP_BYTES_MAX;
    let bytes = 0;
    let count = 0;
    for (const { request } of this.#queue) {
      const isAlone = request.call === 'checkpoint';
      bytes += bytesOf(request);
      if (count > 0 && (isAlone || bytes > bytesMax)) break;
      count++;
      if (isAlone) break;
    }
    return this.#queue.splice(0, count);
  }

  async #runGroup(group: Pending[]): Promise<void> {
    const replies = await this.#runTwice(requestsOf(group));
    const bytes = group.reduce((sum, { request }) => sum + bytesOf(request), 0);
    this.#bound.queuedBytes -= bytes;
    this.#wal.noteGroup(group.length, bytes);
    const sizes = replies[group.length];
    if (sizes?.ok) {
      const { walBytes, ...file } = sizes.value as AllSizes;
      this.#wal.noteFile(walBytes);
      this.#bound.noteSizes(file);
    }
    if (group[0]?.request.call === 'checkpoint') this.#noteCheckpoint(replies[0]);
    this.#wakeWaiting();
    const failed = replies.find((reply) => !reply.ok && reply.kind === 'store-failed');
    this.#options.onOutcome?.(failed?.ok === false ? failed.message : undefined);
    if (failed === undefined) this.#options.onWrites?.(group.length);
    group.forEach((pending, i) => {
      settle(pending, replies[i]);
    });
  }

  #wakeWaiting(): void {
    for (const resolve of this.#waitingForRoom.splice(0)) resolve();
  }

  async #runTwice(requests: readonly Request[]): Promise<Reply[]> {
    for (let tries = 1; ; tries++) {
      try {
        return await runBatch(this.#pool, requests.map(copyOf));
      } catch (error) {
        const message = `cannot write store: the writer died: ${messageOf(error)}`;
        this.#options.onDeath?.(message);
        if (tries === 2) return requests.map(() => ({ ok: false, kind: 'store-failed', message }));
      }
    }
  }

  async #checkpoint(): Promise<void> {
    await this.#moveWal({ truncate: false });
    if (this.#wal.isLarge) await this.#moveWal({ truncate: true });
  }

  async #moveWal(args: { readonly truncate: boolean }): Promise<void> {
    const [reply] = await this.#runTwice([{ call: 'checkpoint', args: args as object }]);
    this.#noteCheckpoint(reply);
  }

  #noteCheckpoint(reply: Reply | undefined): void {
    this.#wal.noteCheckpoint(reply?.ok ? (reply.value as { walBytes: number }).walBytes : 0);
    const { full } = this.#wal;
    if ((full === undefined) === (this.#longWal === undefined)) return;
    clearInterval(this.#longWal);
    this.#longWal = undefined;
    if (full !== undefined) {
      const again = () => void this.call.checkpoint({ truncate: true }).catch(() => {}); // It is closed.
      this.#longWal = setInterval(again, this.#options.longWalMs ?? LONG_WAL_MS);
    }
    this.#options.onLongWal?.(full);
  }
}

/** Each group asks for the file's sizes too. A checkpoint comes alone. */
function requestsOf(group: readonly Pending[]): Request[] {
  const requests = group.map(({ request }) => request);
  const isAlone = requests[0]?.call === 'checkpoint';
  return isAlone ? requests : [...requests, { call: 'sizes', args: {} }];
}

/** Packing changes and moves what it is given; the original stays for the second try. */
function copyOf({ call, args }: Request): Request {
  if (args.bytes === undefined) return { call, args };
  return { call, args: { ...args, bytes: new Uint8Array(args.bytes) } };
}

/** The bytes that a call adds to its transaction: its own, or those of the file that the writer reads itself. */
function bytesOf({ call, args }: Request): number {
  const { size = 0 } = call === 'putFile' ? (args as { size?: number }) : {};
  return CALL_BYTES + size + (args.bytes?.byteLength ?? 0);
}
