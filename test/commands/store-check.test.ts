// Goal: every kind of damage to a store is found, named by the right key, and a whole store has none.
// Method: a small store made by the writer, one damage a row by SQL; faults are compared as a whole.

import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Fault, StoreCheck } from '../../src/commands/store-check.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { StoreAudit } from '../../src/store/audit.ts';
import { openWritable } from '../../src/store/schema.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { chunksOf, contentOf, grow, put, putOutput, query, seal, sha256Of } from '../store/stores.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';

const base = 'example.com/noise/@v/v1.0.0';
const files = madeUpFiles({ path: 'example.com/noise', version: 'v1.0.0', contentBytes: 2 * CHUNK_BYTES });

/** A store with one of each: `.info` and `.mod` inline, a zip of three chunks, a long list, a 404, a partial download. */
function makeStore(path: string): void {
  const writer = new StoreWriter(path);
  put(writer, { key: `${base}.info`, bytes: files.info });
  put(writer, { key: `${base}.mod`, bytes: files.mod });
  put(writer, { key: 'example.com/noise/@v/list', bytes: Buffer.alloc(20_000, 'v1.0.0\n'), blob: 3 });
  put(writer, { key: 'example.com/noise/@latest', bytes: files.info });
  put(writer, { key: 'example.com/none/@v/list', bytes: Buffer.from('not found'), status: 404 });
  put(writer, { key: 'sumdb/sum.example/latest', bytes: Buffer.from('a head') });
  grow(writer, { key: `${base}.zip`, blob: 5, chunks: chunksOf(files.zip) });
  seal(writer, { key: `${base}.zip`, blob: 5, size: files.zip.byteLength });
  const half = chunksOf(Buffer.alloc(3 * CHUNK_BYTES, 7));
  grow(writer, { key: 'example.com/half/@v/v1.0.0.zip', blob: 9, chunks: half });
  const [small, large] = [contentOf(100, 20), contentOf(CHUNK_BYTES + 1, 21)];
  putOutput(writer, { bytes: small, blob: 20 });
  putOutput(writer, { bytes: large, blob: 21, encoding: 'zstd' });
  putOutput(writer, { bytes: contentOf(9, 22), blob: 22 });
  for (const [action, output] of [small, small, large].entries()) {
    const name = { namespace: '', actionId: sha256Of(contentOf(action)) };
    writer.inTransaction(() =>
      writer.putAction({ ...name, outputId: sha256Of(output), time: '1', nowMs: 1 }),
    );
  }
  writer.openOutput({ blob: 23, outputId: sha256Of(small), encoding: 'identity', nowMs: 1 });
  writer.close();
}

async function faultsOf(path: string, during: () => void = () => {}): Promise<Fault[]> {
  const audit = new StoreAudit(path);
  try {
    const signal = new AbortController().signal;
    const check = new StoreCheck({ audit, isShared: false, onProgress: during, signal });
    const faults: Fault[] = [];
    for await (const fault of check.faults()) faults.push(fault);
    return faults;
  } finally {
    audit.close();
  }
}

const chunk = (blob: number, seq: number) => blob * 2 ** 20 + seq;
const otherSha = 'zeroblob(32)';

/** Nothing of the schema stands in the way of a row's damage: the file itself is what rots. */
function damage(path: string, sql: string): void {
  const db = openWritable(path);
  db.pragma('foreign_keys = OFF');
  db.pragma('ignore_check_constraints = ON');
  db.exec(sql);
  db.close();
}

const zip = { key: `${base}.zip`, isWanted: true };

