// Question: what does a policy add to a hot answer, and what does its machinery where there is none?
// Method: one small file in memory, from servers in turns; medians of the rounds' CPU and of their ratios to the server
// without a policy. The list is one that the policy makes shorter.

import { Astera } from '../test/support/astera.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { beside, type Server } from './support/beside.ts';
import { steadyLoad } from './support/steady-load.ts';
import { short, type Table, verdict } from './support/table.ts';
import { noiseModule } from './support/tree.ts';

const CONNECTIONS = 64;
const ROUNDS = 15;
const GOAL = { atMost: 1.1 };
const INFO = 'made-up.example/open/@v/v1.0.0.info';
const LIST = 'made-up.example/open/@v/list';
const FLAGS = ['--min-age', '7d', '--deny', '*.evil.example,made-up.example/open@>v1.0.0'];

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const madeUp = [noiseModule('open', 1), { ...noiseModule('open', 1), version: 'v1.1.0' }];
  const upstream = await UpstreamProcess.start({ madeUp });
  const env = { ASTERA_VERIFY: 'off', ASTERA_CACHE_TTL: '1h', ASTERA_LIST_TTL: '1h' };
  const start = (flags: readonly string[]) => Astera.start({ upstream: upstream.url, flags, env });
  const [open, policed] = [await start([]), await start(FLAGS)];
  const server = ({ url, pid }: Astera, name: string): Server => ({ name, url, pids: [pid] });
  try {
    const servers = [
      server(open, '`.info`, no policy'),
      server(policed, '`.info`, a policy'),
      server(open, 'list, no policy'),
      server(policed, 'list, a policy'),
    ];
    const load = async ({ name, url }: Server) => {
      const path = name.startsWith('list') ? LIST : INFO;
      await fetch(`${url}/${path}`);
      return steadyLoad({ url, paths: [path], connections: CONNECTIONS, seconds: 1 }, { isLarge: false });
    };
    const figures = await beside(servers, isQuick ? 3 : ROUNDS, load);
    return {
      title: 'Policy: hot small answers with and without one, 64 connections',
      columns: ['', 'CPU µs/request', 'of `.info` without one', 'goal', 'requests/s', 'errors'],
      rows: figures.map(({ server, cpuUs, ratio, requestsPerSecond, errors }, at) => [
        server,
        short(cpuUs),
        short(ratio),
        at === 0 ? '' : verdict(ratio, GOAL),
        short(requestsPerSecond),
        errors,
      ]),
    };
  } finally {
    await open.dispose();
    await policed.dispose();
    await upstream.stop();
  }
}
