// Goal: a store has the settings it is meant to have, and what is not a store is refused and left as it is.
// Method: real files in a temporary directory; each refused file is compared with itself before.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import type { EntryKind } from '../../src/core/entry-kind.ts';
import { StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { openReadable, openWritable, readSetting } from '../../src/store/schema.ts';
import { FROM_UNSETTLED, UNSETTLED_COUNTS } from '../../src/store/unsettled.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { assertWhole, contentOf, earlierSchemas, put, query, sha256Of, takeBack } from './stores.ts';

test('a new store has the pragmas that must be set before the first table, and those of each connection', (t) => {
  const path = join(tempDir(t), 'a.db');
  const writer = openWritable(path);
  const reader = openReadable(path);
  t.after(() => writer.close());
  t.after(() => reader.close());
  const pragmas: { name: string; value: unknown; of?: 'reader' }[] = [
    { name: 'page_size', value: 16_384 },
    { name: 'auto_vacuum', value: 2 },
    { name: 'journal_mode', value: 'wal' },
    { name: 'application_id', value: 0x41737472 },
    { name: 'synchronous', value: 1 },
    { name: 'foreign_keys', value: 1 },
    { name: 'wal_autocheckpoint', value: 0 },
    { name: 'query_only', value: 1, of: 'reader' },
    { name: 'page_size', value: 16_384, of: 'reader' },
  ];
  for (const { name, value, of } of pragmas) {
    assert.equal(
      (of === 'reader' ? reader : writer).pragma(name, { simple: true }),
      value,
      `${name} ${of ?? ''}`,
    );
  }
  assert.ok(Number(reader.pragma('mmap_size', { simple: true })) >= 2 ** 30, 'readers map the file');
  assert.equal(readSetting(writer, 'chunk_bytes'), String(CHUNK_BYTES));
});

test('every table is STRICT', (t) => {
  const db = openWritable(join(tempDir(t), 'a.db'));
  t.after(() => db.close());
  const loose = db
    .prepare("SELECT name FROM pragma_table_list WHERE type = 'table' AND NOT strict")
    .pluck()
    .all();
  assert.deepEqual(
    loose.filter((name) => !String(name).startsWith('sqlite_')),
    [],
  );
});

test('a store keeps its name when it is opened again, and two stores have two', (t) => {
  const dir = tempDir(t);
  const names = ['a.db', 'a.db', 'b.db'].map((file) => {
    const db = openWritable(join(dir, file));
    const name = readSetting(db, 'instance');
    db.close();
    return name;
  });
  assert.equal(names[0], names[1]);
  assert.notEqual(names[0], names[2]);
  assert.match(String(names[0]), /^[0-9a-f]{16}$/);
});

/** A store with a row in it, closed and without a WAL. */
function makeStore(path: string): void {
  const writer = new StoreWriter(path);
  put(writer, { key: 'example.com/a/@v/list', bytes: contentOf(3 * CHUNK_BYTES), blob: 1 });
  writer.checkpoint({ truncate: true });
  writer.close();
}

function alter(path: string, sql: string): void {
  const db = new Database(path);
  db.exec(sql);
  db.close();
}

const refused: { why: string; make: (path: string) => void; says: RegExp }[] = [
  {
    why: 'a database of another program',
    make: (path) => alter(path, 'CREATE TABLE bookmark (url TEXT)'),
    says: /belongs to another program; name another file with --db/,
  },
  {
    why: 'a database of another program without a table yet',
    make: (path) => alter(path, 'PRAGMA application_id = 252006673'),
    says: /belongs to another program/,
  },
  {
    why: 'a newer schema',
    make: (path) => {
      makeStore(path);
      alter(path, 'PRAGMA user_version = 99');
    },
    says: /schema 99 is newer than this Astera's \d+; use the newer Astera/,
  },
  {
    why: 'a newer schema that does without a WAL',
    make: (path) => {
      makeStore(path);
      alter(path, 'PRAGMA journal_mode = DELETE; PRAGMA user_version = 98');
    },
    says: /schema 98 is newer/,
  },
  {
    why: 'chunks of another size',
    make: (path) => {
      makeStore(path);
      alter(path, "UPDATE setting SET value = '1048576' WHERE name = 'chunk_bytes'");
    },
    says: /its chunks have 1048576 bytes, this Astera's 262144/,
  },
  {
    why: 'a store cut off in the middle',
    make: (path) => {
      makeStore(path);
      truncateSync(path, 200_000);
    },
    says: /malformed/,
  },
  {
    why: 'a store cut off in its first page',
    make: (path) => {
      makeStore(path);
      truncateSync(path, 4_096);
    },
    says: /malformed|not a database/,
  },
  {
    why: 'a text file',
    make: (path) => writeFileSync(path, 'upstream = https://proxy.example\n'.repeat(200)),
    says: /file is not a database/,
  },
  {
    why: 'a short text file',
    make: (path) => writeFileSync(path, 'to do: buy milk\n'),
    says: /file is not a database/,
  },
];

for (const { why, make, says } of refused) {
  test(`refused in one line and left as it is: ${why}`, (t) => {
    const dir = tempDir(t);
    const path = join(dir, 'a.db');
    make(path);
    const before = readFileSync(path);
    assert.throws(
      () => new StoreWriter(path),
      (error: unknown) => {
        assert.ok(error instanceof StoreFailed);
        assert.match(error.message, says);
        assert.match(error.message, /^cannot open store "[^"\n]+a\.db": [^\n]+$/);
        return true;
      },
    );
    assert.ok(before.equals(readFileSync(path)), 'the file was changed');
    assert.deepEqual(
      readdirSync(dir).filter((name) => !name.startsWith('a.db')),
      [],
    );
  });
}

test('a directory is refused', (t) => {
  const path = join(tempDir(t), 'a.db');
  mkdirSync(path);
  assert.throws(
    () => openWritable(path),
    /^StoreFailed: cannot open store "[^"\n]+": unable to open database file; let this user read and write it and its directory$/,
  );
  assert.deepEqual(readdirSync(path), []);
});

