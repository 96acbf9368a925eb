// Question: does a server grow that runs for long, with an upstream that comes and goes?
// Method: SOAK_MINUTES (20) of mixed load, the same each minute but for new modules: hot answers, forty
// clients over the corpus, which is larger than memory, and over zips that nobody had before. Every second
// minute the upstream is gone in the middle of it, and back as a new process. Looked at each minute's end.

import { readdirSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera } from '../test/support/astera.ts';
import { corpusFiles, ensureCorpus } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { runHerd } from './support/herd.ts';
import { memory } from './support/process-cost.ts';
import { steadyLoad } from './support/steady-load.ts';
import { megabytes, short, type Table } from './support/table.ts';
import { noiseModule, zipPath } from './support/tree.ts';

const MINUTES = Number(process.env.SOAK_MINUTES ?? 20);
const CLIENTS = 40;
const INFO = 'github.com/google/uuid/@v/v1.6.0.info';
const NEW_ZIPS = 4;

/** Growth counts from here on: the cache is full, and the code compiled. */
const SETTLED_MINUTE = Math.min(5, Math.ceil(MINUTES / 4));

const UPSTREAM_GONE_MS = 5_000;

type Look = {
  readonly minute: number;
  readonly rssAnonBytes: number;
  readonly rssFileBytes: number;
  readonly openFiles: number;
  readonly walBytes: number;
  readonly storeBytes: number;
  readonly errors: number;
};

export async function run(): Promise<Table> {
  const root = await ensureCorpus();
  const zips = Array.from({ length: MINUTES * NEW_ZIPS }, (_, at) => noiseModule(`soak-${at}`, 2));
  let upstream = await UpstreamProcess.start({ root, madeUp: zips });
  const port = Number(new URL(upstream.url).port);
  const astera = await Astera.start({ upstream: upstream.url });
  const corpus = corpusFiles(root).map(({ path }) => path);
  const looks: Look[] = [];
  try {
    for (let minute = 1; minute <= MINUTES; minute++) {
      const endsMs = performance.now() + 60_000;
      const load = minuteOf(
        astera,
        corpus,
        zips.slice((minute - 1) * NEW_ZIPS, minute * NEW_ZIPS).map(zipPath),
      );
      if (minute % 2 === 0) {
        await delay(1_000);
        await upstream.stop();
        await delay(UPSTREAM_GONE_MS);
        upstream = await UpstreamProcess.start({ root, madeUp: zips, port });
      }
      const errors = await load;
      await delay(Math.max(0, endsMs - performance.now()));
      looks.push({ minute, errors, ...look(astera) });
      process.stderr.write(`soak: ${JSON.stringify(looks.at(-1))}\n`);
    }
    return table(looks);
  } finally {
    await astera.dispose();
    await upstream.stop();
  }
}

/** Some 20 to 30 seconds of load. @returns failed requests; some must while the upstream is gone */
async function minuteOf(astera: Astera, corpus: readonly string[], cold: readonly string[]): Promise<number> {
  const { url } = astera;
  const lists = Array.from({ length: CLIENTS }, (_, client) => [
    ...cold,
    ...corpus.filter((_, at) => at % CLIENTS === client),
    `made-up.example/unknown-${client}/@v/list`,
  ]);
  const missing = CLIENTS; // The unknown lists are 404s.
  const herd = await runHerd({ url, lists, parallel: 4 });
  const hot = await steadyLoad({ url, paths: [INFO], connections: 64, seconds: 15 }, { isLarge: false });
  const again = await runHerd({ url, lists, parallel: 4 });
  return herd.errors + again.errors - 2 * missing + hot.errors;
}

function look({ pid, db }: Astera): Omit<Look, 'minute' | 'errors'> {
  const { rssAnonBytes, rssFileBytes } = memory(pid);
  return {
    rssAnonBytes,
    rssFileBytes,
    openFiles: readdirSync(`/proc/${pid}/fd`).length,
    walBytes: statSync(`${db}-wal`).size,
    storeBytes: statSync(db).size,
  };
}

function table(looks: readonly Look[]): Table {
  const settled = looks.find(({ minute }) => minute === SETTLED_MINUTE);
  const last = looks.at(-1);
  if (settled === undefined || last === undefined)
    throw new Error('cannot soak: SOAK_MINUTES must be at least 1');
  const row = (what: string, of: (look: Look) => number, format: (value: number) => string, goal: string) => [
    what,
    format(of(settled)),
    format(of(last)),
    short(of(last) / of(settled)),
    format(Math.max(...looks.map(of))),
    goal,
  ];
  return {
    title: `Soak: ${MINUTES} minutes of mixed load, the upstream gone and back ${Math.floor(MINUTES / 2)} times`,
    columns: ['', `minute ${settled.minute}`, `minute ${last.minute}`, 'ratio', 'most at a look', 'goal'],
    rows: [
      row('RssAnon MB', (one) => one.rssAnonBytes, megabytes, '1.05'),
      row('file-backed MB', (one) => one.rssFileBytes, megabytes, ''),
      row('open files', (one) => one.openFiles, String, '1'),
      row('WAL MB', (one) => one.walBytes, megabytes, 'under 64'),
      row('store MB', (one) => one.storeBytes, megabytes, ''),
      row('failed requests of the minute', (one) => one.errors, String, ''),
    ],
  };
}
