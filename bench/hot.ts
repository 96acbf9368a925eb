// Question: what does a warm answer cost the server, beside nginx serving the same files?
// Method: 64 connections (and 1,000); each case in turns with nginx and with uWebSockets.js alone, so that
// a noisy moment hits all of them; medians.

import { Astera } from '../test/support/astera.ts';
import { corpusFiles } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { BareUws } from './support/bare-uws.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { beside, type Server } from './support/beside.ts';
import { runHerd } from './support/herd.ts';
import { Nginx } from './support/nginx.ts';
import { memory } from './support/process-cost.ts';
import { steadyLoad } from './support/steady-load.ts';
import { megabytes, short, type Table } from './support/table.ts';
import { makeTree, noiseModule, zipPath } from './support/tree.ts';

const CONNECTIONS = 64;
const INFO = 'github.com/google/uuid/@v/v1.6.0.info';

type Case = {
  readonly name: string;
  readonly paths: readonly string[];
  readonly goal: string;
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
  const bare = await BareUws.start(tree.root);
  const astera = await Astera.start({ upstream: upstream.url });
  try {
    const mods = corpusFiles(tree.corpus).flatMap(({ path }) => (path.endsWith('.mod') ? [path] : []));
    const cases: readonly Case[] = [
      { name: 'small `.info`', paths: [INFO], goal: '0.9' },
      { name: 'the same, 1,000 connections', paths: [INFO], connections: 1000, goal: '' },
      { name: 'the same, 304', paths: [INFO], isKnown: true, goal: '' },
      { name: '500 `.mod`', paths: mods.slice(0, 500), goal: '1' },
      { name: 'a list', paths: ['github.com/google/uuid/@v/list'], goal: '' },
      { name: '1 MB zip', paths: [zipPath(medium)], isLarge: true, goal: '0.6' },
      { name: '20 MB zip', paths: [zipPath(large)], isLarge: true, goal: '1.8; p99 4 times p50' },
    ];
    await runHerd({ url: astera.url, lists: [cases.flatMap(({ paths }) => paths)], parallel: 8 });
    await upstream.stop();
    const servers: readonly Server[] = [
      { name: 'nginx', url: nginx.url, pids: nginx.pids },
      { name: 'bare uWebSockets', url: bare.url, pids: bare.pids },
      { name: 'astera', url: astera.url, pids: [astera.pid] },
    ];
    const rows: (string | number)[][] = [];
    for (const { name, paths, goal, connections = CONNECTIONS, isLarge = false, isKnown = false } of cases) {
      // The bare server knows no conditions.
      const asked = servers.filter((server) => !isKnown || server.name !== 'bare uWebSockets');
      // What has no goal is looked at once: all benches together must fit fifteen minutes.
      const figures = await beside(asked, isQuick || goal === '' ? 1 : 3, async ({ url }) => {
        const etag = isKnown ? (await fetch(`${url}/${paths[0]}`)).headers.get('etag') : null;
        const load = { url, paths, connections, seconds: isLarge ? 3 : 2 };
        return steadyLoad(etag === null ? load : { ...load, etag }, { isLarge });
      });
      for (const { server, cpuUs, ratio, requestsPerSecond, p50Ms, p99Ms, maxMs, errors } of figures) {
        const own = server === 'astera' ? [megabytes(memory(astera.pid).rssAnonBytes), goal] : ['', ''];
        const times = [cpuUs, ratio, requestsPerSecond, p50Ms, p99Ms, maxMs].map(short);
        rows.push([name, server, ...times, errors, ...own]);
      }
    }
    const times = ['CPU µs/request', 'ratio', 'requests/s', 'p50 ms', 'p99 ms', 'max ms'];
    return {
      title: 'Hot: warm answers out of memory, 64 connections',
      note: 'p99 at 64 connections: goal at most nginx’s. CPU of a 1 MB zip is CPU per MB.',
      columns: ['', 'server', ...times, 'errors', 'RssAnon MB', 'goal: ratio'],
      rows,
    };
  } finally {
    await astera.dispose();
    await nginx.stop();
    await bare.stop();
    await upstream.stop();
    await tree.remove();
  }
}
