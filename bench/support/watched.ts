/** The cost of some work to a server, from all sides: CPU, memory, disk, event loop, and the machine around it. */

import { type Astera, total } from '../../test/support/astera.ts';
import {
  cpuMs,
  frontTimes,
  memory,
  PeakMemory,
  type ProcessIo,
  processIo,
  type ThreadTimes,
} from './process-cost.ts';
import { megabytes, short } from './table.ts';
import { type Lateness, Ticker } from './ticker.ts';

export type WorkCost = {
  readonly wallMs: number;
  /** Of all threads of the server. */
  readonly cpuMs: number;
  readonly peakRssAnonBytes: number;
  /** File-backed pages at the end. */
  readonly rssFileBytes: number;
  /** The front thread's running time, and its time waiting for one of the machine's cores. */
  readonly front: ThreadTimes;
  /** The front thread's event loop, as it says itself. */
  readonly loop: Lateness;
  /** A process beside it that wants to run every millisecond. */
  readonly ticker: Lateness;
  readonly io: ProcessIo;
  /** Rows asked of the store. */
  readonly reads: number;
};

export async function watched<T>(
  astera: Astera,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly cost: WorkCost }> {
  const ticker = await Ticker.start();
  const before = await astera.metrics(); // From here on the loop's delay counts.
  const beforeIo = processIo(astera.pid);
  const beforeCpuMs = cpuMs([astera.pid]);
  const beforeFront = frontTimes(astera.pid);
  const peak = new PeakMemory(astera.pid);
  const startedMs = performance.now();
  try {
    const result = await work();
    const wallMs = performance.now() - startedMs;
    const costMs = cpuMs([astera.pid]) - beforeCpuMs;
    const front = frontTimes(astera.pid);
    const after = await astera.metrics();
    const loopMs = (quantile: string) =>
      (after.get(`astera_event_loop_delay_seconds{quantile="${quantile}"}`) ?? 0) * 1000;
    const reads = 'astera_store_reads_total';
    const cost = {
      wallMs,
      cpuMs: costMs,
      peakRssAnonBytes: peak.stop(),
      rssFileBytes: memory(astera.pid).rssFileBytes,
      front: {
        ranMs: front.ranMs - beforeFront.ranMs,
        waitedMs: front.waitedMs - beforeFront.waitedMs,
        runs: front.runs - beforeFront.runs,
      },
      loop: { p50Ms: loopMs('p50'), p99Ms: loopMs('p99'), maxMs: loopMs('max') },
      ticker: await ticker.take(),
      io: difference(processIo(astera.pid), beforeIo),
      reads: total(after, reads) - total(before, reads),
    };
    return { result, cost };
  } finally {
    peak.stop();
    await ticker.stop();
  }
}

function difference(after: ProcessIo, before: ProcessIo): ProcessIo {
  return {
    diskReadBytes: after.diskReadBytes - before.diskReadBytes,
    diskWrittenBytes: after.diskWrittenBytes - before.diskWrittenBytes,
    callReadBytes: after.callReadBytes - before.callReadBytes,
    callWrittenBytes: after.callWrittenBytes - before.callWrittenBytes,
  };
}

/** The cost as rows of a table: what, figure, goal. */
export function costRows(cost: WorkCost): [what: string, figure: string, goal: string][] {
  return [
    ['wall s', short(cost.wallMs / 1000), ''],
    ['server CPU s', short(cost.cpuMs / 1000), ''],
    ['peak RssAnon MB', megabytes(cost.peakRssAnonBytes), '256'],
    ['file-backed MB at the end', megabytes(cost.rssFileBytes), ''],
    [
      'front thread: ran / waited for a core, s',
      `${short(cost.front.ranMs / 1000)} / ${short(cost.front.waitedMs / 1000)}`,
      '',
    ],
    ['event loop p50 / p99 / max ms', lateness(cost.loop), '– / 10 / 50'],
    ['1 ms ticker beside it, late by p50 / p99 / max ms', lateness(cost.ticker), ''],
    ['disk read / written MB', both(cost.io.diskReadBytes, cost.io.diskWrittenBytes), ''],
    ['rchar / wchar MB', both(cost.io.callReadBytes, cost.io.callWrittenBytes), ''],
    ['SQLite reads', String(cost.reads), ''],
  ];
}

function lateness({ p50Ms, p99Ms, maxMs }: Lateness): string {
  return [p50Ms, p99Ms, maxMs].map(short).join(' / ');
}

function both(one: number, other: number): string {
  return `${megabytes(one)} / ${megabytes(other)}`;
}
