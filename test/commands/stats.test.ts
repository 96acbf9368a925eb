// Goal: `astera stats` counts the store's contents, for people and for programs, beside a running server, and changes nothing.
// Method: a store made by the writer with known rows; the real program's table and JSON are held against them.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { describe } from '../../src/commands/stats.ts';
import { formatTable } from '../../src/commands/table.ts';
import type { EntryKind } from '../../src/core/entry-kind.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { readStats } from '../../src/store/stats.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { chunksOf, contentOf, grow, put, putOutput, seal, sha256Of } from '../store/stores.ts';
import { runAstera } from '../support/astera.ts';
import { tempDir } from '../support/temp-dir.ts';

const directory = tempDir({ after });
const db = join(directory, 'a.db');

const kinds: { key: string; kind: EntryKind; why: string }[] = [
  { key: 'example.com/a/@v/v1.0.0.zip', kind: 'zip', why: 'a version' },
  { key: 'example.com/a/@v/v1.0.0-rc.1+incompatible.mod', kind: 'mod', why: 'a long version' },
  {
    key: 'example.com/a/@v/v1.0.0-0.20240102030405-abcdefabcdef.info',
    kind: 'info',
    why: 'a pseudo-version',
  },
  { key: 'example.com/a/@v/master.info', kind: 'query', why: 'a branch' },
  { key: 'example.com/a/@v/v1.2.info', kind: 'query', why: 'a prefix' },
  { key: 'example.com/a/@v/v1.2.x.info', kind: 'query', why: 'a branch that looks like a version' },
  { key: 'example.com/a/@v/list', kind: 'list', why: 'a list' },
  { key: 'example.com/a.zip/@v/list', kind: 'list', why: 'a module named like a file' },
  { key: 'example.com/a/@latest', kind: 'latest', why: 'the latest' },
  { key: 'sumdb/sum.example/lookup/example.com/a@v1.0.0', kind: 'sumdb', why: 'a record' },
  {
    key: 'sumdb/sum.example/lookup/example.com/a.zip@v1.0.0.zip',
    kind: 'sumdb',
    why: 'a record that ends like a zip',
  },
];

test('a key counts as what its form says', (t) => {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path);
  for (const { key } of kinds) put(writer, { key, bytes: contentOf(8) });
  writer.close();
  const counted = new Map(readStats(path).tallies.map(({ kind, entries }) => [kind, entries]));
  for (const { kind } of kinds) {
    assert.equal(counted.get(kind), kinds.filter((row) => row.kind === kind).length, kind);
  }
});

const writer = new StoreWriter(db);
after(() => writer.close());
put(writer, { key: 'example.com/a/@v/v1.0.0.info', bytes: contentOf(100), nowMs: 1_000 });
put(writer, { key: 'example.com/a/@v/v1.1.0.info', bytes: contentOf(50), nowMs: 9_000 });
put(writer, { key: 'example.com/none/@v/list', bytes: contentOf(9), status: 404 });
put(writer, { key: 'example.com/a/@v/list', bytes: contentOf(10_000), blob: 1 });
put(writer, { key: 'example.com/b/@v/list', bytes: contentOf(10_000), blob: 2 });
grow(writer, { key: 'example.com/a/@v/v1.0.0.zip', blob: 3, chunks: chunksOf(contentOf(2 * CHUNK_BYTES)) });
seal(writer, { key: 'example.com/a/@v/v1.0.0.zip', blob: 3, size: 2 * CHUNK_BYTES });
grow(writer, {
  key: 'example.com/half/@v/v1.0.0.zip',
  blob: 4,
  chunks: chunksOf(contentOf(CHUNK_BYTES)),
  nowMs: 5_000,
});
grow(writer, { key: 'example.com/bare/@v/v1.0.0.zip', blob: 5, nowMs: 6_000 });
putOutput(writer, { bytes: contentOf(5_000), blob: 6 });
for (const [namespace, output] of [
  ['', contentOf(5_000)],
  ['ci', contentOf(5_000)],
  ['ci', contentOf(7)],
] as const) {
  const name = { namespace, actionId: sha256Of(contentOf(1)) };
  writer.inTransaction(() =>
    writer.putAction({ ...name, outputId: sha256Of(output), time: '1', nowMs: 8_000 }),
  );
}

// A copy of a repository, and what is none.
for (const name of ['0123456789abcdef'.repeat(2), 'kept'])
  mkdirSync(join(`${db}.git`, name, 'files'), { recursive: true });
writeFileSync(join(`${db}.git`, '0123456789abcdef'.repeat(2), 'files/pack'), contentOf(3_000));
writeFileSync(join(`${db}.git`, 'kept', 'answer'), contentOf(10));

/** Without copies of repositories. */
const NO_GIT = { git: { copies: 0, bytes: 0 } };

