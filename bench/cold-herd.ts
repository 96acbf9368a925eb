// Question: what do 40 machines cost that ask for the same 300 things at the same moment?
// Method: an empty store, an upstream 50 ms away in its own process, clients in another; beside it the same clients
// at uWebSockets.js alone, which has all in memory and answers 50 ms later: what the clients themselves cost.

import { Astera } from '../test/support/astera.ts';
import { type CorpusFile, corpusFiles, ensureCorpus } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { BareUws } from './support/bare-uws.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { runHerd } from './support/herd.ts';
import { cpuMs, PeakMemory } from './support/process-cost.ts';
import { megabytes, short, type Table } from './support/table.ts';

const CLIENTS = 40;
const PARALLEL = 8;
const KEYS = 300;
const LATENCY_MS = 50;
const FLOOR_MS = (KEYS / PARALLEL) * LATENCY_MS;

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const root = await ensureCorpus();
  const keys = smallVersions(corpusFiles(root));
  const lists = Array.from({ length: CLIENTS }, () => keys);
  const rows: (string | number)[][] = [];
  for (let round = 0; round < (isQuick ? 1 : 3); round++) {
    const bare = await BareUws.start(root, { latencyMs: LATENCY_MS });
    try {
      const { figures } = await herdOn(bare.url, bare.pids, lists);
      rows.push(['bare uWebSockets.js', '', '', ...figures, '']);
    } finally {
      await bare.stop();
    }
    const upstream = await UpstreamProcess.start({ root, latencyMs: LATENCY_MS });
    const astera = await Astera.start({ upstream: upstream.url });
    try {
      const peak = new PeakMemory(astera.pid);
      const { figures } = await herdOn(astera.url, [astera.pid], lists);
      const asked = Object.values((await upstream.counters()).requests);
      const perKey = asked.reduce((sum, times) => sum + times, 0) / keys.length;
      rows.push(['astera', perKey.toFixed(3), Math.max(...asked), ...figures, megabytes(peak.stop())]);
    } finally {
      await astera.dispose();
      await upstream.stop();
    }
  }
  const times = ['wall s', `of the floor of ${FLOOR_MS / 1000} s`, 'p50 ms', 'p99 ms', 'max ms', 'CPU s'];
  const columns = ['server', 'requests per key', 'most for one key', 'errors', ...times, 'peak RssAnon MB'];
  return {
    title: `Cold herd: ${CLIENTS} clients, ${PARALLEL} parallel, ${KEYS} keys, 50 ms upstream`,
    columns,
    rows,
  };
}

async function herdOn(url: string, pids: readonly number[], lists: readonly string[][]) {
  const beforeMs = cpuMs(pids);
  const { wallMs, errors, p50Ms, p99Ms, maxMs } = await runHerd({ url, lists, parallel: PARALLEL });
  const costMs = cpuMs(pids) - beforeMs;
  const times = [wallMs / 1000, wallMs / FLOOR_MS, p50Ms, p99Ms, maxMs, costMs / 1000];
  return { figures: [errors, ...times.map(short)] };
}

/** `.info`, `.mod` and `.zip` of the 100 versions with the smallest zips: 40 times all of them is 1 GB. */
function smallVersions(files: readonly CorpusFile[]): string[] {
  return files
    .filter(({ path }) => path.endsWith('.zip'))
    .sort((a, b) => a.size - b.size)
    .slice(0, KEYS / 3)
    .flatMap(({ path }) => ['info', 'mod', 'zip'].map((kind) => path.replace(/zip$/, kind)));
}
