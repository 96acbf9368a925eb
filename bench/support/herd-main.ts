/** A herd in a process of its own: clients with their own connections, each asking for its own list. */

import { Agent, request } from 'undici';
import type { Herd, HerdResult } from './herd.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', async (herd: Herd) => process.send?.(await run(herd)));

async function run({ url, lists, parallel }: Herd): Promise<HerdResult> {
  const latenciesMs: number[] = [];
  let errors = 0;
  let bodyBytes = 0;
  const one = async (dispatcher: Agent, path: string) => {
    const startedMs = performance.now();
    try {
      const { statusCode, body } = await request(`${url}/${path.replaceAll('!', '%21')}`, { dispatcher });
      for await (const bytes of body) bodyBytes += (bytes as Buffer).length;
      if (statusCode !== 200) errors++;
    } catch {
      errors++;
    }
    latenciesMs.push(performance.now() - startedMs);
  };
  const client = async (list: readonly string[]) => {
    const dispatcher = new Agent({ connections: parallel });
    const rest = list.values();
    const lane = async () => {
      for (const path of rest) await one(dispatcher, path);
    };
    await Promise.all(Array.from({ length: parallel }, lane));
    await dispatcher.close();
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
    bodyBytes,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}
