// Goal: the WAL stays bounded while the file shrinks, and while another program reads for long nothing is stored past its bound.
// Method: a real writer's thread; the other program is a connection of this process whose transaction stays open.

import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES, MiB } from '../../src/core/limits.ts';
import { Database } from '../../src/store/sqlite.ts';
import { openThreadStore, type ThreadStoreOptions } from '../../src/workers/thread-store.ts';
import { contentOf } from '../store/stores.ts';
import { tempDir } from '../support/temp-dir.ts';

async function openStore(t: TestContext, options: Partial<ThreadStoreOptions> = {}) {
  const dbPath = join(tempDir(t), 'a.db');
  const store = await openThreadStore({ dbPath, threads: 1, now: () => performance.now(), ...options });
  t.after(() => store.close());
  const put = (at: number) =>
    store.putEntry({
      key: `k${at}`,
      status: 200,
      source: 'upstream',
      nowMs: 1,
      blob: store.nextBlob(),
      bytes: contentOf(CHUNK_BYTES, at),
    });
  const walBytes = () => statSync(`${dbPath}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  return { dbPath, store, put, walBytes };
}

/** A program whose read has begun and does not end. */
function readForLong(dbPath: string): { end(): void } {
  const db = new Database(dbPath, { readonly: true });
  db.exec('BEGIN');
  db.prepare('SELECT count(*) FROM entry').get();
  return { end: () => db.close() };
}

test('the WAL stays bounded while the file shrinks, though a step brings the writer no bytes', async (t) => {
  const { store, put, walBytes } = await openStore(t);
  for (let at = 0; at < 480; at++) await put(at);
  await store.forget({ keys: Array.from({ length: 240 }, (_, at) => `k${at}`) });
  let most = 0;
  for (let isDone = false; !isDone; ) {
    ({ isDone } = await store.shrink({ bytesMax: 0 }));
    most = Math.max(most, walBytes());
  }
  assert.ok(most < 56 * MiB, `the WAL grew to ${most} bytes while 60 MiB were given back`);
});

test('past its bound nothing is stored until the other program ends, and then all goes on', async (t) => {
  const bound = 40 * MiB;
  const told: (string | undefined)[] = [];
  const hasRoom = Promise.withResolvers<void>();
  const { dbPath, store, put, walBytes } = await openStore(t, {
    walBytesMax: bound,
    longWalMs: 10,
    onChange: (why) => {
      told.push(why);
      if (why === undefined) hasRoom.resolve();
    },
  });
  await put(0);
  const other = readForLong(dbPath);
  let failure: unknown;
  let at = 1;
  for (; failure === undefined && at < 400; at++)
    failure = await put(at).then(
      () => undefined,
      (e) => e,
    );
  assert.ok(failure instanceof StoreFailed, `${at} chunks were stored`);
  assert.match(
    failure.message,
    /^cannot store: the WAL has [45]\d[\d.]*MiB and can't be emptied: another program/,
  );
  assert.ok(walBytes() < bound + 24 * MiB, `the WAL has ${walBytes()} bytes`);
  assert.match(store.full ?? '', /WAL/);
  assert.equal((await store.getEntry({ key: 'k1' })).entry?.size, CHUNK_BYTES, 'reads go on');
  other.end();
  await hasRoom.promise;
  assert.equal(store.full, undefined);
  assert.equal(walBytes(), 0);
  await put(at);
  assert.deepEqual(
    told.map((why) => why !== undefined),
    [true, false],
  );
});

test('a store that is closed leaves no WAL, though its readers had it open', async (t) => {
  const { dbPath, store, put } = await openStore(t);
  await put(0);
  assert.equal((await store.getEntry({ key: 'k0' })).entry?.size, CHUNK_BYTES);
  await store.close();
  assert.equal(existsSync(`${dbPath}-wal`), false);
});
