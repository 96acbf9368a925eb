/**
 * The front's side of a task: pack the calls, run them on a pool, unpack the replies.
 *
 * Knows nothing of queues; those are `reader-pool.ts` and `writer-queue.ts`.
 */

import { extname } from 'node:path';
import { serveError } from '../core/errors.ts';
import type { WriterMode } from '../store/schema.ts';
import { type Frame, packFrame, transferListOf, unpackFrame } from '../wire/frame.ts';
import {
  type CallName,
  type Calls,
  type Reply,
  type Request,
  replyCarrier,
  requestCarrier,
} from '../wire/messages.ts';
import { Piscina } from './piscina.ts';

/** A call on its way, with whom to tell. */
export type Pending = {
  readonly request: Request;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
};

export type PoolOptions = {
  /** The worker's file. */
  readonly url: URL;
  readonly threads: number;
  /** Tasks that one thread has at one time, by default one. Only those that wait leave room for others. */
  readonly tasksPerThread?: number;
  /** If set, threads start with their first task and end after so long without one. */
  readonly idleMs?: number;
  readonly dbPath: string;
  /** Of the writer alone. */
  readonly writerMode?: WriterMode;
  /** Steps of nice for threads that must not hinder the others. */
  readonly nice?: number;
  /** Room for young objects, of which V8 gives back little: three half spaces. By default YOUNG_MIB. */
  readonly youngMiB?: number;
};

/** Enough for what a writer's or a builder's task leaves behind. At four times as much a builder holds 13 MB more (bench/corpus-fetch.ts). */
const YOUNG_MIB = 6;

/**
 * Piscina would load the entry by `require`. Node 22 aborts the process when a thread is ended while its `require` links an
 * ES module (`v8::Module::IsGraphAsync`). Without that way Piscina loads it by `import`, at the same cost.
 */
const EXEC_ARGV = ['--no-experimental-require-module', '--disable-warning=ExperimentalWarning'];

/** A Piscina pool of ours: a worker that dies is replaced. */
export function createPool(options: PoolOptions): Piscina {
  return new Piscina({
    filename: options.url.href,
    minThreads: options.idleMs === undefined ? options.threads : 0,
    maxThreads: options.threads,
    ...(options.idleMs !== undefined && { idleTimeout: options.idleMs }),
    concurrentTasksPerWorker: options.tasksPerThread ?? 1,
    atomics: 'sync', // It answers soonest; an idle worker's timers never fire, but here no worker has any.
    recordTiming: false,
    niceIncrement: options.nice ?? 0,
    execArgv: EXEC_ARGV,
    resourceLimits: { maxYoungGenerationSizeMb: options.youngMiB ?? YOUNG_MIB },
    workerData: { dbPath: options.dbPath, writerMode: options.writerMode },
  });
}

/** A thread entry beside `module`, in the form that runs: `.ts` from a checkout's `src`, `.js` from `dist`. */
export function entryBeside(module: string, name: string): URL {
  return new URL(`./${name}${extname(module)}`, module);
}

/** Of the threads that run now, as `worker_threads.threadId` counts. */
export function threadIdsOf(pool: Piscina): number[] {
  return pool.threads.map(({ threadId }) => threadId);
}

/** Runs a batch as one task. Rejects when the worker dies or has a bug. */
export async function runBatch(pool: Piscina, requests: readonly Request[]): Promise<Reply[]> {
  const frame = packFrame(requests, requestCarrier);
  const answer: Frame = await pool.run(frame, { transferList: transferListOf(frame) });
  const replies = unpackFrame<Reply>(answer, replyCarrier);
  if (replies.length !== requests.length) {
    throw new Error(`cannot read replies: ${replies.length} for ${requests.length} calls`);
  }
  return replies;
}

/** Tells a caller what its call came to. */
export function settle(pending: Pending, reply: Reply | undefined): void {
  if (reply === undefined) pending.reject(new Error(`cannot run ${pending.request.call}: no reply`));
  else if (reply.ok) pending.resolve(reply.value as never);
  else pending.reject(serveError(reply.kind, reply.message));
}

/** Gives each call of a port its method, all through one `send`. */
export function remoteOf<N extends CallName>(
  names: readonly N[],
  send: (request: Request) => Promise<unknown>,
): { readonly [K in N]: (args: Parameters<Calls[K]>[0]) => Promise<Awaited<ReturnType<Calls[K]>>> } {
  const methods = names.map((call) => [call, (args: Request['args']) => send({ call, args })]);
  return Object.fromEntries(methods);
}
