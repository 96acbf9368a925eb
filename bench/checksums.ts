// Question: what does --verify=store cost beside off: bytes on the line, time of a cold herd; and what
// do hot lookups and tiles cost beside hot go.mod files?
// Method: the corpus behind a slow upstream, x/mod's checksum database with a record for each of its
// versions behind another; off and store in turns, medians.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { tileBytes, tilePath } from '../src/sumdb/tile.ts';
import { recordTiles } from '../src/sumdb/tile-plan.ts';
import { Astera } from '../test/support/astera.ts';
import { corpusFiles, ensureCorpus } from '../test/support/corpus.ts';
import { corpusRecords } from '../test/support/corpus-records.ts';
import { GoClient } from '../test/support/go.ts';
import { LyingUpstream } from '../test/support/lying-upstream.ts';
import { type SumdbServer, startSumdbServer } from '../test/support/sumdb-server.ts';
import { UpstreamProcess } from '../test/support/upstream-process.ts';
import { runHerd } from './support/herd.ts';
import { cpuMs } from './support/process-cost.ts';
import { steadyLoad } from './support/steady-load.ts';
import { median, megabytes, short, type Table } from './support/table.ts';

const ROUNDS = 3;

/** A second for each of four loads. */
const HOT_ROUNDS = 10;
const LATENCY_MS = 50;

/** Made-up records between two of the corpus: each of these has a tile of its own, as in the real tree. */
const RECORDS_BETWEEN = 256;

/** About as many records as the real tree. */
const REAL_RECORDS = 50_000_000;

const MODES = ['off', 'store'] as const;
type Mode = (typeof MODES)[number];
type Row = (string | number)[];

/** Everything behind Astera. */
type Outside = {
  readonly root: string;
  readonly db: SumdbServer;
  /** Counts the requests to the database. */
  readonly line: LyingUpstream;
};

export async function run(): Promise<Table> {
  const root = await ensureCorpus();
  const db = await startSumdbServer({ records: 0 });
  for (const text of corpusRecords(root)) {
    await db.ask({ Cmd: 'add', Texts: [text] });
    await db.ask({ Cmd: 'grow', N: RECORDS_BETWEEN - 1 });
  }
  const line = await LyingUpstream.start([], { database: db });
  try {
    const outside = { root, db, line };
    return {
      title: 'Checksums: --verify=store beside off',
      note: `${corpusRecords(root).length * RECORDS_BETWEEN} records; herd with ${LATENCY_MS} ms to both upstreams; hot: 64 connections.`,
      columns: ['', 'off', 'store', 'ratio', 'bound'],
      rows: [...(await tidyRows(outside)), await herdRow(outside), ...(await hotRows(outside))],
    };
  } finally {
    await line.close();
    await db.close();
  }
}

/** Bytes that a cold `go mod tidy` of the small project asks of the outside. */
async function tidyRows(outside: Outside): Promise<Row[]> {
  const rows: Row[] = [];
  for (const what of ['whole', 'imports'] as const) {
    const off = await tidy(outside, 'off', what);
    const store = await tidy(outside, 'store', what);
    const name = what === 'whole' ? 'tidy with go.sum' : 'tidy from imports, go checks too';
    const inReal = (cost: Cost) => cost.bytes - cost.sumdbBytes + realBytes(cost);
    const asked = `${name}: MB asked (${store.lookups} lookups)`;
    rows.push([asked, ...compared(off.bytes, store.bytes, megabytes), 1.1]);
    const estimated = `${name}: the same in a tree of ${REAL_RECORDS / 1e6} M (computed)`;
    rows.push([estimated, ...compared(inReal(off), inReal(store), megabytes), 1.1]);
  }
  return rows;
}

type Cost = { readonly bytes: number; readonly sumdbBytes: number; readonly lookups: number };

