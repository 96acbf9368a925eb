// Question: does a server grow that runs for long, with an upstream that comes and goes?
// Method: SOAK_MINUTES (20) of mixed load, the same each minute but for new modules: hot answers, forty
// clients over the corpus, which is larger than memory, and over zips that nobody had before; beside that,
// most of the time, clients that want one new module after another. Every second minute the upstream goes
// away in the middle of a zip and of all that, and comes back as a new process: what could not be had
// meanwhile is asked for again, and must be had then. Looked at each minute's end.

import { readdirSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera } from '../test/support/astera.ts';
import { corpusFiles, ensureCorpus } from '../test/support/corpus.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { FRESH_PREFIX, type Fresh, freshLane, insist, isGiven } from './support/fresh-lane.ts';
import { runHerd } from './support/herd.ts';
import { memory } from './support/process-cost.ts';
import { steadyLoad } from './support/steady-load.ts';
import { type Goal, megabytes, short, type Table, verdict } from './support/table.ts';
import { noiseModule, zipPath } from './support/tree.ts';

const MINUTES = Number(process.env.SOAK_MINUTES ?? 20);
const CLIENTS = 40;
const INFO = 'github.com/google/uuid/@v/v1.6.0.info';
const NEW_ZIPS = 4;

/** Growth counts from here on: the cache is full, and the code compiled. */
const SETTLED_MINUTE = Math.min(5, Math.ceil(MINUTES / 4));

const GROWTH_GOAL: Goal = { atMost: 1.05 };
const MEMORY_MB_GOAL: Goal = { atMost: 256 };

/** Each asks for a new module every tenth of a second, for so much of the minute. */
const FRESH_LANES = 8;
const FRESH_MS = 45_000;
const FRESH_BYTES = 20_000;

/** The upstream's line. It is so slow that the upstream stops in the middle of the last download. */
const LINE_BYTES_PER_SECOND = 40_000_000;
const CUT_MEBIBYTES = 30;
const BEFORE_CUT_MS = 300;
const UPSTREAM_GONE_MS = 5_000;

type Look = {
  readonly minute: number;
  readonly rssAnonBytes: number;
  readonly rssFileBytes: number;
  readonly openFiles: number;
  readonly walBytes: number;
  readonly storeBytes: number;
  readonly errors: number;
  readonly fresh: Fresh;
  /** From the upstream's return until the zip that it went away in was had whole. */
  readonly backSeconds: number;
};

export async function run(): Promise<Table> {
  const root = await ensureCorpus();
  const zips = Array.from({ length: MINUTES * NEW_ZIPS }, (_, at) => noiseModule(`soak-${at}`, 2));
  const cuts = Array.from({ length: Math.floor(MINUTES / 2) }, (_, at) =>
    noiseModule(`cut-${at}`, CUT_MEBIBYTES),
  );
  const startUpstream = (port: number) =>
    UpstreamProcess.start({
      root,
      port,
      madeUp: [...zips, ...cuts],
      endless: { prefix: FRESH_PREFIX, contentBytes: FRESH_BYTES },
      bytesPerSecond: LINE_BYTES_PER_SECOND,
    });
  let upstream = await startUpstream(0);
  const port = Number(new URL(upstream.url).port);
  const astera = await Astera.start({ upstream: upstream.url });
  const corpus = corpusFiles(root).map(({ path }) => path);
  const looks: Look[] = [];
  try {
    for (let minute = 1; minute <= MINUTES; minute++) {
      const endsMs = performance.now() + 60_000;
      const cold = zips.slice((minute - 1) * NEW_ZIPS, minute * NEW_ZIPS).map(zipPath);
      const load = Promise.all([minuteOf(astera, corpus, cold), freshOf(astera, minute)]);
      let backSeconds = 0;
      const cut = minute % 2 === 0 ? cuts[minute / 2 - 1] : undefined;
      if (cut !== undefined) {
        await delay(1_000);
        const first = isGiven(astera.url, zipPath(cut));
        await delay(BEFORE_CUT_MS);
        await upstream.stop();
        await delay(UPSTREAM_GONE_MS);
        upstream = await startUpstream(port);
        backSeconds = await insist(astera.url, zipPath(cut));
        await first; // Whether it was had in time or not.
      }
      const [errors, fresh] = await load;
      await delay(Math.max(0, endsMs - performance.now()));
      looks.push({ minute, errors, fresh, backSeconds, ...look(astera) });
      process.stderr.write(`soak: ${JSON.stringify(looks.at(-1))}\n`);
    }
    return table(looks);
  } finally {
    await astera.dispose();
    await upstream.stop();
  }
}

async function freshOf({ url }: Astera, minute: number): Promise<Fresh> {
  const untilMs = performance.now() + FRESH_MS;
  const lanes = await Promise.all(
    Array.from({ length: FRESH_LANES }, (_, lane) => freshLane(url, `minute-${minute}/${lane}`, untilMs)),
  );
  const sum = (field: keyof Fresh) => lanes.reduce((all, one) => all + one[field], 0);
  return { asked: sum('asked'), refused: sum('refused'), lost: sum('lost') };
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

function look({ pid, db }: Astera): Omit<Look, 'minute' | 'errors' | 'fresh' | 'backSeconds'> {
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
    of(settled) === 0 ? '' : short(of(last) / of(settled)),
    format(Math.max(...looks.map(of))),
    goal,
  ];
  const growth = verdict(last.rssAnonBytes / settled.rssAnonBytes, GROWTH_GOAL);
  const mostBytes = Math.max(...looks.map(({ rssAnonBytes }) => rssAnonBytes));
  const memoryGoals = `ratio ${growth}; most ${verdict(mostBytes / 1e6, MEMORY_MB_GOAL, ' MB')}`;
  return {
    title: `Soak: ${MINUTES} minutes of mixed load, the upstream gone and back ${Math.floor(MINUTES / 2)} times`,
    columns: ['', `minute ${settled.minute}`, `minute ${last.minute}`, 'ratio', 'most at a look', 'goal'],
    rows: [
      row('RssAnon MB', (one) => one.rssAnonBytes, megabytes, memoryGoals),
      row('file-backed MB', (one) => one.rssFileBytes, megabytes, ''),
      row('open files', (one) => one.openFiles, String, '1'),
      row('WAL MB', (one) => one.walBytes, megabytes, 'under 64'),
      row('store MB', (one) => one.storeBytes, megabytes, ''),
      row('failed requests of the minute', (one) => one.errors, String, ''),
      row('new files asked for', ({ fresh }) => fresh.asked, String, ''),
      row('refused while the upstream was gone', ({ fresh }) => fresh.refused, String, ''),
      row('and still when it was back', ({ fresh }) => fresh.lost, String, '0'),
      row('s until the zip it left in the middle was had', (one) => one.backSeconds, short, ''),
    ],
  };
}
