// Question: what does the status page cost a server with 100,000 versions, and the clients beside it?
// Method: CPU of all threads of a server, over the same time each: nobody looks, one page looks, 200 do. A page is here a
// connection of its own that asks as often as a browser's page does when nothing happens, or when something does. Then
// searches that look at every key, one after the other, with small files asked for beside them.

import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera } from '../test/support/astera.ts';
import { fillStore, madeUpVersion } from './support/made-up-store.ts';
import { cpuMs, memory } from './support/process-cost.ts';
import { median, megabytes, short, type Table, verdict } from './support/table.ts';

const VERSIONS = 100_000;
const CONTENT_BYTES = 200;
const WATCH_MS = 30_000;
const SEARCHES = 30;

/** `src/page/live.ts`. */
const IDLE_MS = 5_000;
const BUSY_MS = 2_000;

/** An idle server's goal, in % of a core. */
const GOAL = 0.5;

export async function run(): Promise<Table> {
  const directory = await mkdtemp(join(tmpdir(), 'astera-bench-page-'));
  const db = join(directory, 'a.db');
  try {
    await fillStore({ db, name: 'page', from: 0, to: VERSIONS, contentBytes: CONTENT_BYTES });
    const flags = ['--readers', '3', '--offline', '--sumdb', 'off', '--verify', 'off'];
    const astera = await Astera.start({ upstream: 'http://127.0.0.1:9', db, flags });
    try {
      return {
        title: `Status page: a store of ${VERSIONS.toLocaleString('en-US')} versions`,
        columns: [
          '',
          'CPU, % of a core',
          'goal',
          'CPU ms each',
          'RssAnon MB',
          'small files beside it, median ms',
        ],
        rows: [
          await looks(astera, 'nobody looks', 0, IDLE_MS),
          await looks(astera, 'one page, every 5 s', 1, IDLE_MS),
          await looks(astera, '200 pages, every 5 s', 200, IDLE_MS),
          await looks(astera, '200 pages, every 2 s', 200, BUSY_MS),
          await beside(astera, 'small files alone', () => delay(100)),
          await beside(astera, 'a search without a match', () => ask(astera, 'status/modules.json?q=nobody')),
          await beside(astera, 'the first page of modules', () => ask(astera, 'status/modules.json?q=')),
        ],
      };
    } finally {
      await astera.dispose();
    }
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The server while so many pages look at it. */
async function looks(astera: Astera, name: string, pages: number, everyMs: number) {
  const agents = Array.from({ length: pages }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  for (const agent of agents) await ask(astera, 'status/now.json', agent);
  const timers: NodeJS.Timeout[] = [];
  for (const [place, agent] of agents.entries()) {
    const look = () => void ask(astera, 'status/now.json', agent);
    timers.push(setTimeout(() => timers.push(setInterval(look, everyMs)), (place * everyMs) / pages));
  }
  await delay(everyMs);
  const before = cpuMs([astera.pid]);
  await delay(WATCH_MS);
  const share = ((cpuMs([astera.pid]) - before) / WATCH_MS) * 100;
  for (const timer of timers) clearTimeout(timer);
  for (const agent of agents) agent.destroy();
  const goal = pages === 200 ? '' : verdict(share, { atMost: GOAL });
  return [name, short(share), goal, '', megabytes(memory(astera.pid).rssAnonBytes), ''];
}

/** The same work again and again, and small files asked for beside it. */
async function beside(astera: Astera, name: string, work: () => Promise<unknown>) {
  const { path, version } = madeUpVersion('page', 7, CONTENT_BYTES);
  const agent = new Agent({ keepAlive: true });
  await work();
  let isOver = false;
  const times: number[] = [];
  const files = (async () => {
    while (!isOver) {
      const startedMs = performance.now();
      await ask(astera, `${path}/@v/${version}.info`, agent);
      times.push(performance.now() - startedMs);
      await delay(5);
    }
  })();
  const before = cpuMs([astera.pid]);
  for (let n = 0; n < SEARCHES; n++) await work();
  const eachMs = (cpuMs([astera.pid]) - before) / SEARCHES;
  isOver = true;
  await files;
  agent.destroy();
  return [name, '', '', short(eachMs), megabytes(memory(astera.pid).rssAnonBytes), short(median(times))];
}

function ask(astera: Astera, path: string, agent?: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    get(`${astera.url}/${path}`, { agent: agent ?? false }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`${path}: ${answer.statusCode}`));
      answer.resume().on('end', resolve).on('error', reject);
    }).on('error', reject);
  });
}
