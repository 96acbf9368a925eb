// Question: how long does a server take from its start until it answers, empty and over a large store?
// Method: the same starts over no store, 1,000 and 100,000 made-up versions, in turns; medians. Their zips are
// tiny, as it is rows that a start could look at: the 2.4 GB of bench/growth.ts take ten minutes to write.
// CPU is that of all threads until it listens.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Astera } from '../test/support/astera.ts';
import { fillStore } from './support/made-up-store.ts';
import { cpuMs } from './support/process-cost.ts';
import { median, short, type Table } from './support/table.ts';

const SIZES = [0, 1_000, 100_000] as const;
const ROUNDS = 7;
const ZIP_CONTENT_BYTES = 100;
const GOAL_MS = 300;

/** Port 9 is the discard service, so no request gets an answer. */
const UPSTREAM = 'http://127.0.0.1:9';

type Start = { readonly ms: number; readonly cpuMs: number };

export async function run(): Promise<Table> {
  const directory = mkdtempSync(join(tmpdir(), 'astera-start-'));
  const stores = SIZES.map((versions) => ({
    versions,
    db: join(directory, `${versions}.db`),
    starts: [] as Start[],
  }));
  try {
    for (const { versions, db } of stores) {
      await startOnce(db); // The store and the code's cache are made by this one.
      await fillStore({ db, name: 'start', from: 0, to: versions, contentBytes: ZIP_CONTENT_BYTES });
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const { db, starts } of stores) starts.push(await startOnce(db));
    }
    return {
      title: 'Start until it listens',
      columns: ['versions in the store', 'ms', 'fastest ms', 'CPU ms', 'goal ms'],
      rows: stores.map(({ versions, starts }) => [
        versions.toLocaleString('en'),
        short(median(starts.map(({ ms }) => ms))),
        short(Math.min(...starts.map(({ ms }) => ms))),
        short(median(starts.map((start) => start.cpuMs))),
        GOAL_MS,
      ]),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Stops it as systemd would, so that it keeps its compiled code for the next start. */
async function startOnce(db: string): Promise<Start> {
  const startedMs = performance.now();
  const astera = await Astera.start({ upstream: UPSTREAM, db });
  const start = { ms: performance.now() - startedMs, cpuMs: cpuMs([astera.pid]) };
  await astera.stop();
  return start;
}
