/**
 * CPU and heap profiles of all threads, for `--pprof`.
 *
 * The CPU is sampled while a profile is taken. Heaps are sampled from the start on, as in Go:
 * a heap profile says where the objects that live now were made. Bytes outside V8's heaps, such
 * as bodies and pages of the store, are in neither.
 */

import type { HeapProfiler, Profiler } from 'node:inspector';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { gzip } from 'node:zlib';
import { Busy } from '../core/errors.ts';
import { PROFILE_SAMPLES_MAX } from '../core/limits.ts';
import { type CallNode, cpuTree, heapTree } from './call-tree.ts';
import { encodeProfile, type ThreadCalls } from './pprof.ts';
import { FRONT, ThreadSessions } from './thread-sessions.ts';

/** The role of a thread. */
export type ThreadRole = 'front' | 'reader' | 'writer' | 'builder';

export const threadRoles: readonly ThreadRole[] = ['front', 'reader', 'writer', 'builder'];

/** `thread` undefined: all of them. `seconds` as `core/limits.ts` bounds them. */
export type ProfileRequest = { readonly thread: ThreadRole | undefined } & (
  | { readonly kind: 'cpu'; readonly seconds: number }
  | { readonly kind: 'heap' }
);

/** Ids of the worker threads that run now, by role. */
export type WorkerIds = Readonly<Record<Exclude<ThreadRole, 'front'>, readonly number[]>>;

/** V8 takes one in so many bytes, as Go's runtime does. At a tenth it costs a few percent of CPU. */
const HEAP_INTERVAL_BYTES = 512 * 1024;

/** Between two samples of the CPU, unless that would make more than PROFILE_SAMPLES_MAX. */
const CPU_INTERVAL_US = 1_000;

const compress = promisify(gzip);

export class Profiles {
  #workerIds: () => WorkerIds = () => ({ reader: [], writer: [], builder: [] });
  readonly #sessions = new ThreadSessions();
  #isBusy = false;
  #startCpu: ((threadId: number) => void) | undefined;

  /** Begins to sample heaps. Made before the threads, it sees all they allocate. */
  constructor() {
    // Loops that V8 optimizes while they run ("on-stack replacement") it loses sight of: their time
    // would count for whoever called them. So only whole functions are optimized, at their next call.
    setFlagsFromString('--no-use-osr');
    this.#sessions.watch((threadId) => this.#attached(threadId));
  }

  /** Says which thread is which, once there are some. */
  nameThreads(workerIds: () => WorkerIds): void {
    this.#workerIds = workerIds;
  }

  /**
   * Takes one profile, as a gzip of pprof's protocol buffer.
   *
   * @throws {Busy} another is being taken
   */
  async take(request: ProfileRequest): Promise<Uint8Array> {
    if (this.#isBusy) throw new Busy('cannot profile: another profile is being taken; try again after it');
    this.#isBusy = true;
    // Answers of other threads keep no event loop going, and the process shall not end before them.
    const alive = setInterval(() => {}, 60_000);
    try {
      const profile = request.kind === 'cpu' ? await this.#cpu(request) : await this.#heap(request.thread);
      return await compress(profile);
    } finally {
      clearInterval(alive);
      this.#isBusy = false;
    }
  }

  close(): void {
    this.#sessions.close();
  }

  #attached(threadId: number): void {
    const sampling = { samplingInterval: HEAP_INTERVAL_BYTES };
    this.#sessions.call(threadId, 'HeapProfiler.startSampling', sampling).catch(hasEnded);
    this.#startCpu?.(threadId);
  }

  async #cpu({ thread, seconds }: { thread: ThreadRole | undefined; seconds: number }): Promise<Uint8Array> {
    const intervalUs = Math.max(CPU_INTERVAL_US, Math.ceil((seconds * 1e6) / PROFILE_SAMPLES_MAX));
    const startedAtMs = Date.now();
    const started = new Set<number>();
    this.#startCpu = (threadId) => {
      started.add(threadId);
      const call = (method: string, params = {}) =>
        this.#sessions.call(threadId, `Profiler.${method}`, params).catch(hasEnded);
      // The inspector of a thread answers in order: none of these needs to wait for another.
      void call('enable');
      void call('setSamplingInterval', { interval: intervalUs });
      void call('start');
    };
    for (const threadId of this.#idsOf(thread)) this.#startCpu(threadId);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    this.#startCpu = undefined;
    const threads = await this.#collect([...started], thread, async (threadId) => {
      const { profile } = (await this.#sessions.call(threadId, 'Profiler.stop')) as Profiler.StopReturnType;
      return cpuTree(profile);
    });
    return encodeProfile(threads, {
      units: [
        { type: 'samples', unit: 'count' },
        { type: 'cpu', unit: 'nanoseconds' },
      ],
      periodUnit: { type: 'cpu', unit: 'nanoseconds' },
      period: intervalUs * 1000,
      startedAtMs,
      durationMs: Date.now() - startedAtMs,
    });
  }

  async #heap(thread: ThreadRole | undefined): Promise<Uint8Array> {
    const threads = await this.#collect(this.#idsOf(thread), thread, async (threadId) => {
      const reply = await this.#sessions.call(threadId, 'HeapProfiler.getSamplingProfile');
      return heapTree((reply as HeapProfiler.GetSamplingProfileReturnType).profile.head);
    });
    return encodeProfile(threads, {
      units: [{ type: 'inuse_space', unit: 'bytes' }],
      periodUnit: { type: 'space', unit: 'bytes' },
      period: HEAP_INTERVAL_BYTES,
      startedAtMs: Date.now(),
      durationMs: 0,
    });
  }

  /** Asks each thread; those that ended meanwhile are left out. */
  async #collect(
    threadIds: readonly number[],
    wanted: ThreadRole | undefined,
    ask: (threadId: number) => Promise<CallNode>,
  ): Promise<ThreadCalls[]> {
    const asked = threadIds.map(async (threadId) => ({
      threadId,
      thread: this.#roleOf(threadId),
      root: await ask(threadId),
    }));
    const settled = await Promise.allSettled(asked);
    return settled
      .flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
      .filter(({ thread }) => wanted === undefined || thread === wanted);
  }

  #idsOf(thread: ThreadRole | undefined): number[] {
    return this.#sessions.threadIds.filter((id) => thread === undefined || this.#roleOf(id) === thread);
  }

  /** `other` for a worker that is in no list: it ended, or has just begun. */
  #roleOf(threadId: number): ThreadRole | 'other' {
    if (threadId === FRONT) return 'front';
    const { reader, writer, builder } = this.#workerIds();
    if (reader.includes(threadId)) return 'reader';
    if (writer.includes(threadId)) return 'writer';
    return builder.includes(threadId) ? 'builder' : 'other';
  }
}

/** A thread that ends while it is asked has nothing to say. */
function hasEnded(): void {}
