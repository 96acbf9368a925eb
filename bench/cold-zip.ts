// Question: how long do 40 machines wait when all of them ask at once for one large zip that is not stored yet?
// Method: 100 MB over an upstream line of 2 MB/s, whose 50 s are the floor; the first byte beside that of
// a line of one's own.

import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { Astera } from '../test/support/astera.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { short, type Table } from './support/table.ts';
import { noiseModule, zipPath } from './support/tree.ts';
import { costRows, watched } from './support/watched.ts';

const CLIENTS = 40;
const MEBIBYTES = 95;
const LINE_BYTES_PER_SECOND = 2_000_000;

export async function run(): Promise<Table> {
  const module = noiseModule('large', MEBIBYTES);
  const slow = { madeUp: [module], bytesPerSecond: LINE_BYTES_PER_SECOND };
  const [own, upstream] = [await UpstreamProcess.start(slow), await UpstreamProcess.start(slow)];
  const astera = await Astera.start({ upstream: upstream.url });
  try {
    const direct = await download(`${own.url}/${zipPath(module)}`, { isWhole: false });
    const url = `${astera.url}/${zipPath(module)}`;
    const { result: downloads, cost } = await watched(astera, () =>
      Promise.all(Array.from({ length: CLIENTS }, () => download(url, { isWhole: true }))),
    );
    const asked = Object.values((await upstream.counters()).requests);
    const first = sorted(downloads.map(({ firstMs }) => firstMs));
    const last = sorted(downloads.map(({ lastMs }) => lastMs));
    const size = Math.max(...downloads.map(({ bytes }) => bytes));
    const floorMs = (size / LINE_BYTES_PER_SECOND) * 1000;
    return {
      title: `Cold zip: ${short(size / 1e6)} MB, ${CLIENTS} clients, upstream of 2 MB/s`,
      columns: ['what', 'figure', 'floor or goal'],
      rows: [
        ['upstream requests', asked.reduce((sum, times) => sum + times, 0), '1'],
        ['clients without the whole zip', downloads.filter(({ bytes }) => bytes < size).length, '0'],
        ['first byte ms, first client', short(first.at(0) ?? 0), `${short(direct.firstMs)} without Astera`],
        ['first byte ms, last client', short(first.at(-1) ?? 0), ''],
        ['last byte s, first client', short((last.at(0) ?? 0) / 1000), short(floorMs / 1000)],
        [
          'last byte s, last client',
          short((last.at(-1) ?? 0) / 1000),
          `${short((1.15 * floorMs) / 1000)} (1.15)`,
        ],
        ...costRows(cost),
      ],
    };
  } finally {
    await astera.dispose();
    await upstream.stop();
    await own.stop();
  }
}

type Download = { readonly firstMs: number; readonly lastMs: number; readonly bytes: number };

/** On a connection of its own; hangs up after the first bytes where not `isWhole`. */
async function download(url: string, { isWhole }: { isWhole: boolean }): Promise<Download> {
  const startedMs = performance.now();
  const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`${url}: ${response.statusCode}`);
  let firstMs = 0;
  let bytes = 0;
  for await (const piece of response) {
    if (bytes === 0) firstMs = performance.now() - startedMs;
    bytes += (piece as Buffer).length;
    if (!isWhole) break;
  }
  return { firstMs, lastMs: performance.now() - startedMs, bytes };
}

function sorted(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}
