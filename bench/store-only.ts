// Question: what does an answer cost when it is stored, but no longer in memory?
// Method: 64 connections beside nginx serving the same files. Small ones: no memory at all
// (--cache-memory 0 --cache-weak 0), three runs, each of a new server. Zips: twice as many bytes as memory has, asked for in turns.

import { Astera, total } from '../test/support/astera.ts';
import { corpusFiles } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { beside } from './support/beside.ts';
import { runHerd } from './support/herd.ts';
import { Nginx } from './support/nginx.ts';
import { memory } from './support/process-cost.ts';
import { leanLoad } from './support/steady-load.ts';
import { megabytes, short, type Table, verdict } from './support/table.ts';
import { makeTree, noiseModule, zipPath } from './support/tree.ts';

const SECONDS = 3;
const CONNECTIONS = 64;
const ZIPS = 256;
const RUNS = 3;
const MiB = 1024 * 1024;

type Case = {
  readonly name: string;
  readonly paths: readonly string[];
  /** Of an answer, on average. */
  readonly bytes: number;
  readonly flags: readonly string[];
  /** Runs, each of a server of its own. */
  readonly runs: number;
  /** Requests a second, in every run. */
  readonly goal?: { readonly over: number };
};

type Row = (string | number)[];

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const zips = Array.from({ length: ZIPS }, (_, at) => noiseModule(`stored-${at}`, 1));
  const tree = await makeTree(zips);
  const nginx = await Nginx.start(tree.root);
  const first = await Astera.start({ upstream: nginx.url });
  try {
    const small = corpusFiles(tree.corpus).filter(({ path }) => !path.endsWith('.zip'));
    const cases: readonly Case[] = [
      {
        name: `${small.length} \`.info\` and \`.mod\``,
        paths: small.map(({ path }) => path),
        bytes: small.reduce((sum, { size }) => sum + size, 0) / small.length,
        flags: ['--cache-memory', '0', '--cache-weak', '0'],
        runs: isQuick ? 1 : RUNS,
        goal: { over: 42_000 },
      },
      { name: `${ZIPS} zips of 1 MB`, paths: zips.map(zipPath), bytes: MiB, flags: [], runs: 1 },
    ];
    await runHerd({ url: first.url, lists: [cases.flatMap(({ paths }) => paths)], parallel: 8 });
    await first.stop();
    const rows: Row[] = [];
    for (const one of cases)
      for (let run = 1; run <= one.runs; run++) {
        const name = one.runs === 1 ? one.name : `${one.name}, run ${run}`;
        rows.push(...(await rowsOf({ ...one, name }, { nginx, db: first.db, rounds: isQuick ? 1 : 3 })));
      }
    const times = [
      'requests/s',
      'MB/s',
      'CPU µs/request',
      'CPU µs/MB',
      'ratio',
      'p50 ms',
      'p99 ms',
      'max ms',
    ];
    return {
      title: 'Stored, but not in memory: 64 connections',
      columns: ['', 'server', ...times, 'errors', 'SQLite reads/request', 'RssAnon MB', 'goal'],
      rows,
    };
  } finally {
    await first.dispose();
    await nginx.stop();
    await tree.remove();
  }
}

type Beside = { readonly nginx: Nginx; readonly db: string; readonly rounds: number };

async function rowsOf(
  { name, paths, bytes, flags, goal }: Case,
  { nginx, db, rounds }: Beside,
): Promise<Row[]> {
  const upstream = await UpstreamProcess.start({});
  const astera = await Astera.start({ upstream: upstream.url, db, flags });
  try {
    const servers = [
      { name: 'nginx', url: nginx.url, pids: nginx.pids },
      { name: 'astera', url: astera.url, pids: [astera.pid] },
    ];
    const figures = await beside(servers, rounds, ({ url }) =>
      leanLoad({ url, paths, connections: CONNECTIONS, seconds: SECONDS }),
    );
    const reads = total(await astera.metrics(), 'astera_store_reads_total');
    const rss = megabytes(memory(astera.pid).rssAnonBytes);
    return figures.map(({ server, requestsPerSecond: rate, cpuUs, ratio, ...rest }) => {
      const speeds = [rate, (rate * bytes) / 1e6, cpuUs, cpuUs / (bytes / 1e6), ratio];
      const times = [rest.p50Ms, rest.p99Ms, rest.maxMs];
      const met = goal === undefined ? '' : verdict(rate, goal, ' requests/s');
      const own = server === 'astera' ? [short(reads / rest.requests), rss, met] : ['', '', ''];
      return [name, server, ...[...speeds, ...times].map(short), rest.errors, ...own];
    });
  } finally {
    await astera.dispose();
    await upstream.stop();
  }
}
