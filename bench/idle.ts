// Question: what does a server cost its machine while nobody asks it anything?
// Method: three servers with the three readers of a Pi, watched over the same three minutes, in which the house is kept
// three times: a new one, one that has just served 100 MB of zips to clients, and such a one that Prometheus looks at. CPU
// and wake-ups are those of all threads, as the kernel's scheduler counts them.

import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera } from '../test/support/astera.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { runHerd } from './support/herd.ts';
import { memory, processIo, threadTimes } from './support/process-cost.ts';
import { megabytes, short, type Table, verdict } from './support/table.ts';
import { noiseModule, zipPath } from './support/tree.ts';

/** Three rounds of housekeeping, and half a one. */
const WATCH_MS = 210_000;

/** After the last request until it counts as idle: last uses are written down once more. */
const SETTLE_MS = 70_000;

const SCRAPE_MS = 15_000;
const CLIENTS = 4;

type Idle = { readonly name: string; readonly astera: Astera; readonly isScraped?: true };

export async function run(): Promise<Table> {
  const modules = Array.from({ length: 100 }, (_, index) => noiseModule(`idle${index}`, 1));
  const upstream = await UpstreamProcess.start({ madeUp: modules });
  const flags = ['--readers', '3', '--verify', 'off'];
  const servers: Idle[] = [];
  const start = async (name: string, how: { isScraped?: true } = {}) => {
    const astera = await Astera.start({ upstream: upstream.url, flags });
    servers.push({ name, astera, ...how });
    return astera;
  };
  try {
    const lists = Array.from({ length: CLIENTS }, () => modules.map(zipPath));
    for (const astera of [
      await start('after work'),
      await start('after work, scraped', { isScraped: true }),
    ]) {
      await runHerd({ url: astera.url, lists, parallel: 8 });
    }
    await start('new');
    await delay(SETTLE_MS);
    return {
      title: 'Idle: three and a half minutes without a request',
      note: `Scraped: \`/metrics\` every ${SCRAPE_MS / 1000} s, which is work.`,
      columns: [
        '',
        'CPU, % of a core',
        'goal',
        'wake-ups/s',
        'disk written B',
        'files changed',
        'RssAnon MB',
        'goal',
      ],
      rows: await Promise.all(servers.map(watch)),
    };
  } finally {
    for (const { astera } of servers) await astera.dispose();
    await upstream.stop();
  }
}

async function watch({ name, astera, isScraped }: Idle): Promise<(string | number)[]> {
  const times = threadTimes(astera.pid);
  const { diskWrittenBytes } = processIo(astera.pid);
  const files = filesOf(astera);
  const scrapes = isScraped && setInterval(() => void astera.get('metrics'), SCRAPE_MS);
  await delay(WATCH_MS);
  if (scrapes) clearInterval(scrapes);
  const now = threadTimes(astera.pid);
  const share = ((now.ranMs - times.ranMs) / WATCH_MS) * 100;
  const { rssAnonBytes } = memory(astera.pid);
  const changed = [...filesOf(astera)].filter(([file, stamp]) => files.get(file) !== stamp);
  return [
    name,
    short(share),
    verdict(share, { atMost: 0.5 }),
    short((now.runs - times.runs) / (WATCH_MS / 1000)),
    processIo(astera.pid).diskWrittenBytes - diskWrittenBytes,
    changed.map(([file]) => file).join(' ') || 'none',
    megabytes(rssAnonBytes),
    verdict(rssAnonBytes / 1e6, { atMost: 120 }),
  ];
}

/** Size and time of the store's files, by name. */
function filesOf({ db }: Astera): Map<string, string> {
  const directory = dirname(db);
  return new Map(
    readdirSync(directory).map((file) => {
      const { size, mtimeMs } = statSync(join(directory, file));
      return [file, `${size} ${mtimeMs}`];
    }),
  );
}