test('a directory that is not there is refused', (t) => {
  assert.throws(() => openWritable(join(tempDir(t), 'none', 'a.db')), StoreFailed);
});

test('a store that may not be written is refused', (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'a.db');
  makeStore(path);
  const before = readFileSync(path);
  chmodSync(path, 0o444);
  chmodSync(dir, 0o555);
  const asNobody = process.geteuid?.() === 0; // Root may write anything.
  if (asNobody) process.seteuid?.(65_534);
  try {
    assert.throws(
      () => openWritable(path),
      /cannot open store "[^"\n]+": attempt to write a readonly database/,
    );
  } finally {
    if (asNobody) process.seteuid?.(0);
    chmodSync(dir, 0o755);
  }
  assert.ok(before.equals(readFileSync(path)));
});

test('a reader refuses what a writer would, and makes no file', (t) => {
  const dir = tempDir(t);
  assert.throws(() => openReadable(join(dir, 'none.db')), StoreFailed);
  alter(join(dir, 'other.db'), 'CREATE TABLE bookmark (url TEXT)');
  assert.throws(() => openReadable(join(dir, 'other.db')), /another program/);
  makeStore(join(dir, 'new.db'));
  alter(join(dir, 'new.db'), 'PRAGMA user_version = 99');
  assert.throws(() => openReadable(join(dir, 'new.db')), /schema 99 is newer/);
  assert.ok(!readdirSync(dir).includes('none.db'));
});

test('a reader can not write', (t) => {
  const path = join(tempDir(t), 'a.db');
  makeStore(path);
  const reader = openReadable(path);
  t.after(() => reader.close());
  assert.throws(() => reader.exec('DELETE FROM entry'), /readonly|query_only|readonly database/i);
});