test('--json counts entries, each content once, and partial downloads', async () => {
  const before = readFileSync(db);
  const { code, stdout, stderr } = await runAstera(['stats', '--json', '--db', db]);
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.ok(before.equals(readFileSync(db)), 'the file is as it was');
  const { storeBytes, walBytes, git, ...rest } = JSON.parse(stdout) as Record<string, unknown>;
  const { copies, bytes } = git as { copies: number; bytes: number };
  assert.equal(copies, 1);
  assert.ok(bytes >= 3_000 && bytes < 30_000, `${bytes} bytes, with those of its directories`);
  assert.ok(Number(walBytes) > 2 * CHUNK_BYTES, 'all is in the WAL of the writer that has the store');
  assert.equal(storeBytes, before.byteLength);
  const source = 'upstream';
  const tally = (
    kind: string,
    status: number,
    entries: number,
    bytes: number,
    oldestAtMs = 1_000,
    newestAtMs = oldestAtMs,
  ) => ({
    ...{ kind, status, source, entries, bytes, oldestAtMs, newestAtMs },
  });
  assert.deepEqual(rest, {
    db,
    freeBytes: 0,
    bytesMax: null,
    pinned: { zips: 0, bytes: 0 },
    tallies: [
      tally('info', 200, 2, 150, 1_000, 9_000),
      tally('list', 200, 2, 20_000),
      tally('list', 404, 1, 9),
      tally('zip', 200, 1, 2 * CHUNK_BYTES),
    ],
    blobs: { count: 3, bytes: 15_000 + 2 * CHUNK_BYTES },
    partials: [
      { key: 'example.com/bare/@v/v1.0.0.zip', size: null, changedAtMs: 6_000, bytes: 0 },
      { key: 'example.com/half/@v/v1.0.0.zip', size: null, changedAtMs: 5_000, bytes: CHUNK_BYTES },
    ],
    partialCount: 2,
    buildCache: {
      ...{ actions: 2, outputs: 1, bytes: 5_000, storedBytes: 5_000, conflictCount: 1 },
      conflicts: [
        {
          ...{ namespace: 'ci', actionId: sha256Of(contentOf(1)), outputId: sha256Of(contentOf(5_000)) },
          ...{ refusedOutputId: sha256Of(contentOf(7)), times: 1, atMs: 8_000 },
        },
      ],
    },
    uploads: { waiting: 0, oldestAtMs: null, lost: 0, skipped: 0, lostFiles: [] },
    unchecked: 1,
    unconfirmed: 0,
    unknown: 0,
  });
});

test('the table says the same', () => {
  const day = 86_400_000;
  const git = { copies: 2, bytes: 5_120 };
  const text = describe({ ...readStats(db), git }, '/x/a.db', 9_000 + 2 * day);
  assert.match(text, /^store {2}\/x\/a\.db$/m);
  assert.match(text, /^git {4}2 copies of repositories, 5KiB$/m);
  assert.match(text, /^kind +source +answers +size +oldest +newest$/m);
  assert.match(text, /^zip +upstream +1 +512KiB +2d +2d$/m);
  assert.match(text, /^list 404 +upstream +1 +9B +2d +2d$/m);
  assert.match(text, /^not held against the checksum database yet: 1$/m);
  assert.match(text, /^total +6 +531\.7KiB$/m);
  assert.match(text, /^build cache {2}2 actions, 1 outputs of 4\.9KiB, stored in 4\.9KiB$/m);
  assert.match(text, /^another output was put, and refused, for 1 actions:$/m);
  assert.match(text, /^ci +[0-9a-f]{64} {2}[0-9a-f]{64} {2}[0-9a-f]{64} +1 +2d$/m);
  assert.match(text, /^example\.com\/half\/@v\/v1\.0\.0\.zip +256KiB +\? +2d$/m);
});

test('names in a store cannot steer the terminal, in the table nor in JSON', async (t) => {
  const path = join(tempDir(t), 'a.db');
  const evil = 'e\u001b[2J\u009b\u202e\nx';
  const hostile = new StoreWriter(path);
  grow(hostile, { key: evil, blob: 1, nowMs: 1 });
  putOutput(hostile, { bytes: contentOf(5), blob: 2 });
  for (const output of [contentOf(5), contentOf(6)]) {
    const name = { namespace: evil, actionId: sha256Of(contentOf(1)) };
    hostile.inTransaction(() =>
      hostile.putAction({ ...name, outputId: sha256Of(output), time: '1', nowMs: 1 }),
    );
  }
  hostile.close();
  for (const form of [[], ['--json']]) {
    const { code, stdout } = await runAstera(['stats', '--db', path, ...form]);
    assert.equal(code, 0);
    assert.doesNotMatch(stdout.replaceAll('\n', ''), /[\p{C}\p{Zl}\p{Zp}]/u);
    assert.ok(!stdout.includes('\nx'), 'a name made a line');
  }
});

test('what waits for the bucket is counted, and what it refused is listed with the reason', (t) => {
  const path = join(tempDir(t), 'a.db');
  const store = new StoreWriter(path);
  store.inTransaction(() => store.keepUploads({ isOn: true }));
  for (const name of ['a', 'b'])
    put(store, { key: `example.com/${name}/@v/v1.0.0.mod`, bytes: contentOf(9), nowMs: 1_000 });
  store.inTransaction(() => {
    const failed = [{ id: 1, why: 'status 403 AccessDenied', afterMs: 0, isLost: true }];
    return store.endUploads({ done: [], failed, queued: [], nowMs: 1_000 });
  });
  store.close();
  const text = describe({ ...readStats(path), ...NO_GIT }, path, 61_000);
  assert.match(text, /^bucket {2}1 files wait for it, the oldest for 1m$/m);
  assert.match(text, /^entry example\.com\/a\/@v\/v1\.0\.0\.mod +status 403 AccessDenied$/m);
});

test('an empty store has nothing in its table', (t) => {
  const path = join(tempDir(t), 'a.db');
  new StoreWriter(path).close();
  const text = describe({ ...readStats(path), ...NO_GIT }, path, 0);
  assert.match(text, /^nothing is stored yet$/m);
  assert.doesNotMatch(text, /^git/m);
});

test('columns are as wide as their widest cell, and to the right where the heading says so', () => {
  assert.equal(
    formatTable([
      ['a', '>b'],
      ['long', '1'],
      ['x', '100'],
    ]),
    'a       b\nlong    1\nx     100',
  );
});
