// Goal: a copy of the store is whole, is of one moment, and takes its place at once or not at all.
// Method: a real store whose writer goes on while it is copied; copies that are stopped, and damaged sources.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreFailed } from '../../src/core/errors.ts';
import { type BackupOptions, copyStore } from '../../src/store/backup.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { dumpStore } from '../support/dump-store.ts';
import { tempDir } from '../support/temp-dir.ts';
import { assertWhole, contentOf, execute, put } from './stores.ts';

const FILES = 40;

/** A store of some 12 MB, whose writer is open. */
function open(t: TestContext) {
  const directory = tempDir(t);
  const from = join(directory, 'a.db');
  const writer = new StoreWriter(from);
  for (let blob = 0; blob < FILES; blob++) write(writer, blob);
  let isOpen = true;
  const close = () => {
    if (isOpen) writer.close();
    isOpen = false;
  };
  t.after(close);
  const copy = (options: Partial<BackupOptions> = {}) =>
    copyStore({
      ...{ from, to: join(directory, 'copy.db'), isChecked: true, onProgress: () => {} },
      ...{ signal: new AbortController().signal, ...options },
    });
  return { directory, from, to: join(directory, 'copy.db'), writer, close, copy };
}

function write(writer: StoreWriter, blob: number): void {
  put(writer, { key: `a.example/m${blob}/@v/v1.0.0.zip`, bytes: contentOf(300_000, blob), blob });
}

test('writes that come while it is made end neither the copy nor its moment', async (t) => {
  const { from, to, writer, copy } = open(t);
  const before = dumpStore(from);
  let blob = FILES;
  const bytes = await copy({ onProgress: () => write(writer, blob++) });
  assert.ok(blob >= FILES + 3, `${blob - FILES} writes between the steps`);
  assert.deepEqual(dumpStore(to), before);
  assertWhole(to);
  assert.equal(bytes, statSync(to).size);
  assert.equal(statSync(to).mode & 0o777, 0o600, 'nobody else may read it');
});

test('it tells the bytes that are done, up to all', async (t) => {
  const { to, copy } = open(t);
  const told: { bytes: number; total: number }[] = [];
  await copy({ onProgress: (done) => told.push(done) });
  const { size } = statSync(to);
  assert.ok(told.every(({ bytes, total }, at) => total === size && bytes >= (told[at - 1]?.bytes ?? 0)));
  assert.ok(told.length >= 3);
});

test('a copy that is stopped leaves the older one, and nothing beside it', async (t) => {
  const { directory, to, writer, copy } = open(t);
  await copy();
  const older = readFileSync(to);
  write(writer, FILES);
  const stop = new AbortController();
  assert.equal(await copy({ onProgress: () => stop.abort(), signal: stop.signal }), undefined);
  assert.deepEqual(readFileSync(to), older);
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.startsWith('copy.db')),
    ['copy.db'],
  );
});

test('what a killed copy left is overwritten', async (t) => {
  const { from, to, copy } = open(t);
  for (const suffix of ['', '-journal', '-wal']) writeFileSync(`${to}.unfinished${suffix}`, 'half a page');
  await copy();
  assert.deepEqual(dumpStore(to), dumpStore(from));
  assertWhole(to);
});

test('the WAL of the store that it replaces is not read into it', async (t) => {
  const { from, to, copy } = open(t);
  const other = new StoreWriter(to);
  t.after(() => other.close());
  put(other, { key: 'b.example/other/@v/v1.0.0.mod', bytes: contentOf(20) });
  assert.ok(existsSync(`${to}-wal`), 'its commit is in the WAL alone');
  await copy();
  assert.deepEqual(dumpStore(to), dumpStore(from));
  assertWhole(to);
});

const damages: { name: string; damage: (path: string) => void; says: RegExp }[] = [
  { name: 'cut off', damage: (path) => truncateSync(path, 2_000_000), says: /malformed|damaged/ },
  {
    name: 'with a page that is not what it should be',
    damage: (path) => {
      const bytes = readFileSync(path);
      // The root page of some table: its type is told by its first byte.
      for (let page = 2; page < 20; page++) bytes.fill(0xee, page * 16_384, page * 16_384 + 64);
      writeFileSync(path, bytes);
    },
    says: /malformed|damaged/,
  },
];

for (const { name, damage, says } of damages) {
  test(`a source ${name} replaces nothing`, async (t) => {
    const { directory, from, to, close, copy } = open(t);
    await copy();
    const older = readFileSync(to);
    close();
    damage(from);
    await assert.rejects(copy(), (error) => error instanceof StoreFailed && says.test(error.message));
    assert.deepEqual(readFileSync(to), older);
    assert.deepEqual(
      readdirSync(directory).filter((file) => file.startsWith('copy.db')),
      ['copy.db'],
    );
  });
}

test('a store of an older schema is copied as it is', async (t) => {
  const { from, to, close, copy } = open(t);
  close();
  execute(from, 'PRAGMA user_version = 1');
  await copy({ isChecked: false });
  assert.deepEqual(readFileSync(to).readUInt32BE(60), 1);
});
