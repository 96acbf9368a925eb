// Question: what do clients feel of 1 GB being evicted, while the file is being shrunk, beside them?
// Method: the same load on two servers in turns, each over a fresh copy of one store of 1.5 GB: one without a limit, and
// one whose limit is 1 GB below it, which begins to evict when it starts. Small answers and zips at the same time,
// nothing in memory, for as long as the eviction takes. Ratios are of one round, then the median. --quick: 400 MB of a
// store of 700 MB, in three rounds.

import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Astera } from '../test/support/astera.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { fillStore, madeUpVersion } from './support/made-up-store.ts';
import { type SteadyResult, steadyLoad } from './support/steady-load.ts';
import { median, megabytes, short, type Table, verdict } from './support/table.ts';

const ZIP_BYTES = 1_000_000;
const FULL = { versions: 1_500, evicted: 1_000, seconds: 20, rounds: 5 } as const;
const QUICK = { versions: 700, evicted: 400, seconds: 8, rounds: 3 } as const;
/** Asked for; the newest, so that they stay. */
const ASKED = 100;
const GOAL = { atMost: 1.2 } as const;

/** Port 9 is the discard service, so no request gets an answer. */
const UPSTREAM = 'http://127.0.0.1:9';

type Size = typeof FULL | typeof QUICK;

type Turn = { readonly small: SteadyResult; readonly zips: SteadyResult; readonly evictedBytes: number };

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const size = isQuick ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'astera-eviction-'));
  try {
    const db = join(directory, 'full.db');
    await fillStore({ db, name: 'room', from: 0, to: size.versions, contentBytes: ZIP_BYTES });
    const limit = `${statSync(db).size - size.evicted * ZIP_BYTES}B`;
    const rounds: { without: Turn; evicting: Turn }[] = [];
    for (let round = 0; round < size.rounds; round++) {
      const without = await turn(directory, db, size, []);
      const evicting = await turn(directory, db, size, ['--max-size', limit]);
      rounds.push({ without, evicting });
    }
    return table(rounds);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function turn(
  directory: string,
  from: string,
  { seconds, versions }: Size,
  flags: readonly string[],
): Promise<Turn> {
  const db = join(directory, 'turn.db');
  copyFileSync(from, db);
  const astera = await Astera.start({
    upstream: UPSTREAM,
    db,
    flags: ['--verify', 'off', '--cache-memory', '0B', '--cache-weak', '0B', ...flags],
  });
  try {
    const { url } = astera;
    const load = { url, seconds };
    const [small, zips] = await Promise.all([
      steadyLoad({ ...load, paths: pathsOf('info', versions), connections: 8 }, { isLarge: false }),
      steadyLoad({ ...load, paths: pathsOf('zip', versions), connections: 2 }, { isLarge: true }),
    ]);
    const evictedBytes = (await astera.metrics()).get('astera_evicted_bytes_total{kind="zip"}') ?? 0;
    await astera.stop();
    const line = { evictedBytes, fileBytes: statSync(db).size, small: small.p99Ms, zips: zips.p99Ms };
    process.stderr.write(`eviction: ${JSON.stringify(line)}\n`);
    return { small, zips, evictedBytes };
  } finally {
    await astera.dispose();
  }
}

function pathsOf(kind: 'info' | 'zip', versions: number): string[] {
  return Array.from({ length: ASKED }, (_, at) => {
    const { path, version } = madeUpVersion('room', versions - ASKED + at, ZIP_BYTES);
    return `${path}/@v/${version}.${kind}`;
  });
}

function table(rounds: readonly { without: Turn; evicting: Turn }[]): Table {
  const row = (name: string, of: (turn: Turn) => number, goal: boolean) => {
    const ratio = median(rounds.map(({ without, evicting }) => of(evicting) / of(without)));
    return [
      name,
      short(median(rounds.map(({ without }) => of(without)))),
      short(median(rounds.map(({ evicting }) => of(evicting)))),
      short(ratio),
      goal ? verdict(ratio, GOAL) : '',
    ];
  };
  const errors = (turn: Turn) => turn.small.errors + turn.zips.errors;
  const total = (of: (turn: Turn) => number) => rounds.reduce((sum, { evicting }) => sum + of(evicting), 0);
  const evicted = median(rounds.map(({ evicting }) => evicting.evictedBytes));
  return {
    title: `Clients beside an eviction of ${megabytes(evicted)} MB`,
    columns: ['', 'no limit', 'evicting', 'ratio', 'goal'],
    rows: [
      row('small answers, p99 ms', ({ small }) => small.p99Ms, true),
      row('zips of 1 MB, p99 ms', ({ zips }) => zips.p99Ms, true),
      row('small answers, p50 ms', ({ small }) => small.p50Ms, false),
      row('zips of 1 MB, p50 ms', ({ zips }) => zips.p50Ms, false),
      ['failed requests', '', total(errors), '', '0'],
    ],
  };
}
