/** Servers under the same load in turns, so that a noisy moment hits them all; medians of the rounds. */

import { threadTimes } from './process-cost.ts';
import type { SteadyResult } from './steady-load.ts';
import { median } from './table.ts';

export type Server = { readonly name: string; readonly url: string; readonly pids: readonly number[] };

export type Beside = {
  readonly server: string;
  readonly requestsPerSecond: number;
  /** Of the server, all its processes and threads, for a request. */
  readonly cpuUs: number;
  /** Its CPU to the first server's: the median of the rounds' ratios. */
  readonly ratio: number;
  /** The same to each server, by name. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of all rounds. */
  readonly requests: number;
  readonly errors: number;
};

export async function beside(
  servers: readonly Server[],
  rounds: number,
  load: (server: Server) => Promise<SteadyResult>,
): Promise<Beside[]> {
  const samples = servers.map((server) => ({ server, taken: [] as (SteadyResult & { cpuUs: number })[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { server, taken } of samples) {
      const beforeMs = ranMs(server);
      const result = await load(server);
      taken.push({ ...result, cpuUs: ((ranMs(server) - beforeMs) * 1000) / result.requests });
    }
  }
  return samples.map(({ server, taken }) => {
    const of = (field: keyof SteadyResult | 'cpuUs') => median(taken.map((one) => one[field]));
    const ratioTo = (other: readonly { readonly cpuUs: number }[]) =>
      median(taken.map(({ cpuUs }, round) => cpuUs / (other[round]?.cpuUs ?? Number.NaN)));
    const ratios = Object.fromEntries(samples.map((one) => [one.server.name, ratioTo(one.taken)]));
    return {
      server: server.name,
      requestsPerSecond: median(taken.map(({ requests, seconds }) => requests / seconds)),
      cpuUs: of('cpuUs'),
      ratio: ratios[servers[0]?.name ?? ''] ?? Number.NaN,
      ratios,
      p50Ms: of('p50Ms'),
      p99Ms: of('p99Ms'),
      maxMs: of('maxMs'),
      requests: taken.reduce((sum, one) => sum + one.requests, 0),
      errors: taken.reduce((sum, one) => sum + one.errors, 0),
    };
  });
}

/** By the scheduler's clock: a second of small answers has only a few of the kernel's ticks. */
function ranMs({ pids }: Server): number {
  return pids.reduce((sum, pid) => sum + threadTimes(pid).ranMs, 0);
}
