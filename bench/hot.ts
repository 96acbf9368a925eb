// Question: what does a warm answer cost the server, beside nginx and goproxy serving the same files?
// Method: 64 connections (and 1,000); each case in turns with nginx, goproxy and uWebSockets.js alone, so that
// a noisy moment hits all of them; medians of the rounds' figures and of their ratios.

import { Astera } from '../test/support/astera.ts';
import { corpusFiles } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { BareUws } from './support/bare-uws.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { type Beside, beside, type Server } from './support/beside.ts';
import { Goproxy } from './support/goproxy.ts';
import { runHerd } from './support/herd.ts';
import { Nginx } from './support/nginx.ts';
import { memory } from './support/process-cost.ts';
import { type SteadyResult, steadyLoad } from './support/steady-load.ts';
import { megabytes, short, type Table, verdict } from './support/table.ts';
import { makeTree, noiseModule, zipPath } from './support/tree.ts';

const CONNECTIONS = 64;
const INFO = 'github.com/google/uuid/@v/v1.6.0.info';

type Case = {
  readonly name: string;
  readonly paths: readonly string[];
  /** At most so much of that server's CPU. A case without a goal is looked at once. */
  readonly goal?: { readonly of: 'nginx' | 'goproxy'; readonly atMost: number };
  readonly connections?: number;
  readonly isLarge?: true;
  /** Clients have it already: a 304. */
  readonly isKnown?: true;
};

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const medium = noiseModule('one', 1);
  const large = noiseModule('twenty', 20);
  const tree = await makeTree([medium, large]);
  const upstream = await UpstreamProcess.start({ root: tree.corpus, madeUp: [medium, large] });
  const nginx = await Nginx.start(tree.root);
  const goproxy = await Goproxy.start(tree.root);
  const bare = await BareUws.start(tree.root);
  const astera = await Astera.start({ upstream: upstream.url });
  try {
    const mods = corpusFiles(tree.corpus).flatMap(({ path }) => (path.endsWith('.mod') ? [path] : []));
    const cases: readonly Case[] = [
      { name: 'small `.info`', paths: [INFO], goal: { of: 'nginx', atMost: 0.9 } },
      { name: 'the same, 1,000 connections', paths: [INFO], connections: 1000 },
      { name: 'the same, 304', paths: [INFO], isKnown: true },
      { name: '500 `.mod`', paths: mods.slice(0, 500), goal: { of: 'nginx', atMost: 1 } },
      { name: 'a list', paths: ['github.com/google/uuid/@v/list'] },
      { name: '1 MB zip', paths: [zipPath(medium)], isLarge: true, goal: { of: 'goproxy', atMost: 0.7 } },
      { name: '20 MB zip', paths: [zipPath(large)], isLarge: true, goal: { of: 'goproxy', atMost: 1.1 } },
    ];
    await runHerd({ url: astera.url, lists: [cases.flatMap(({ paths }) => paths)], parallel: 8 });
    await upstream.stop();
    const servers: readonly Server[] = [
      { name: 'nginx', url: nginx.url, pids: nginx.pids },
      { name: 'goproxy', url: goproxy.url, pids: goproxy.pids },
      { name: 'bare uWebSockets', url: bare.url, pids: bare.pids },
      { name: 'astera', url: astera.url, pids: [astera.pid] },
    ];
    const rows: (string | number)[][] = [];
    for (const one of cases) {
      const asked = servers.filter(({ name }) => hasAnswer(name, one));
      // All benches together must fit fifteen minutes.
      const rounds = isQuick || one.goal === undefined ? 1 : 3;
      const figures = await beside(asked, rounds, ({ url }) => loadOf(one, url));
      rows.push(rowOf(one, figures, memory(astera.pid).rssAnonBytes));
    }
    return {
      title: 'Hot: warm answers out of memory, 64 connections',
      note: 'CPU of a 1 MB zip is CPU per MB. Times of all servers: nginx; goproxy; bare uWebSockets; Astera.',
      columns: [
        ...[
          '',
          'CPU µs/request: Astera',
          'nginx',
          'goproxy',
          'bare uWebSockets',
          'of nginx',
          'of goproxy',
          'goal',
        ],
        ...['requests/s', 'p50 / p99 / max ms', 'errors', 'RssAnon MB'],
      ],
      rows,
    };
  } finally {
    await astera.dispose();
    await nginx.stop();
    await goproxy.stop();
    await bare.stop();
    await upstream.stop();
    await tree.remove();
  }
}

/** The bare server knows no conditions, goproxy has no ETag and asks its upstream for every list. */
function hasAnswer(server: string, { isKnown, paths }: Case): boolean {
  if (server === 'goproxy') return isKnown !== true && paths.every((path) => !path.endsWith('/list'));
  return server !== 'bare uWebSockets' || isKnown !== true;
}

async function loadOf(one: Case, url: string): Promise<SteadyResult> {
  const { paths, connections = CONNECTIONS } = one;
  const isKnown = one.isKnown === true;
  const isLarge = one.isLarge === true;
  const etag = isKnown ? (await fetch(`${url}/${paths[0]}`)).headers.get('etag') : null;
  const load = { url, paths, connections, seconds: isLarge ? 3 : 2 };
  return steadyLoad(etag === null ? load : { ...load, etag }, { isLarge });
}

function rowOf({ name, goal }: Case, figures: readonly Beside[], rssAnonBytes: number): (string | number)[] {
  const cpuOf = (server: string) => figures.find((one) => one.server === server)?.cpuUs;
  const ratios = figures.find(({ server }) => server === 'astera')?.ratios ?? {};
  const cell = (value: number | undefined) => (value === undefined ? '–' : short(value));
  return [
    name,
    ...['astera', 'nginx', 'goproxy', 'bare uWebSockets'].map((server) => cell(cpuOf(server))),
    ...['nginx', 'goproxy'].map((server) => cell(ratios[server])),
    goal === undefined ? '' : `of ${goal.of} ${verdict(ratios[goal.of] ?? Number.NaN, goal)}`,
    figures.map(({ requestsPerSecond }) => short(requestsPerSecond)).join('; '),
    figures.map(({ p50Ms, p99Ms, maxMs }) => [p50Ms, p99Ms, maxMs].map(short).join(' / ')).join('; '),
    figures.map(({ errors }) => errors).join('; '),
    megabytes(rssAnonBytes),
  ];
}
