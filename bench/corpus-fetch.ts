// Question: what memory and how long a pause does a gigabyte through a cold server cost?
// Method: nginx as a fast upstream; 40 clients fetch 1 GB of zips, each file by four of them.

import { Astera } from '../test/support/astera.ts';
import { corpusFiles } from '../test/support/corpus.ts';
import { runHerd } from './support/herd.ts';
import { Nginx } from './support/nginx.ts';
import { cpuMs, memory, PeakMemory } from './support/process-cost.ts';
import { megabytes, short, type Table } from './support/table.ts';
import { makeTree, noiseModule, zipPath } from './support/tree.ts';

const CLIENTS = 40;
const COPIES = 4;
const PARALLEL = 4;

export async function run(): Promise<Table> {
  const noise = Array.from({ length: 42 }, (_, at) => noiseModule(`corpus-${at}`, 20));
  const tree = await makeTree(noise);
  const nginx = await Nginx.start(tree.root);
  const astera = await Astera.start({ upstream: nginx.url });
  try {
    const real = corpusFiles(tree.corpus).filter(({ path }) => path.endsWith('.zip'));
    const paths = [...real.map(({ path }) => path), ...noise.map(zipPath)];
    // Each file goes to four neighbouring clients, so that cold flights have waiters.
    const lists = Array.from({ length: CLIENTS }, (_, client) =>
      paths.filter((_, at) => (at - client + CLIENTS * paths.length) % CLIENTS < COPIES),
    );
    const peak = new PeakMemory(astera.pid);
    const beforeMs = cpuMs([astera.pid]);
    const { wallMs, errors, bodyBytes, p50Ms, p99Ms } = await runHerd({
      url: astera.url,
      lists,
      parallel: PARALLEL,
    });
    const costS = (cpuMs([astera.pid]) - beforeMs) / 1000;
    const metrics = await astera.metrics();
    const delay = [...metrics].filter(([name]) => name.startsWith('astera_event_loop_delay_seconds'));
    const { rssFileBytes, peakRssBytes } = memory(astera.pid);
    return {
      title: '40 clients fetch 1 GB of zips from an empty store, each file by four of them',
      columns: ['what', 'figure'],
      rows: [
        ['peak RssAnon MB', megabytes(peak.stop())],
        ['file-backed MB at the end', megabytes(rssFileBytes)],
        ['peak RSS of both kinds MB', megabytes(peakRssBytes)],
        ...delay.map(([name, seconds]) => [name, `${short(seconds * 1000)} ms`]),
        ['errors', errors],
        ['sent MB', megabytes(bodyBytes)],
        ['wall s', short(wallMs / 1000)],
        ['CPU s', short(costS)],
        ['p50 ms', short(p50Ms)],
        ['p99 ms', short(p99Ms)],
      ],
    };
  } finally {
    await astera.dispose();
    await nginx.stop();
    await tree.remove();
  }
}
