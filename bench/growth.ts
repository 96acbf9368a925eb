// Question: what becomes of costs, start, memory and file when the store grows a hundredfold?
// Method: one store of 1,000, then 10,000, then 100,000 made-up versions (20 kB each, .info, .mod and zip).
// At each size the same load on 500 keys out of memory and on 2,000 out of SQLite, spread over all of the
// store, in turns with nginx, whose cost tells what the machine did meanwhile; then an import of 1,000 more.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Astera } from '../test/support/astera.ts';
import { AsteraCommand } from '../test/support/astera-command.ts';
import { corpusFiles, ensureCorpus } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { type Beside, beside } from './support/beside.ts';
import { fillStore, madeUpVersion } from './support/made-up-store.ts';
import { Nginx } from './support/nginx.ts';
import { memory } from './support/process-cost.ts';
import { leanLoad } from './support/steady-load.ts';
import { median, short, type Table } from './support/table.ts';
import { writeModules } from './support/tree.ts';

const SIZES = [1_000, 10_000, 100_000] as const;
const ROUNDS = 5;
const HOT_KEYS = 500;
const STORE_KEYS = 2_000;
const IMPORTED = 1_000;
const NO_MEMORY = ['--cache-memory', '0', '--cache-weak', '0'];

type Sizes = {
  readonly versions: number;
  readonly startMs: number;
  readonly hot: Beside;
  readonly stored: Beside;
  readonly rssAnonBytes: number;
  readonly rssFileBytes: number;
  readonly dbBytes: number;
  readonly contentBytes: number;
  readonly importSeconds: number;
};

export async function run(): Promise<Table> {
  const root = await ensureCorpus();
  const directory = mkdtempSync(join(tmpdir(), 'astera-growth-'));
  const db = join(directory, 'a.db');
  const nginx = await Nginx.start(root);
  const mods = corpusFiles(root).flatMap(({ path }) => (path.endsWith('.mod') ? [path] : []));
  const upstream = await UpstreamProcess.start({});
  const sizes: Sizes[] = [];
  let contentBytes = 0;
  try {
    let versions = 0;
    for (const to of SIZES) {
      contentBytes += (await fillStore({ db, name: 'grown', from: versions, to })).contentBytes;
      versions = to;
      const measure = (flags: readonly string[], keys: number) =>
        measured({ nginx, mods, upstream: upstream.url, db, flags, paths: spread(versions, keys) });
      const hot = await measure([], HOT_KEYS);
      const stored = await measure(NO_MEMORY, STORE_KEYS);
      const startMs = median([hot.startMs, stored.startMs, await startMsOf(upstream.url, db)]);
      const dbBytes = statSync(db).size;
      const imported = await importMore(directory, db, `import-${to}`);
      sizes.push({
        ...hot,
        versions,
        startMs,
        hot: hot.cost,
        stored: stored.cost,
        dbBytes,
        contentBytes,
        importSeconds: imported.seconds,
      });
      contentBytes += imported.bytes;
    }
    return table(sizes);
  } finally {
    await nginx.stop();
    await upstream.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Keys of `.info` and `.mod` files, as far from one another as they can be. */
function spread(versions: number, keys: number): string[] {
  return Array.from({ length: keys }, (_, nth) => {
    const { path, version } = madeUpVersion('grown', Math.floor((nth * versions) / keys));
    return `${path}/@v/${version}.${nth % 2 === 0 ? 'info' : 'mod'}`;
  });
}

type Measuring = {
  readonly nginx: Nginx;
  readonly mods: readonly string[];
  readonly upstream: string;
  readonly db: string;
  readonly flags: readonly string[];
  readonly paths: readonly string[];
};

async function measured({ nginx, mods, upstream, db, flags, paths }: Measuring) {
  const startedMs = performance.now();
  const astera = await Astera.start({ upstream, db, flags });
  const startMs = performance.now() - startedMs;
  try {
    const servers = [
      { name: 'nginx', url: nginx.url, pids: nginx.pids },
      { name: 'astera', url: astera.url, pids: [astera.pid] },
    ];
    const [, cost] = await beside(servers, ROUNDS, ({ name, url }) =>
      leanLoad({ url, paths: name === 'nginx' ? mods : paths, connections: 64, seconds: 2 }),
    );
    if (cost === undefined || cost.errors > 0) throw new Error(`${cost?.errors} errors: ${astera.log}`);
    const { rssAnonBytes, rssFileBytes } = memory(astera.pid);
    await astera.stop();
    return { startMs, cost, rssAnonBytes, rssFileBytes };
  } finally {
    await astera.dispose();
  }
}

async function startMsOf(upstream: string, db: string): Promise<number> {
  const startedMs = performance.now();
  const astera = await Astera.start({ upstream, db });
  const ms = performance.now() - startedMs;
  await astera.stop();
  return ms;
}

async function importMore(
  directory: string,
  db: string,
  name: string,
): Promise<{ bytes: number; seconds: number }> {
  const tree = join(directory, name);
  const modules = Array.from({ length: IMPORTED }, (_, at) => madeUpVersion(name, at));
  const bytes = await writeModules(tree, modules);
  const startedMs = performance.now();
  const { code, stderr } = await new AsteraCommand(['import', '--db', db, tree]).exited;
  if (code !== 0) throw new Error(`import: ${stderr}`);
  return { bytes, seconds: (performance.now() - startedMs) / 1000 };
}

function table(sizes: readonly Sizes[]): Table {
  const row = (what: string, of: (one: Sizes) => number, goal: string) => {
    const values = sizes.map(of);
    return [what, ...values.map(short), short((values.at(-1) ?? 0) / (values[0] ?? 1)), goal];
  };
  return {
    title: 'Growth: the same server over a store of made-up versions',
    columns: ['', ...SIZES.map((size) => `${size.toLocaleString('en')} versions`), 'last / first', 'goal'],
    rows: [
      row('hot: CPU µs/request', ({ hot }) => hot.cpuUs, '1.15'),
      row('hot: beside nginx', ({ hot }) => hot.ratio, '1.15'),
      row('SQLite: CPU µs/request', ({ stored }) => stored.cpuUs, '1.15'),
      row('SQLite: beside nginx', ({ stored }) => stored.ratio, '1.15'),
      row('SQLite: requests/s', ({ stored }) => stored.requestsPerSecond, ''),
      row('start until it listens, ms', ({ startMs }) => startMs, '300 ms'),
      row('RssAnon MB, hot', ({ rssAnonBytes }) => rssAnonBytes / 1e6, ''),
      row('file-backed MB, hot', ({ rssFileBytes }) => rssFileBytes / 1e6, ''),
      row('import of 1,000 more: versions/s', ({ importSeconds }) => IMPORTED / importSeconds, ''),
      row('content MB', ({ contentBytes }) => contentBytes / 1e6, ''),
      row('database over content', ({ dbBytes, contentBytes }) => dbBytes / contentBytes, ''),
    ],
  };
}
