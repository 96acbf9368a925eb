// Question: what would a slower machine feel?
// Method: the main figures with the server on one core (taskset) and its memory capped at 1 GB (prlimit
// --data: private writable pages, since systemd-run needs systemd), beside the same without either. The
// load has the other core in both.

import { execFileSync } from 'node:child_process';
import { Astera } from '../test/support/astera.ts';
import { corpusFiles, ensureCorpus, projectDirectory } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { GoClients } from './support/go-clients.ts';
import { runHerd } from './support/herd.ts';
import { cpuMs, PeakMemory } from './support/process-cost.ts';
import { leanLoad } from './support/steady-load.ts';
import { megabytes, short, type Table } from './support/table.ts';
import { noiseModule, zipPath } from './support/tree.ts';

const SERVER_CORE = '0';
const LOAD_CORE = '1';
const CAPPED = ['taskset', '-c', SERVER_CORE, 'prlimit', `--data=${1024 ** 3}`];
const FREE = ['taskset', '-c', `${SERVER_CORE},${LOAD_CORE}`];

const SECONDS = 3;
const HERD = { clients: 40, keys: 300, parallel: 8, latencyMs: 50 };
const NO_MEMORY = ['--cache-memory', '0', '--cache-weak', '0'];
const INFO = 'github.com/google/uuid/@v/v1.6.0.info';

type Figure = readonly [what: string, figure: string];

export async function run(): Promise<Table> {
  const root = await ensureCorpus();
  moveLoadTo(LOAD_CORE);
  try {
    const capped = await figures(root, CAPPED);
    const free = await figures(root, FREE);
    return {
      title: 'One core and 1 GB for the server',
      columns: ['', 'one core, 1 GB', 'both cores'],
      rows: capped.map(([what, figure], at) => [what, figure, free[at]?.[1] ?? '']),
    };
  } finally {
    moveLoadTo(`${SERVER_CORE},${LOAD_CORE}`);
  }
}

/** This process, and with it all that it starts from here on. */
function moveLoadTo(cores: string): void {
  execFileSync('taskset', ['-a', '-c', '-p', cores, String(process.pid)]);
}

async function figures(root: string, wrapper: readonly string[]): Promise<Figure[]> {
  return [...(await steady(root, wrapper)), ...(await herd(root, wrapper)), ...(await tidy(root, wrapper))];
}

/** Hot, and out of SQLite. */
async function steady(root: string, wrapper: readonly string[]): Promise<Figure[]> {
  const zip = noiseModule('pi', 1);
  const upstream = await UpstreamProcess.start({ root, madeUp: [zip] });
  const first = await Astera.start({ upstream: upstream.url, wrapper });
  const small = corpusFiles(root).flatMap(({ path }) => (path.endsWith('.zip') ? [] : [path]));
  try {
    await runHerd({ url: first.url, lists: [[...small, zipPath(zip)]], parallel: 8 });
    const hot = await load(first, 'hot small `.info`', [INFO]);
    const hotZip = await load(first, 'hot 1 MB zip', [zipPath(zip)]);
    await first.stop();
    const second = await Astera.start({ upstream: upstream.url, db: first.db, flags: NO_MEMORY, wrapper });
    try {
      return [...hot, ...hotZip, ...(await load(second, 'small from SQLite', small))];
    } finally {
      await second.dispose();
    }
  } finally {
    await first.dispose();
    await upstream.stop();
  }
}

async function load({ url, pid }: Astera, name: string, paths: readonly string[]): Promise<Figure[]> {
  const beforeMs = cpuMs([pid]);
  const result = await leanLoad({ url, paths, connections: 64, seconds: SECONDS });
  const cpuUs = ((cpuMs([pid]) - beforeMs) * 1000) / result.requests;
  const rate = result.requests / result.seconds;
  return [
    [`${name}: requests/s, errors`, `${short(rate)}, ${result.errors}`],
    [`${name}: CPU µs`, short(cpuUs)],
    [`${name}: p50 / p99 ms`, `${short(result.p50Ms)} / ${short(result.p99Ms)}`],
  ];
}

/** The cold herd of bench/cold-herd.ts, once. */
async function herd(root: string, wrapper: readonly string[]): Promise<Figure[]> {
  const keys = corpusFiles(root)
    .filter(({ path }) => path.endsWith('.zip'))
    .sort((a, b) => a.size - b.size)
    .slice(0, HERD.keys / 3)
    .flatMap(({ path }) => ['info', 'mod', 'zip'].map((kind) => path.replace(/zip$/, kind)));
  const upstream = await UpstreamProcess.start({ root, latencyMs: HERD.latencyMs });
  const astera = await Astera.start({ upstream: upstream.url, wrapper });
  const peak = new PeakMemory(astera.pid);
  try {
    const lists = Array.from({ length: HERD.clients }, () => keys);
    const { wallMs, errors, p99Ms } = await runHerd({ url: astera.url, lists, parallel: HERD.parallel });
    return [
      ['cold herd: s, errors', `${short(wallMs / 1000)}, ${errors}`],
      ['cold herd: p99 ms', short(p99Ms)],
      ['cold herd: peak RssAnon MB', megabytes(peak.stop())],
    ];
  } finally {
    peak.stop();
    await astera.dispose();
    await upstream.stop();
  }
}

/** One client, cold and then warm. */
async function tidy(root: string, wrapper: readonly string[]): Promise<Figure[]> {
  const upstream = await UpstreamProcess.start({ root });
  const astera = await Astera.start({ upstream: upstream.url, wrapper });
  const rows: Figure[] = [];
  try {
    for (const name of ['cold', 'warm']) {
      const projects = [projectDirectory('small')];
      const clients = await GoClients.create(astera.url, { count: 1, projects });
      const startedMs = performance.now();
      const failed = await clients.run('mod', 'tidy');
      const seconds = (performance.now() - startedMs) / 1000;
      rows.push([`${name} tidy of the small project: s, failures`, `${short(seconds)}, ${failed}`]);
      await clients.dispose();
    }
    return rows;
  } finally {
    await astera.dispose();
    await upstream.stop();
  }
}
