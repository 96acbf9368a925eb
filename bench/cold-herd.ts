// Question: what do 40 machines cost when all of them ask for the same 300 files at once?
// Method: an empty store, an upstream 50 ms away in its own process, clients in another; beside it the same clients
// at uWebSockets.js alone, which has all files in memory and answers 50 ms later: the cost of the clients themselves.

import { Astera } from '../test/support/astera.ts';
import { type CorpusFile, corpusFiles, ensureCorpus } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { BareUws } from './support/bare-uws.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { type HerdResult, runHerd } from './support/herd.ts';
import { cpuMs, PeakMemory } from './support/process-cost.ts';
import { median, megabytes, short, type Table, verdict } from './support/table.ts';

const CLIENTS = 40;
const PARALLEL = 8;
const KEYS = 300;
const LATENCY_MS = 50;
const CPU_GOAL = { atMost: 1.2 };
const FLOOR_GOAL = { atMost: 1.15 };
const FLOOR_MS = (KEYS / PARALLEL) * LATENCY_MS;

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const root = await ensureCorpus();
  const keys = smallVersions(corpusFiles(root));
  const lists = Array.from({ length: CLIENTS }, () => keys);
  const rows: (string | number)[][] = [];
  const taken: Herded[] = [];
  for (let round = 0; round < (isQuick ? 1 : 3); round++) {
    const bare = await BareUws.start(root, { latencyMs: LATENCY_MS });
    try {
      const herded = await herdOn(bare.url, bare.pids, lists);
      rows.push(['bare uWebSockets.js', '', '', ...cells(herded), '', '']);
    } finally {
      await bare.stop();
    }
    const upstream = await UpstreamProcess.start({ root, latencyMs: LATENCY_MS });
    const astera = await Astera.start({ upstream: upstream.url });
    try {
      const peak = new PeakMemory(astera.pid);
      const herded = await herdOn(astera.url, [astera.pid], lists);
      taken.push(herded);
      const asked = Object.values((await upstream.counters()).requests);
      const perKey = asked.reduce((sum, times) => sum + times, 0) / keys.length;
      const counts = [perKey.toFixed(3), Math.max(...asked)];
      rows.push(['astera', ...counts, ...cells(herded), megabytes(peak.stop()), goals(herded)]);
    } finally {
      await astera.dispose();
      await upstream.stop();
    }
  }
  const middle = {
    wallMs: median(taken.map((one) => one.wallMs)),
    cpuMs: median(taken.map((one) => one.cpuMs)),
  };
  const figures = ['', short(middle.wallMs / 1000), short(middle.wallMs / FLOOR_MS), '', '', ''];
  rows.push(['astera, median', '', '', ...figures, short(middle.cpuMs / 1000), '', goals(middle)]);
  const times = ['wall s', `of the floor of ${FLOOR_MS / 1000} s`, 'p50 ms', 'p99 ms', 'max ms', 'CPU s'];
  const columns = [
    'server',
    'requests per key',
    'most for one key',
    'errors',
    ...times,
    'peak RssAnon MB',
    'goal',
  ];
  return {
    title: `Cold herd: ${CLIENTS} clients, ${PARALLEL} parallel, ${KEYS} keys, 50 ms upstream`,
    columns,
    rows,
  };
}

type Herded = HerdResult & { readonly cpuMs: number };

async function herdOn(url: string, pids: readonly number[], lists: readonly string[][]): Promise<Herded> {
  const beforeMs = cpuMs(pids);
  const result = await runHerd({ url, lists, parallel: PARALLEL });
  return { ...result, cpuMs: cpuMs(pids) - beforeMs };
}

function cells({ wallMs, errors, p50Ms, p99Ms, maxMs, cpuMs: costMs }: Herded): (string | number)[] {
  return [errors, ...[wallMs / 1000, wallMs / FLOOR_MS, p50Ms, p99Ms, maxMs, costMs / 1000].map(short)];
}

function goals({ wallMs, cpuMs: costMs }: Pick<Herded, 'wallMs' | 'cpuMs'>): string {
  const cpu = verdict(costMs / 1000, CPU_GOAL, ' s');
  return `CPU ${cpu}; of the floor ${verdict(wallMs / FLOOR_MS, FLOOR_GOAL)}`;
}

/** `.info`, `.mod` and `.zip` of the 100 versions with the smallest zips: 40 times all of them is 1 GB. */
function smallVersions(files: readonly CorpusFile[]): string[] {
  return files
    .filter(({ path }) => path.endsWith('.zip'))
    .sort((a, b) => a.size - b.size)
    .slice(0, KEYS / 3)
    .flatMap(({ path }) => ['info', 'mod', 'zip'].map((kind) => path.replace(/zip$/, kind)));
}