const damages: { sql: string; of: Fault['of']; line: RegExp; why: string }[] = [
  {
    sql: `UPDATE chunk SET bytes = CAST(substr(bytes, 1, 1000) || 'x' || substr(bytes, 1002) AS BLOB) WHERE id = ${chunk(5, 1)}`,
    of: zip,
    line: /^blob 5 has not its SHA-256$/,
    why: 'a byte of a chunk turned',
  },
  {
    sql: `DELETE FROM chunk WHERE id = ${chunk(5, 1)}`,
    of: zip,
    line: /^blob 5 has 262144 bytes in 2 chunks where \d+ are due$/,
    why: 'a chunk is missing from the middle',
  },
  {
    sql: `DELETE FROM chunk WHERE id = ${chunk(5, 2)}`,
    of: zip,
    line: /^blob 5 has 524288 bytes in 2 chunks/,
    why: 'the last chunk is missing',
  },
  {
    sql: `INSERT INTO chunk VALUES (${chunk(5, 3)}, x'00')`,
    of: zip,
    line: /in 4 chunks/,
    why: 'a chunk too many',
  },
  {
    sql: `UPDATE chunk SET bytes = substr(bytes, 1, 5) WHERE id = ${chunk(5, 0)}`,
    of: zip,
    line: /^blob 5 has 5 bytes/,
    why: 'a chunk cut short',
  },
  {
    sql: 'UPDATE blob SET size = size + 1 WHERE id = 5',
    of: zip,
    line: /^blob 5 has \d+ bytes, not/,
    why: "the blob's size is not the entry's",
  },
  {
    sql: `UPDATE blob SET sha256 = ${otherSha} WHERE id = 5`,
    of: zip,
    line: /another SHA-256/,
    why: "the blob's hash is not the entry's",
  },
  {
    sql: `UPDATE blob SET sha256 = NULL, growing_kind = 'entry', growing_key = 'x' WHERE id = 5`,
    of: zip,
    line: /^blob 5 is not whole$/,
    why: 'an answer from a growing blob',
  },
  {
    sql: `UPDATE entry SET body = CAST('x' || substr(body, 2) AS BLOB) WHERE key = '${base}.mod'`,
    of: { key: `${base}.mod`, isWanted: true },
    line: /^has not its SHA-256$/,
    why: 'a byte of an inline body turned',
  },
  {
    sql: `UPDATE entry SET size = 5 WHERE key = 'example.com/none/@v/list'`,
    of: { key: 'example.com/none/@v/list', isWanted: false },
    line: /^has 9 bytes, not 5$/,
    why: 'a 404 is not asked for again',
  },
  {
    sql: `UPDATE entry SET sha256 = ${otherSha} WHERE key = 'sumdb/sum.example/latest'`,
    of: { key: 'sumdb/sum.example/latest', isWanted: false },
    line: /SHA-256/,
    why: 'what is of a checksum database comes with the next lookup',
  },
  {
    sql: `UPDATE entry SET key = 'example.com/noise/@v/v1.0.9.info' WHERE key = '${base}.info'`,
    of: { key: 'example.com/noise/@v/v1.0.9.info', isWanted: true },
    line: /is of version "v1\.0\.0"/,
    why: 'an .info of another version, its hash true',
  },
  {
    sql: `UPDATE entry SET key = 'example.com/noise/@v/v1.0.9.zip' WHERE key = '${base}.zip'`,
    of: { key: 'example.com/noise/@v/v1.0.9.zip', isWanted: true },
    line: /entry outside "example\.com\/noise@v1\.0\.9\/"/,
    why: 'a zip of another version, its hash true',
  },
  {
    sql: `UPDATE entry SET key = 'nonsense' WHERE key = '${base}.mod'`,
    of: { key: 'nonsense', isWanted: true },
    line: /^not the path of a GOPROXY's file$/,
    why: 'a key that is none',
  },
  {
    sql: `UPDATE entry SET kind = 'list' WHERE key = '${base}.mod'`,
    of: { key: `${base}.mod`, isWanted: true },
    line: /^is stored as the kind list$/,
    why: "a kind that is not its key's",
  },
  {
    sql: `UPDATE entry SET h1 = 'h1:x' WHERE key = '${base}.zip'`,
    of: zip,
    line: /^its h1 is h1:\S{44}, recorded is h1:x$/,
    why: 'an h1 that is not of these bytes',
  },
  {
    sql: `UPDATE entry SET h1 = 'h1:x' WHERE key = '${base}.mod'`,
    of: { key: `${base}.mod`, isWanted: true },
    line: /recorded is h1:x$/,
    why: 'the h1 of a go.mod',
  },
  {
    sql: `DELETE FROM entry WHERE key = '${base}.zip'`,
    of: { unused: 5 },
    line: /nothing has this blob/,
    why: 'a blob nothing points to',
  },
  {
    sql: `UPDATE chunk SET bytes = CAST('x' || substr(bytes, 2) AS BLOB) WHERE id = ${chunk(20, 0)}`,
    of: { output: 20, outputId: sha256Of(contentOf(100, 20)) },
    line: /^blob 20 has not its SHA-256$/,
    why: 'a byte of an output turned',
  },
  {
    sql: `UPDATE chunk SET bytes = CAST('x' || substr(bytes, 2) AS BLOB) WHERE id = ${chunk(21, 0)}`,
    of: { output: 21, outputId: sha256Of(contentOf(CHUNK_BYTES + 1, 21)) },
    line: /^blob 21: cannot unpack chunk: /,
    why: 'a byte of a packed output turned',
  },
  {
    sql: 'UPDATE blob SET stored_bytes = 5 WHERE id = 20',
    of: { output: 20, outputId: sha256Of(contentOf(100, 20)) },
    line: /^blob 20 is stored in 100 bytes where it says 5$/,
    why: 'an output that says how large it is stored, wrong',
  },
  {
    sql: 'UPDATE output SET actions = 7 WHERE blob = 20',
    of: { output: 20, outputId: sha256Of(contentOf(100, 20)) },
    line: /^counts 7 actions, has 2$/,
    why: 'an output that counts its actions wrong',
  },
  {
    sql: 'DELETE FROM chunk WHERE id >> 20 = 22; DELETE FROM blob WHERE id = 22',
    of: { output: 22, outputId: null },
    line: /^no blob 22$/,
    why: 'an output without its blob',
  },
  {
    sql: 'DELETE FROM output WHERE blob = 21; DELETE FROM chunk WHERE id >> 20 = 21; DELETE FROM blob WHERE id = 21',
    of: { action: { namespace: '', actionId: sha256Of(contentOf(2)) } },
    line: /^its output is not there$/,
    why: 'an action without its output',
  },
  {
    sql: `INSERT INTO chunk VALUES (${chunk(77, 4)}, x'00')`,
    of: { unused: 77 },
    line: /^chunks of no blob$/,
    why: 'a chunk without a blob',
  },
  {
    sql: `DELETE FROM chunk WHERE id = ${chunk(9, 1)}`,
    of: { key: 'example.com/half/@v/v1.0.0.zip', isWanted: false },
    line: /^partial download with a gap: 2 chunks up to number 2$/,
    why: 'a partial download that would be gone on with behind its gap',
  },
];

