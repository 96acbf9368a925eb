// Question: how long does a user wait for `astera stats` on a store of 5 GB, and for any `--help`?
// Method: a store of 100,000 made-up versions of 50 kB, each with .info, .mod and zip: more rows than a real
// one of that size has, whose zips are a megabyte on average. Each command is timed from spawn to exit, a median
// of ten, and once with nothing of the file in the page cache; beside them Node that does nothing.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { commands } from '../src/commands/command-list.ts';
import { ASTERA } from '../test/support/astera.ts';
import type { BenchOptions } from './support/bench-options.ts';
import { fillStore } from './support/made-up-store.ts';
import { dropFromPageCache } from './support/page-cache.ts';
import { median, megabytes, short, type Table } from './support/table.ts';

const VERSIONS = 100_000;
const ZIP_BYTES = 50_000;
const ROUNDS = 10;

const exec = promisify(execFile);

export async function run({ isQuick }: BenchOptions): Promise<Table> {
  const directory = mkdtempSync(join(tmpdir(), 'astera-commands-'));
  const db = join(directory, 'a.db');
  try {
    const to = isQuick ? VERSIONS / 100 : VERSIONS;
    await fillStore({ db, name: 'stored', from: 0, to, contentBytes: ZIP_BYTES });
    const bytes = statSync(db).size;
    await dropFromPageCache(db);
    const cold = await timed(ASTERA, ['stats', '--db', db]);
    const stats = await timedOften(ASTERA, ['stats', '--db', db]);
    const json = await timedOften(ASTERA, ['stats', '--json', '--db', db]);
    const bare = await timedOften(process.execPath, ['-e', '']);
    const helps = new Map<string, number>();
    for (const { name } of commands) helps.set(name, await timedOften(ASTERA, [name, '--help']));
    const [slowest = '', helpMs = 0] = [...helps].toSorted(([, a], [, b]) => b - a)[0] ?? [];
    const where = `${megabytes(bytes)} MB, ${(3 * to).toLocaleString('en')} answers`;
    return {
      title: 'What a user waits for',
      columns: ['command', 'ms', 'goal'],
      rows: [
        [`stats, ${where}`, short(stats), '300'],
        [`stats --json, the same`, short(json), '300'],
        ['stats, nothing of the file in memory', short(cold), ''],
        [`--help, the slowest: ${slowest}`, short(helpMs), '150'],
        ['node -e ""', short(bare), ''],
      ],
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function timedOften(command: string, args: readonly string[]): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await timed(command, args));
  return median(times);
}

/** From spawn to exit, in ms. */
async function timed(command: string, args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  await exec(command, args);
  return performance.now() - startedMs;
}