const keysOfEachKind: { key: string; kind: EntryKind }[] = [
  { key: 'example.com/a/@v/v1.0.0.zip', kind: 'zip' },
  { key: 'example.com/a/@v/v1.0.0.mod', kind: 'mod' },
  { key: 'example.com/a/@v/v1.0.0.info', kind: 'info' },
  { key: 'example.com/a/@v/v1.0.0-rc.1+incompatible.info', kind: 'info' },
  { key: 'example.com/a/@v/v1.0.info', kind: 'query' },
  { key: 'example.com/a/@v/feature/x.1.2.3.info', kind: 'query' },
  { key: 'example.com/a/@v/list', kind: 'list' },
  { key: 'example.com/a.zip/@v/list', kind: 'list' },
  { key: 'example.com/a/@latest', kind: 'latest' },
  { key: 'sumdb/sum.example/lookup/example.com/a@v1.0.0', kind: 'sumdb' },
  { key: 'sumdb/sum.example/tile/8/0/000.zip', kind: 'sumdb' },
  { key: 'sumdb/', kind: 'other' },
  { key: 'nonsense', kind: 'other' },
  { key: 'example.com/a/@v/v1.0.0.tar', kind: 'other' },
  { key: 'example.com/a.mod', kind: 'other' },
  { key: '', kind: 'other' },
];

for (const version of earlierSchemas) {
  test(`a store of schema ${version} is brought up to date by who may write, and refused by who may not`, (t) => {
    const path = join(tempDir(t), 'a.db');
    const writer = new StoreWriter(path);
    const key = 'example.com/a/@v/v1.0.0.mod';
    for (const { key: one } of keysOfEachKind) put(writer, { key: one, bytes: contentOf(5) });
    writer.close();
    alter(path, `UPDATE entry SET trust = 'unconfirmed', h1 = 'h1:x' WHERE key = '${key}'`);
    takeBack(path, version);
    assert.throws(() => openReadable(path), {
      message: new RegExp(
        `schema ${version} is older than this Astera's \\d+; 'astera serve' brings it up to date`,
      ),
    });
    openWritable(path).close();
    const reader = new StoreReader(path);
    t.after(() => reader.close());
    const { rows } = reader.getUnsettled({ after: '', limit: 10, nowMs: 1 });
    const sha256 = sha256Of(contentOf(5));
    assert.deepEqual(rows, [
      { key, sha256, trust: 'unconfirmed', h1: 'h1:x', unknownTimes: 0 },
      { key: 'example.com/a/@v/v1.0.0.zip', sha256, trust: 'unchecked', h1: undefined, unknownTimes: 0 },
    ]);
    for (const { key: one, kind } of keysOfEachKind) {
      assert.deepEqual(query(path, `SELECT kind FROM entry WHERE key = '${one}'`), [kind], one);
    }
    assertWhole(path);
  });
}

test('a kind is written as the migration would have it', (t) => {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path);
  for (const { key } of keysOfEachKind) put(writer, { key, bytes: contentOf(5) });
  writer.close();
  for (const { key, kind } of keysOfEachKind) {
    assert.deepEqual(query(path, `SELECT kind FROM entry WHERE key = '${key}'`), [kind], key);
  }
});

test('there is a way back to every schema but the newest', (t) => {
  const path = join(tempDir(t), 'a.db');
  makeStore(path);
  const db = openReadable(path);
  t.after(() => db.close());
  assert.deepEqual(db.pragma('user_version', { simple: true }), earlierSchemas.length + 1);
});

test('what is not confirmed is found, in order, and counted in its own index', (t) => {
  const path = join(tempDir(t), 'a.db');
  makeStore(path);
  const db = openReadable(path);
  t.after(() => db.close());
  const planOf = (sql: string) =>
    db
      .prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map(({ detail }) => detail);
  const listing = `SELECT key, sha256 ${FROM_UNSETTLED} AND key > 'a' AND ask_after_ms <= 5 ORDER BY key LIMIT 5`;
  assert.deepEqual(planOf(listing), ['SEARCH entry USING INDEX entry_unsettled (key>?)']);
  assert.deepEqual(planOf(UNSETTLED_COUNTS), ['SCAN entry USING COVERING INDEX entry_unsettled']);
});
