/** The cost of processes, as the kernel counts it: CPU of all threads, memory by kind. Linux only. */

import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** USER_HZ: 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/** User and system time of all threads so far; of several processes, their sum. */
export function cpuMs(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    // The name in brackets may hold anything; fields are counted behind it (proc(5): utime is the 14th).
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * TICK_MS;
}

/**
 * As {@link cpuMs}, and that of all its children that have ended. The bench's own children count by `process.pid`, the
 * `git` processes of a server by the server's.
 */
export function cpuWithChildrenMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return ticks * TICK_MS;
}

export type Memory = {
  readonly rssAnonBytes: number;
  readonly rssFileBytes: number;
  readonly peakRssBytes: number;
};

/** Anonymous and file-backed pages now, and the most there ever was of both together. */
export function memory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { rssAnonBytes: bytes('RssAnon'), rssFileBytes: bytes('RssFile'), peakRssBytes: bytes('VmHWM') };
}

/** Looks at a process's anonymous memory every 20 ms; the kernel keeps a peak only of all kinds together. */
export class PeakMemory {
  readonly #timer: NodeJS.Timeout;
  #peakBytes = 0;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      this.#peakBytes = Math.max(this.#peakBytes, memory(pid).rssAnonBytes);
    }, 20);
  }

  /** @returns the largest RssAnon seen */
  stop(): number {
    clearInterval(this.#timer);
    return this.#peakBytes;
  }
}

/** A process and all that it started, and they in turn. */
export type ProcessTree = { readonly rssAnonBytes: number; readonly processes: number };

/** As {@link PeakMemory}, of all of them. */
export class PeakTree {
  readonly #timer: NodeJS.Timeout;
  #peak: ProcessTree = NO_PROCESS;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      const { rssAnonBytes, processes } = treeOf(pid);
      this.#peak = {
        rssAnonBytes: Math.max(this.#peak.rssAnonBytes, rssAnonBytes),
        processes: Math.max(this.#peak.processes, processes),
      };
    }, 50);
  }

  /** @returns the largest sums seen, each by itself */
  stop(): ProcessTree {
    clearInterval(this.#timer);
    return this.#peak;
  }
}

const NO_PROCESS: ProcessTree = { rssAnonBytes: 0, processes: 0 };

function treeOf(pid: number): ProcessTree {
  try {
    const own = { rssAnonBytes: memory(pid).rssAnonBytes, processes: 1 };
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter((one) => one !== ''),
    );
    return children
      .map((child) => treeOf(Number(child)))
      .reduce(
        (sum, { rssAnonBytes, processes }) => ({
          rssAnonBytes: sum.rssAnonBytes + rssAnonBytes,
          processes: sum.processes + processes,
        }),
        own,
      );
  } catch {
    return NO_PROCESS; // It has ended.
  }
}

/** The kernel scheduler's times of a thread so far. */
export type ThreadTimes = {
  readonly ranMs: number;
  /** Could have run, and had no core. */
  readonly waitedMs: number;
  /** How often it was put on a core: of an idle thread, how often it woke up. */
  readonly runs: number;
};

/** Of a process's first thread: of a server, the front. */
export function frontTimes(pid: number): ThreadTimes {
  return timesOf(pid, pid);
}

/** Of all threads that it has now, together: finer than {@link cpuMs}. */
export function threadTimes(pid: number): ThreadTimes {
  const sum = { ranMs: 0, waitedMs: 0, runs: 0 };
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const { ranMs, waitedMs, runs } = timesOf(pid, Number(thread));
    sum.ranMs += ranMs;
    sum.waitedMs += waitedMs;
    sum.runs += runs;
  }
  return sum;
}

/** How long each thread ran so far, by its id. */
export function ranMsByThread(pid: number): Map<number, number> {
  const threads = readdirSync(`/proc/${pid}/task`).map(Number);
  return new Map(threads.map((thread) => [thread, timesOf(pid, thread).ranMs]));
}

function timesOf(pid: number, thread: number): ThreadTimes {
  const text = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8');
  const [ran = 0, waited = 0, runs = 0] = text.split(' ').map(Number);
  return { ranMs: ran / 1e6, waitedMs: waited / 1e6, runs };
}

export const cores = availableParallelism();

/** The bytes that a process read and wrote so far, as `/proc/PID/io` counts it. */
export type ProcessIo = {
  /** Asked of the disk, as far as the page cache did not have it. Page faults count. */
  readonly diskReadBytes: number;
  /** Sent towards the disk: pages made dirty. */
  readonly diskWrittenBytes: number;
  /** Through `read` and the like, sockets too; mapped pages don't count. */
  readonly callReadBytes: number;
  /** Through `write` and the like, sockets too. */
  readonly callWrittenBytes: number;
};

export function processIo(pid: number): ProcessIo {
  const text = readFileSync(`/proc/${pid}/io`, 'utf8');
  const bytes = (field: string) => Number(new RegExp(`^${field}: (\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return {
    diskReadBytes: bytes('read_bytes'),
    diskWrittenBytes: bytes('write_bytes'),
    callReadBytes: bytes('rchar'),
    callWrittenBytes: bytes('wchar'),
  };
}
