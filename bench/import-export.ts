// Question: how fast does a download cache of 800 MB go in and out, beside a plain copy of it; what memory
// does that take; and what do a server's clients notice of an import beside it?
// Method: a made-up cache with the corpus's zip sizes; `cp -r` and `sync` of it in the same run, then the
// commands, each with a `sync` behind it; then an import and an export beside a server that is under load.
// Nothing is removed before the end: ext4 searches past every inode that was freed within some minutes before
// it takes one for a new file, which doubled the time of whatever came next.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Astera } from '../test/support/astera.ts';
import { AsteraCommand } from '../test/support/astera-command.ts';
import { corpusFiles, ensureCorpus } from '../test/support/corpus.ts';
import { type MadeUpModule, madeUpFiles } from '../test/support/module-zip.ts';
import { PeakMemory } from './support/process-cost.ts';
import { steadyLoad } from './support/steady-load.ts';
import { megabytes, short, type Table } from './support/table.ts';

const CACHE_BYTES = 800e6;

/** The part of it that is imported beside the load. */
const BESIDE_BYTES = 300e6;

const LOAD_SECONDS = 8;

export async function run(): Promise<Table> {
  const directory = mkdtempSync(join(tmpdir(), 'astera-import-'));
  const at = (name: string) => join(directory, name);
  try {
    const sizes = corpusFiles(await ensureCorpus()).flatMap(({ path, size }) =>
      path.endsWith('.zip') ? [size] : [],
    );
    const bytes = writeCache(at('in'), { name: 'first', bytes: CACHE_BYTES, sizes });
    writeCache(at('beside'), { name: 'second', bytes: BESIDE_BYTES, sizes });
    execFileSync('sync');
    const copy = await timed(bytes, () => execFileSync('cp', ['-r', at('in'), at('copy')]));
    const imported = await command(bytes, ['import', '--db', at('a.db'), at('in')]);
    const exported = await command(bytes, ['export', '--db', at('a.db'), at('out')]);
    const again = await command(bytes, ['export', '--db', at('a.db'), at('out')]);
    return {
      title: `A download cache of ${megabytes(bytes)} MB in and out`,
      columns: ['what', 's', 'MB/s', 'of cp -r', 'peak RssAnon MB'],
      rows: [
        row('cp -r, sync', copy, copy),
        row('import, sync', imported, copy),
        row('export, sync', exported, copy),
        row('export again', again, copy),
        ...(await beside(at('a.db'), at('beside'), at('out-beside'))),
      ],
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

type Cost = { readonly seconds: number; readonly rate: number; readonly peakBytes?: number };

function row(what: string, cost: Cost, copy: Cost): (string | number)[] {
  const { seconds, rate, peakBytes } = cost;
  const memory = peakBytes === undefined ? '' : megabytes(peakBytes);
  return [what, short(seconds), short(rate), short(seconds / copy.seconds), memory];
}

/** What `work` and the `sync` behind it take. */
async function timed(bytes: number, work: () => unknown): Promise<Cost> {
  const startedMs = performance.now();
  await work();
  execFileSync('sync');
  const seconds = (performance.now() - startedMs) / 1000;
  return { seconds, rate: bytes / 1e6 / seconds };
}

async function command(bytes: number, args: readonly string[]): Promise<Cost> {
  let peakBytes = 0;
  const cost = await timed(bytes, async () => {
    const astera = new AsteraCommand(args);
    await once(astera.child, 'spawn');
    const peak = new PeakMemory(astera.child.pid ?? 0);
    const { code, stderr } = await astera.exited;
    peakBytes = peak.stop();
    if (code !== 0) throw new Error(`astera ${args[0]} failed: ${stderr}`);
  });
  return { ...cost, peakBytes };
}

/** An import, then an export, beside clients that load the server all the while. */
async function beside(db: string, root: string, out: string): Promise<(string | number)[][]> {
  const server = await Astera.start({ upstream: 'off', db, flags: ['--offline'] });
  try {
    const paths = Array.from({ length: 200 }, (_, i) => `m${i}.first.example/m/@v/v1.0.0.mod`);
    const load = { url: server.url, paths, connections: 32, seconds: LOAD_SECONDS };
    const rows: (string | number)[][] = [];
    const commands = { import: ['import', '--db', db, root], export: ['export', '--db', db, out] };
    for (const name of ['', 'import', 'export'] as const) {
      await server.metrics(); // The delay is counted from here.
      const loaded = steadyLoad(load, { isLarge: false });
      const bytes = name === 'export' ? CACHE_BYTES + BESIDE_BYTES : BESIDE_BYTES;
      const working = name === '' ? undefined : command(bytes, commands[name]);
      const { requests, seconds, errors, p99Ms } = await loaded;
      const delayMs = ((await server.metrics()).get(LOOP_P99) ?? 0) * 1000;
      const figures = `loop p99 ${short(delayMs)} ms, answers p99 ${short(p99Ms)} ms, ${short(requests / seconds)}/s, ${errors} errors`;
      rows.push([`load ${name === '' ? 'alone' : `beside an ${name}`}: ${figures}`, '', '', '', '']);
      const cost = await working;
      if (cost !== undefined)
        rows.push([
          `${name} beside it`,
          short(cost.seconds),
          short(cost.rate),
          '',
          megabytes(cost.peakBytes ?? 0),
        ]);
    }
    await server.stop();
    return rows;
  } finally {
    await server.kill();
  }
}

const LOOP_P99 = 'astera_event_loop_delay_seconds{quantile="p99"}';

/** @returns the bytes of all its files */
function writeCache(
  root: string,
  { name, bytes, sizes }: { name: string; bytes: number; sizes: readonly number[] },
): number {
  let written = 0;
  for (let i = 0; written < bytes; i++) {
    const contentBytes = sizes[i % sizes.length] ?? 0;
    const module: MadeUpModule = { path: `m${i}.${name}.example/m`, version: 'v1.0.0', contentBytes };
    const directory = join(root, module.path, '@v');
    mkdirSync(directory, { recursive: true });
    for (const [kind, content] of Object.entries(madeUpFiles(module))) {
      writeFileSync(join(directory, `v1.0.0.${kind}`), content);
      written += content.byteLength;
    }
  }
  return written;
}