async function tidy({ root, db, line }: Outside, mode: Mode, what: 'whole' | 'imports'): Promise<Cost> {
  const upstream = await UpstreamProcess.start({ root });
  const flags = ['--verify', mode, '--sumdb', sumdbOf(db, line)];
  const astera = await Astera.start({ upstream: upstream.url, flags });
  const client = await GoClient.create(astera.url, { sumdb: db.verifierKey });
  line.asked = [];
  line.bodyBytes = 0;
  try {
    await client.take('small', what);
    const { code, stderr } = await client.run('mod', 'tidy');
    if (code !== 0) throw new Error(stderr);
    await astera.stop(); // Background work counts too.
    const { bodyBytes } = await upstream.counters();
    const lookups = line.count(/\/lookup\//);
    return { bytes: bodyBytes + line.bodyBytes, sumdbBytes: line.bodyBytes, lookups };
  } finally {
    await client.dispose();
    await astera.dispose();
    await upstream.stop();
  }
}

/** The bytes of as many lookups in a tree of the real size: their answers, and each tile once. */
function realBytes({ lookups }: Cost): number {
  const tiles = new Map<string, number>();
  for (let nth = 1; nth <= lookups; nth++) {
    // Spread like the real ones: anywhere, the same in each run.
    const id = Math.floor(((nth * GOLDEN) % 1) * REAL_RECORDS);
    for (const tile of recordTiles(REAL_RECORDS, id)) tiles.set(tilePath(tile), tileBytes(tile));
  }
  return lookups * LOOKUP_BYTES + [...tiles.values()].reduce((sum, bytes) => sum + bytes, 0);
}

const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** A real answer: two lines of some 90 bytes, a head of some 170. */
const LOOKUP_BYTES = 360;

/** Forty machines that ask for the same small versions at the same moment. */
async function herdRow({ root, db, line }: Outside): Promise<Row> {
  const keys = corpusFiles(root)
    .filter(({ path }) => path.endsWith('.zip'))
    .sort((a, b) => a.size - b.size)
    .slice(0, 100)
    .flatMap(({ path }) => ['info', 'mod', 'zip'].map((kind) => path.replace(/zip$/, kind)));
  const walls: Record<Mode, number[]> = { off: [], store: [] };
  line.alter = async (_, bytes) => {
    await delay(LATENCY_MS);
    return bytes;
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const mode of MODES) {
      const upstream = await UpstreamProcess.start({ root, latencyMs: LATENCY_MS });
      const flags = ['--verify', mode, '--sumdb', sumdbOf(db, line)];
      const astera = await Astera.start({ upstream: upstream.url, flags });
      const lists = Array.from({ length: 40 }, () => keys);
      const { wallMs, errors } = await runHerd({ url: astera.url, lists, parallel: 8 });
      if (errors > 0) throw new Error(`${mode}: ${errors} errors: ${astera.log}`);
      walls[mode].push(wallMs);
      await astera.dispose();
      await upstream.stop();
    }
  }
  line.alter = (_, bytes) => bytes;
  const seconds = (ms: number) => short(ms / 1000);
  return ['cold herd: seconds', ...compared(median(walls.off), median(walls.store), seconds), 1.2];
}

/** Lookups and tiles out of memory, beside go.mod files: those of the corpus, and some as large as a tile. */
async function hotRows({ root, db, line }: Outside): Promise<Row[]> {
  const upstream = await LyingUpstream.start([]);
  const mods = corpusFiles(root).flatMap(({ path }) => (path.endsWith('.mod') ? [path] : []));
  const largeMod = Buffer.from(`module x // ${'x'.repeat(TILE_BYTES)}`).subarray(0, TILE_BYTES);
  upstream.alter = (path) => {
    if (path.startsWith('made-up.example/')) return largeMod;
    return path.endsWith('.mod') ? readFileSync(join(root, path)) : undefined;
  };
  const flags = ['--verify', 'off', '--sumdb', sumdbOf(db, line)];
  const astera = await Astera.start({ upstream: upstream.url, flags });
  try {
    const numbers = Array.from({ length: 300 }, (_, at) => String(at).padStart(3, '0'));
    const cases = {
      mod: mods.slice(0, 300),
      largeMod: numbers.map((digits) => `made-up.example/m${digits}/@v/v1.0.0.mod`),
      lookup: mods
        .slice(0, 300)
        .map((path) => `sumdb/${db.name}/lookup/${path.slice(0, -4).replace('/@v/', '@')}`),
      tile: numbers.map((digits) => `sumdb/${db.name}/tile/8/0/${digits}`),
    };
    const names = ['mod', 'largeMod', 'lookup', 'tile'] as const;
    const cpuUs: Record<keyof typeof cases, number[]> = { mod: [], largeMod: [], lookup: [], tile: [] };
    await runHerd({ url: astera.url, lists: [Object.values(cases).flat()], parallel: 8 });
    for (let round = 0; round < HOT_ROUNDS; round++) {
      for (const name of names) {
        const beforeMs = cpuMs([astera.pid]);
        const load = { url: astera.url, paths: cases[name], connections: 64, seconds: 1 };
        // By the sink: autocannon chokes on a tile's bytes, and a server that waits costs more a request.
        const { requests, errors } = await steadyLoad(load, { isLarge: true });
        if (errors > 0) throw new Error(`${name}: ${errors} errors`);
        cpuUs[name].push(((cpuMs([astera.pid]) - beforeMs) * 1000) / requests);
      }
    }
    // Those of one round stand beside each other: the machine's pace changes within seconds.
    const pair = (one: keyof typeof cases, other: keyof typeof cases) => {
      const ratios = cpuUs[other].map((us, round) => us / (cpuUs[one][round] ?? us));
      return [short(median(cpuUs[one])), short(median(cpuUs[other])), short(median(ratios))];
    };
    return [
      ['hot CPU µs: a .mod / a lookup', ...pair('mod', 'lookup'), 1],
      ['hot CPU µs: a .mod of 8 KiB / a full tile', ...pair('largeMod', 'tile'), 1],
      ['hot CPU µs: a .mod (0.3 kB) / a full tile (8 KiB)', ...pair('mod', 'tile'), ''],
    ];
  } finally {
    await astera.dispose();
    await upstream.close();
  }
}

const TILE_BYTES = 8192;

/** The database, by the counting line before it. */
function sumdbOf(db: SumdbServer, line: LyingUpstream): string {
  return `${db.verifierKey} ${line.url}/sumdb/${db.name}`;
}

function compared(off: number, store: number, format: (value: number) => string): string[] {
  return [format(off), format(store), short(store / off)];
}
