// Question: what does a store of 5 GB cost: a start with nothing of it in the page cache, and a backup beside a server?
// Method: made-up zips of 4 MB. Starts until /readyz says yes, in turns with those over an empty store. Then in turns `dd` of the same file with a sync
// at its end, and `astera backup` while a server has a steady load. The event loop's delay is the server's own figure,
// for as long as the load runs, with a backup and without. --quick: a store of 1 GB, and one backup.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ASTERA, Astera } from '../test/support/astera.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { fillStore, madeUpVersion } from './support/made-up-store.ts';
import { dropFromPageCache } from './support/page-cache.ts';
import { cpuMs } from './support/process-cost.ts';
import { steadyLoad } from './support/steady-load.ts';
import { median, megabytes, short, type Table, verdict } from './support/table.ts';

const ZIP_BYTES = 4_000_000;
const FULL = { versions: 1_250, starts: 5, rounds: 3 } as const;
const QUICK = { versions: 250, starts: 5, rounds: 1 } as const;
/** Asked for while the backup runs. */
const ASKED = 100;

/** Port 9 is the discard service, so no request gets an answer. */
const UPSTREAM = 'http://127.0.0.1:9';

const exec = promisify(execFile);

/** CPU is that of all threads. */
type Start = { readonly ms: number; readonly cpuMs: number };

type Backup = {
  readonly ms: number;
  readonly ddMs: number;
  readonly delayMs: number;
  readonly aloneMs: number;
};

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const size = isQuick ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'astera-large-store-'));
  const db = join(directory, 'a.db');
  try {
    const empty = join(directory, 'empty.db');
    await start(empty); // The code's cache is made by this one.
    await fillStore({ db, name: 'large', from: 0, to: size.versions, contentBytes: ZIP_BYTES });
    const starts: { large: Start; empty: Start }[] = [];
    for (let at = 0; at < size.starts; at++) {
      await dropFromPageCache(db);
      const large = await start(db);
      starts.push({ large, empty: await start(empty) });
    }
    const backups: Backup[] = [];
    for (let round = 0; round < size.rounds; round++) backups.push(await backUp(directory, db));
    return table(statSync(db).size, starts, backups);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Until a client hears that it is ready. */
async function start(db: string): Promise<Start> {
  const startedMs = performance.now();
  const astera = await Astera.start({ upstream: UPSTREAM, db });
  const { status } = await astera.get('readyz');
  const took = { ms: performance.now() - startedMs, cpuMs: cpuMs([astera.pid]) };
  if (status !== 200) throw new Error(`not ready: ${status}`);
  await astera.stop();
  return took;
}

async function backUp(directory: string, db: string): Promise<Backup> {
  const copy = join(directory, 'copy.db');
  const ddMs = await timed('dd', [`if=${db}`, `of=${copy}`, 'bs=4M', 'conv=fsync', 'status=none']);
  rmSync(copy);
  const astera = await Astera.start({ upstream: UPSTREAM, db, flags: ['--verify', 'off'] });
  try {
    const aloneMs = await delayDuring(astera, ddMs, async () => {});
    let ms = 0;
    const delayMs = await delayDuring(astera, ddMs, async () => {
      ms = await timed(ASTERA, ['backup', '--db', db, copy]);
    });
    process.stderr.write(`large-store: ${JSON.stringify({ ddMs, ms, delayMs, aloneMs })}\n`);
    return { ms, ddMs, delayMs, aloneMs };
  } finally {
    await astera.dispose();
    rmSync(copy, { force: true });
  }
}

/** The p99 of the event loop's delay under load, while `work` runs and for about `atLeastMs`. */
async function delayDuring(astera: Astera, atLeastMs: number, work: () => Promise<void>): Promise<number> {
  const paths = Array.from({ length: ASKED }, (_, at) => {
    const { path, version } = madeUpVersion('large', at, ZIP_BYTES);
    return `${path}/@v/${version}.info`;
  });
  const seconds = Math.ceil(atLeastMs / 1000);
  await astera.metrics(); // Its delay counts from here on.
  await Promise.all([
    steadyLoad({ url: astera.url, paths, connections: 4, seconds }, { isLarge: false }),
    work(),
  ]);
  return ((await astera.metrics()).get('astera_event_loop_delay_seconds{quantile="p99"}') ?? NaN) * 1000;
}

async function timed(command: string, args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  await exec(command, args);
  return performance.now() - startedMs;
}

function table(
  bytes: number,
  starts: readonly { large: Start; empty: Start }[],
  backups: readonly Backup[],
): Table {
  const of = (figure: (one: Backup) => number) => median(backups.map(figure));
  const ofStarts = (figure: (one: { large: Start; empty: Start }) => number) => median(starts.map(figure));
  const startMs = ofStarts(({ large }) => large.ms);
  const rate = (ms: number) => `${short(bytes / 1e3 / ms)} MB/s`;
  const ratio = of(({ ms, ddMs }) => ms / ddMs);
  const delay = of(({ delayMs }) => delayMs);
  return {
    title: `A store of ${megabytes(bytes)} MB`,
    columns: ['', 'figure', 'goal'],
    rows: [
      ['start until /readyz, ms', short(startMs), verdict(startMs, { atMost: 400 })],
      ['the same over an empty store', short(ofStarts(({ empty }) => empty.ms)), ''],
      ['CPU of a start, ms', short(ofStarts(({ large }) => large.cpuMs)), ''],
      ['the same over an empty store', short(ofStarts(({ empty }) => empty.cpuMs)), ''],
      ['dd with a sync', rate(of(({ ddMs }) => ddMs)), ''],
      ['astera backup beside a server', rate(of(({ ms }) => ms)), ''],
      ['time of a backup to that of dd', short(ratio), verdict(ratio, { atMost: 2 })],
      ['event loop delay p99 meanwhile, ms', short(delay), verdict(delay, { atMost: 20 })],
      ['the same without a backup', short(of(({ aloneMs }) => aloneMs)), ''],
    ],
  };
}
