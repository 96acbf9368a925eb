// Question: how much later than from the upstream itself does the first byte of a cold zip come?
// Method: 20 MB over a line of 2 MB/s, a new upstream and server for each pair; medians.

import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { Astera } from '../test/support/astera.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { median, short, type Table } from './support/table.ts';
import { noiseModule, zipPath } from './support/tree.ts';

const ROUNDS = 7;

export async function run(): Promise<Table> {
  const module = noiseModule('cold', 20);
  const missing = zipPath(noiseModule('missing', 0));
  const times = { direct: [] as number[], through: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    // A line each: what one asks for must not slow the other down.
    const slow = { madeUp: [module], bytesPerSecond: 2_000_000 };
    const [own, upstream] = [await UpstreamProcess.start(slow), await UpstreamProcess.start(slow)];
    const astera = await Astera.start({ upstream: upstream.url });
    try {
      // A first connection to each, so that neither pays for starting up.
      for (const { url } of [own, astera]) await firstByteMs(`${url}/${missing}`, 404);
      times.direct.push(await firstByteMs(`${own.url}/${zipPath(module)}`, 200));
      times.through.push(await firstByteMs(`${astera.url}/${zipPath(module)}`, 200));
    } finally {
      await astera.dispose();
      await upstream.stop();
      await own.stop();
    }
  }
  const later = times.through.map((ms, at) => ms - (times.direct[at] ?? 0));
  return {
    title: 'First byte of a cold 20 MB zip, 2 MB/s upstream',
    columns: ['', 'median ms', 'max ms'],
    rows: [
      ['from the upstream itself', short(median(times.direct)), short(Math.max(...times.direct))],
      ['through Astera', short(median(times.through)), short(Math.max(...times.through))],
      ['later by', short(median(later)), short(Math.max(...later))],
    ],
  };
}

/** Until the first byte of the body; then hangs up. */
async function firstByteMs(url: string, status: number): Promise<number> {
  const startedMs = performance.now();
  const asking = get(url, { agent: false });
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  await once(response, 'data');
  if (response.statusCode !== status) throw new Error(`${url}: ${response.statusCode}`);
  const ms = performance.now() - startedMs;
  response.destroy();
  return ms;
}
