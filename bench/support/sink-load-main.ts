/**
 * Large bodies thrown away as they come, in a process of its own.
 *
 * autocannon gathers what it reads: it takes 40 MB/s, and measures itself.
 */

import { RawConnection } from './raw-connection.ts';
import type { SteadyLoad, SteadyResult } from './steady-load.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async (load: SteadyLoad) => process.send?.(await run(load)));

const latenciesMs: number[] = [];
let errors = 0;

async function run(load: SteadyLoad): Promise<SteadyResult> {
  const startedMs = performance.now();
  const untilMs = startedMs + load.seconds * 1000;
  await Promise.all(Array.from({ length: load.connections }, (_, at) => connection(load, at, untilMs)));
  const seconds = (performance.now() - startedMs) / 1000;
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) =>
    latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(share * latenciesMs.length))] ?? 0;
  return { requests: latenciesMs.length, seconds, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), errors };
}

/** Sends one request after another until time is up. Open requests then end, and count. */
async function connection({ url, paths }: SteadyLoad, first: number, untilMs: number): Promise<void> {
  const socket = new RawConnection(url);
  try {
    for (let asked = first; performance.now() < untilMs; asked++) {
      const askedMs = performance.now();
      const { isOk } = await socket.get(paths[asked % paths.length] ?? '');
      if (!isOk) errors++;
      latenciesMs.push(performance.now() - askedMs);
    }
  } catch {
    errors++;
  }
  socket.close();
}
