// Goal: one process has a store, and only for as long as it lives.
// Method: a second holder in this process, and a real child process that is killed with SIGKILL.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, linkSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreFailed } from '../../src/core/errors.ts';
import { ChunkSource } from '../../src/store/chunk-source.ts';
import { lockStore } from '../../src/store/lock.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { contentOf, put } from './stores.ts';

const taken = /^StoreFailed: cannot open store "[^"\n]+a\.db": another astera is using it; [^\n]+--db$/;

test('a second holder is refused in one line, and welcome after the release', (t) => {
  const path = join(tempDir(t), 'a.db');
  const first = lockStore(path);
  assert.throws(() => lockStore(path), taken);
  assert.throws(() => lockStore(path), taken, 'a refusal does not end the lock');
  first.release();
  lockStore(path).release();
});

test('two stores have two locks', (t) => {
  const dir = tempDir(t);
  const [a, b] = [lockStore(join(dir, 'a.db')), lockStore(join(dir, 'b.db'))];
  a.release();
  b.release();
});

test('the lock shuts out no reader of the store itself', (t) => {
  const path = join(tempDir(t), 'a.db');
  const lock = lockStore(path);
  t.after(() => lock.release());
  const writer = new StoreWriter(path);
  t.after(() => writer.close());
  const reader = new StoreReader(path);
  t.after(() => reader.close());
  assert.deepEqual(reader.getEntry({ key: 'x' }), {});
});

test('where the lock file can not be made, that is said', (t) => {
  const path = join(tempDir(t), 'none', 'a.db');
  assert.throws(
    () => lockStore(path),
    (error: unknown) => {
      assert.ok(error instanceof StoreFailed);
      assert.match(
        error.message,
        /^cannot lock store "[^\n]+a\.db\.lock": [^\n]+; let this user write there, or /,
      );
      return true;
    },
  );
});

test('the lock lives as long as its process, and is gone when that is killed', async (t) => {
  const path = join(tempDir(t), 'a.db');
  const holder = `
    import { lockStore } from ${JSON.stringify(new URL('../../src/store/lock.ts', import.meta.url).href)};
    lockStore(process.argv[1]); // Nobody holds on to it: a collection must not end it.
    setImmediate(() => gc());
    setTimeout(() => console.log('held'), 50);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '--eval', holder, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [said] = await once(child.stdout, 'data');
  assert.equal(String(said), 'held\n');
  assert.throws(() => lockStore(path), taken);
  child.kill('SIGKILL');
  await once(child, 'exit');
  lockStore(path).release();
});

test('readers that are opened while a bulk writer writes leave its lock to it', (t) => {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path, 'bulk');
  const other = `
    const Database = require(${JSON.stringify(createRequire(import.meta.url).resolve('better-sqlite3'))});
    const db = new Database(process.argv[1], { timeout: 0 });
    try { db.exec('BEGIN IMMEDIATE'); console.log('took the lock'); } catch (error) { console.log(error.code); }`;
  const asked = () => execFileSync(process.execPath, ['--eval', other, path], { encoding: 'utf8' }).trim();
  put(writer, { key: 'example.com/a/@v/list', bytes: contentOf(20_000), blob: 1 });
  writer.inTransaction(() => {
    put(writer, { key: 'example.com/b/@v/list', bytes: contentOf(20_000, 2), blob: 2 });
    assert.ok(existsSync(`${path}-journal`));
    assert.equal(asked(), 'SQLITE_BUSY');
    new StoreReader(path).close();
    new ChunkSource(path, 1, 20_000).close();
    assert.equal(asked(), 'SQLITE_BUSY', 'a reader came and went');
  });
  writer.close();
});

test("the lock's file is its owner's alone, and a group's where the directory has one", (t) => {
  const dir = tempDir(t);
  const mode = (name: string) => statSync(join(dir, name)).mode & 0o777;
  const before = process.umask(0);
  try {
    lockStore(join(dir, 'a.db')).release();
    assert.equal(mode('a.db.lock'), 0o600);
    chmodSync(join(dir, 'a.db.lock'), 0o666);
    lockStore(join(dir, 'a.db')).release();
    assert.equal(mode('a.db.lock'), 0o600, 'one of an earlier Astera');
    chmodSync(dir, 0o2770);
    lockStore(join(dir, 'b.db')).release();
    assert.equal(mode('b.db.lock'), 0o640);
  } finally {
    process.umask(before);
  }
});

test('a file that has two names is refused under both, a link to nothing too', (t) => {
  const dir = tempDir(t);
  const [a, b, dangling] = [join(dir, 'a.db'), join(dir, 'b.db'), join(dir, 'c.db')];
  writeFileSync(a, '');
  linkSync(a, b);
  symlinkSync(join(dir, 'none.db'), dangling);
  assert.throws(() => lockStore(a), /^StoreFailed: .*hard link/);
  assert.throws(() => lockStore(b), /^StoreFailed: .*hard link/);
  assert.throws(() => lockStore(dangling), /^StoreFailed: .*link to a file that is not there/);
});
