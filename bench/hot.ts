// Question: what does a warm answer cost the server, beside nginx serving the same files?
// Method: 64 connections; each case in turns with nginx, so that a noisy moment hits both; medians.

import { join } from 'node:path';
import { Astera } from '../test/support/astera.ts';
import { corpusFiles } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { BareUws } from './support/bare-uws.ts';
import { runHerd } from './support/herd.ts';
import { Nginx } from './support/nginx.ts';
import { cpuMs, memory } from './support/process-cost.ts';
import { type SteadyResult, steadyLoad } from './support/steady-load.ts';
import { median, megabytes, short, type Table } from './support/table.ts';
import { makeTree, noiseModule, zipPath } from './support/tree.ts';

const ROUNDS = 3;
const SECONDS = 3;
const CONNECTIONS = 64;
const ORDER = ['nginx', 'bare uWebSockets', 'astera'] as const;

type Server = { readonly url: string; readonly pids: readonly number[] };
type Sample = SteadyResult & { readonly cpuUs: number };

export async function run(): Promise<Table> {
  const medium = noiseModule('one', 1);
  const large = noiseModule('twenty', 20);
  const tree = await makeTree([medium, large]);
  const upstream = await UpstreamProcess.start({ root: tree.corpus, madeUp: [medium, large] });
  const nginx = await Nginx.start(tree.root);
  const bare = await BareUws.start(tree.root);
  const astera = await Astera.start({ upstream: upstream.url });
  try {
    const mods = corpusFiles(join(tree.corpus)).filter(({ path }) => path.endsWith('.mod'));
    const cases: readonly {
      readonly name: string;
      readonly paths: readonly string[];
      readonly isLarge?: boolean;
    }[] = [
      { name: 'small `.info`', paths: ['github.com/google/uuid/@v/v1.6.0.info'] },
      { name: '500 `.mod`', paths: mods.slice(0, 500).map(({ path }) => path) },
      { name: '1 MB zip', paths: [zipPath(medium)], isLarge: true },
      { name: '20 MB zip', paths: [zipPath(large)], isLarge: true },
    ];
    await runHerd({ url: astera.url, lists: [cases.flatMap(({ paths }) => paths)], parallel: 8 });
    await upstream.stop();
    const servers = {
      nginx: { url: nginx.url, pids: nginx.pids },
      'bare uWebSockets': { url: bare.url, pids: bare.pids },
      astera: { url: astera.url, pids: [astera.pid] },
    };
    const rows: (string | number)[][] = [];
    for (const { name, paths, isLarge = false } of cases) {
      const samples = { nginx: [] as Sample[], 'bare uWebSockets': [] as Sample[], astera: [] as Sample[] };
      for (let round = 0; round < ROUNDS; round++) {
        for (const server of ORDER) samples[server].push(await sample(servers[server], paths, isLarge));
      }
      const reference = median(samples.nginx.map(({ cpuUs }) => cpuUs));
      for (const server of ORDER) {
        const of = (field: keyof Sample) => median(samples[server].map((one) => one[field]));
        const rate = median(samples[server].map(({ requests, seconds }) => requests / seconds));
        const errors = samples[server].reduce((sum, one) => sum + one.errors, 0);
        const figures = [of('cpuUs'), of('cpuUs') / reference, rate, of('p50Ms'), of('p99Ms'), of('maxMs')];
        const rss = server === 'astera' ? megabytes(memory(astera.pid).rssAnonBytes) : '';
        rows.push([name, server, ...figures.map(short), errors, rss]);
      }
    }
    const columns = [
      '',
      'server',
      'CPU µs/request',
      'ratio',
      'requests/s',
      'p50 ms',
      'p99 ms',
      'max ms',
      'errors',
      'RssAnon MB',
    ];
    return { title: 'Hot: warm answers out of memory, 64 connections', columns, rows };
  } finally {
    await astera.dispose();
    await nginx.stop();
    await bare.stop();
    await upstream.stop();
    await tree.remove();
  }
}

async function sample({ url, pids }: Server, paths: readonly string[], isLarge: boolean): Promise<Sample> {
  const beforeMs = cpuMs(pids);
  const result = await steadyLoad({ url, paths, connections: CONNECTIONS, seconds: SECONDS }, { isLarge });
  return { ...result, cpuUs: ((cpuMs(pids) - beforeMs) * 1000) / result.requests };
}
