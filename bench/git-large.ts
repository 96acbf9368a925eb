// Question: what does a repository of 1 GB with 50,000 commits and 2,000 tags cost: the line, git, memory and the front?
// Method: made by `git fast-import` of noise, which no pack makes smaller; 200 files of 20 kB, one changed by each commit. Each
// question once, in the order of the table, at a server that starts with nothing. Bytes and requests as the Git server counts
// them; processes by git's own trace.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GitTrace } from '../test/git/git-trace.ts';
import { writeInsteadOf } from '../test/git/go-direct.ts';
import { gitIn } from '../test/git/repository-maker.ts';
import { Astera } from '../test/support/astera.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { GitServer } from './support/git-server.ts';
import { makeNoiseRepository } from './support/noise-repository.ts';
import { cpuWithChildrenMs, PeakTree } from './support/process-cost.ts';
import { megabytes, short, type Table } from './support/table.ts';
import { watched } from './support/watched.ts';

const MODULE = 'corp.example/large.git';
const FILES = 200;
const FILE_BYTES = 20_000;
const COMMITS = 50_000;
const TAGS = 2_000;

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const commits = isQuick ? COMMITS / 5 : COMMITS;
  const directory = mkdtempSync(join(tmpdir(), 'astera-bench-git-'));
  const served = join(directory, 'served', 'large');
  const startedMs = performance.now();
  await makeNoiseRepository(served, {
    module: MODULE,
    files: FILES,
    fileBytes: FILE_BYTES,
    commits,
    tags: TAGS,
  });
  const madeMs = performance.now() - startedMs;
  const server = await GitServer.start(join(directory, 'served'));
  writeInsteadOf(directory, { 'https://corp.example/': `${server.url}/` });
  const trace = new GitTrace(directory);
  const astera = await Astera.start({
    upstream: 'off',
    flags: ['--private', 'corp.example', '--git-dir', join(directory, 'copies'), '--list-ttl', '1ms'],
    env: { HOME: directory, ASTERA_GIT: '' },
  });
  try {
    const rows: (string | number)[][] = [];
    const ask = async (what: string, path: string) => {
      const cost = await costOf({ astera, server, trace }, path);
      rows.push([what, ...cost.cells]);
      return cost.text;
    };
    const old = gitIn(served, 'rev-parse', `main~${commits / 2}`);
    await ask('list', '@v/list');
    await ask('v1.0.1000.info', '@v/v1.0.1000.info');
    await ask('v1.0.1000.zip', '@v/v1.0.1000.zip');
    await ask('v1.0.1001.zip, 25 commits later', '@v/v1.0.1001.zip');
    await ask('latest', '@latest');
    await ask('main', '@v/main.info');
    const { Version } = JSON.parse(await ask('12 digits of an old commit', `@v/${old.slice(0, 12)}.info`));
    await ask('its pseudo-version, zip', `@v/${Version}.zip`);
    await ask('main again', '@v/main.info');
    return {
      title: `A repository of ${short((commits * FILE_BYTES) / 1e9)} GB, ${commits.toLocaleString('en')} commits, ${TAGS.toLocaleString('en')} tags`,
      note: `Made in ${short(madeMs / 1000)} s. CPU: of Astera and its git processes. RssAnon: of Astera, and of it with all git processes.`,
      columns: [
        'what',
        's',
        'CPU s',
        'MB from the server',
        'lists, fetches',
        'git processes',
        'RssAnon MB',
        'front ran / waited for a core, ms',
        'event loop p99 / max ms',
      ],
      rows,
    };
  } finally {
    await astera.dispose();
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

type Parts = { readonly astera: Astera; readonly server: GitServer; readonly trace: GitTrace };

async function costOf({ astera, server, trace }: Parts, path: string) {
  await server.takeCounts();
  trace.take();
  const beforeMs = cpuWithChildrenMs(astera.pid);
  const peak = new PeakTree(astera.pid);
  try {
    const { result: text, cost } = await watched(astera, () => textOf(astera, path));
    const { bytes, lists, fetches } = await server.takeCounts();
    const cells = [
      short(cost.wallMs / 1000),
      short((cpuWithChildrenMs(astera.pid) - beforeMs) / 1000),
      megabytes(bytes),
      `${lists}, ${fetches}`,
      trace.take().length,
      `${megabytes(cost.peakRssAnonBytes)}, ${megabytes(peak.stop().rssAnonBytes)}`,
      `${short(cost.front.ranMs)} / ${short(cost.front.waitedMs)}`,
      `${short(cost.loop.p99Ms)} / ${short(cost.loop.maxMs)}`,
    ];
    return { text, cells };
  } finally {
    peak.stop();
  }
}

/** Of a zip only its length. */
async function textOf(astera: Astera, path: string): Promise<string> {
  const answer = await astera.get(`${MODULE}/${path}`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${bytes}`);
  return path.endsWith('.zip') ? `${bytes.length}` : bytes.toString();
}
