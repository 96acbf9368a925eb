/**
 * CPU and heap profiles of all threads, for `--pprof`.
 *
 * The CPU is sampled while a profile is taken. Heaps are sampled from the start on, as in Go. So a heap profile shows
 * the calls that allocated the live objects. Neither kind includes bytes outside V8's heaps, such as bodies and pages
 * of the store.
 */

import type { HeapProfiler, Profiler } from 'node:inspector';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { gzip } from 'node:zlib';
import { Busy } from '../core/errors.ts';
import { type CallNode, cpuTree, heapTree } from './call-tree.ts';
import { PROFILE_SAMPLES_MAX } from './limits.ts';
import { encodeProfile, type ThreadCalls } from './pprof.ts';
import { FRONT, ThreadSessions } from './thread-sessions.ts';

/** The role of a thread. */
export type ThreadRole = 'front' | 'reader' | 'writer' | 'builder';

export const threadRoles: readonly ThreadRole[] = ['front', 'reader', 'writer', 'builder'];

/** A profile of the threads with one role; with `thread` undefined, of all. `front/limits.ts` bounds `seconds`. */
export type ProfileRequest = { readonly thread: ThreadRole | undefined } & (
  | { readonly kind: 'cpu'; readonly seconds: number }
  | { readonly kind: 'heap' }
);

/** The ids of the running worker threads, by role. */
export type WorkerIds = Readonly<Record<Exclude<ThreadRole, 'front'>, readonly number[]>>;

/** V8 samples one allocation in so many bytes, as Go's runtime does. At a tenth this costs a few percent of CPU. */
const HEAP_INTERVAL_BYTES = 512 * 1024;

/** Between two samples of the CPU; longer if there would be more than PROFILE_SAMPLES_MAX samples. */
const CPU_INTERVAL_US = 1_000;

const compress = promisify(gzip);

export class Profiles {
  #workerIds: () => WorkerIds = () => ({ reader: [], writer: [], builder: [] });
  readonly #sessions = new ThreadSessions();
  #isBusy = false;
  #startCpu: ((threadId: number) => void) | undefined;

  /** Starts to sample heaps. To be made before the threads, so that it sees all of their allocations. */
  constructor() {
    // V8 loses track of loops that it optimizes while they run ("on-stack replacement"). Their time would count for
    // their callers. Without it V8 optimizes whole functions, at their next call.
    setFlagsFromString('--no-use-osr');
    this.#sessions.watch((threadId) => this.#attached(threadId));
  }

  /** Sets the function that gives the threads' roles. To be called when there are threads. */
  nameThreads(workerIds: () => WorkerIds): void {
    this.#workerIds = workerIds;
  }

  /**
   * Takes one profile, as a gzip of pprof's protocol buffer.
   *
   * @throws {Busy} another profile is being taken
   */
  async take(request: ProfileRequest): Promise<Uint8Array> {
    if (this.#isBusy) throw new Busy('cannot profile: another profile is being taken; try again after it');
    this.#isBusy = true;
    // Answers from other threads do not keep the event loop alive. The timer does, so that the process waits for them.
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
      // The inspector of a thread answers in order, so these calls need not wait for each other.
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

  /** Asks each thread. Threads that ended meanwhile are left out. */
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

  /** The thread's role; `other` for a worker in no list, as it has ended or is just starting. */
  #roleOf(threadId: number): ThreadRole | 'other' {
    if (threadId === FRONT) return 'front';
    const { reader, writer, builder } = this.#workerIds();
    if (reader.includes(threadId)) return 'reader';
    if (writer.includes(threadId)) return 'writer';
    return builder.includes(threadId) ? 'builder' : 'other';
  }
}

/** Ignores the failure of a call to a thread that ended meanwhile. */
function hasEnded(): void {}
