/** A herd in a process of its own: clients with their own connections, each asking for its own list. */

import type { Herd, HerdResult } from './herd.ts';
import { RawConnection } from './raw-connection.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async (herd: Herd) => process.send?.(await run(herd)));

async function run({ url, lists, parallel }: Herd): Promise<HerdResult> {
  const latenciesMs: number[] = [];
  let errors = 0;
  let bodyTotal = 0;
  const lane = async (rest: Iterator<string>) => {
    let connection = new RawConnection(url);
    for (let next = rest.next(); !next.done; next = rest.next()) {
      const startedMs = performance.now();
      try {
        const { isOk, bodyBytes } = await connection.get(next.value);
        bodyTotal += bodyBytes;
        if (!isOk) errors++;
      } catch {
        errors++;
        connection = new RawConnection(url);
      }
      latenciesMs.push(performance.now() - startedMs);
    }
    connection.close();
  };
  const client = (list: readonly string[]) => {
    const rest = list.values();
    return Promise.all(Array.from({ length: parallel }, () => lane(rest)));
  };
  const startedMs = performance.now();
  await Promise.all(lists.map(client));
  const wallMs = performance.now() - startedMs;
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) =>
    latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(share * latenciesMs.length))] ?? 0;
  return {
    wallMs,
    requests: latenciesMs.length,
    errors,
    bodyBytes: bodyTotal,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}