test('a whole store has no fault', async (t) => {
  const path = join(tempDir(t), 'a.db');
  makeStore(path);
  assert.deepEqual(await faultsOf(path), []);
});

for (const { sql, of, line, why } of damages) {
  test(`it is found, and nothing else: ${why}`, async (t) => {
    const path = join(tempDir(t), 'a.db');
    makeStore(path);
    damage(path, sql);
    const faults = await faultsOf(path);
    assert.deepEqual(
      faults.map((fault) => fault.of),
      [of],
    );
    assert.match(faults[0]?.why ?? '', line);
  });
}

test('a blob that two keys share is bad under both', async (t) => {
  const path = join(tempDir(t), 'a.db');
  makeStore(path);
  const writer = new StoreWriter(path);
  put(writer, { key: 'example.com/twin/@v/list', bytes: Buffer.alloc(20_000, 'v1.0.0\n'), blob: 20 });
  writer.close();
  damage(path, `UPDATE chunk SET bytes = zeroblob(20000) WHERE id = ${chunk(3, 0)}`);
  const faults = await faultsOf(path);
  assert.deepEqual(faults.map(({ of }) => (of !== 'file' && 'key' in of ? of.key : of)).sort(), [
    'example.com/noise/@v/list',
    'example.com/twin/@v/list',
  ]);
});

test('what a writer replaces, drops and adds meanwhile is no fault', async (t) => {
  const path = join(tempDir(t), 'a.db');
  makeStore(path);
  const writer = new StoreWriter(path);
  let round = 100;
  const faults = await faultsOf(path, () => {
    round += 2;
    if (round > 200) return;
    const bytes = Buffer.alloc(30_000 + round, `v1.0.${round}\n`);
    put(writer, { key: 'example.com/noise/@v/list', bytes, blob: round });
    writer.inTransaction(() => writer.forget({ keys: [`${base}.zip`, `${base}.mod`] }));
    grow(writer, { key: `${base}.zip`, blob: round + 1, chunks: chunksOf(files.zip) });
    seal(writer, { key: `${base}.zip`, blob: round + 1, size: files.zip.byteLength });
    put(writer, { key: `${base}.mod`, bytes: files.mod });
  });
  assert.ok(round > 110, 'the writer had its turns');
  assert.deepEqual(faults, []);
  writer.close();
});

for (const table of ['entry_tally', 'entry', 'chunk', 'blob', 'output', 'action', 'action_used']) {
  test(`a page that rots is told: of ${table}`, async (t) => {
    const path = join(tempDir(t), 'a.db');
    makeStore(path);
    const [root] = query(path, `SELECT rootpage FROM sqlite_schema WHERE name = '${table}'`);
    const [pageBytes] = query(path, 'PRAGMA page_size');
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, (Number(root) - 1) * Number(pageBytes));
    closeSync(file);
    const faults = await faultsOf(path);
    assert.ok(
      faults.some(({ of }) => of === 'file'),
      JSON.stringify(faults),
    );
  });
}
