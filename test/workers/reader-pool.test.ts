// Goal: reads of one turn go out together, a reader that dies takes nobody with it, the queue is bounded.
// Method: real threads over a real file; the deaths are those of dying-reader.ts.

import assert from 'node:assert/strict';
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Busy, StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { READ_BATCH_CHUNKS_MAX, READ_BATCH_MAX, READ_QUEUE_MAX } from '../../src/workers/limits.ts';
import { ReaderPool, type ReaderPoolOptions } from '../../src/workers/reader-pool.ts';
import { contentOf, put } from '../store/stores.ts';
import { tempDir } from '../support/temp-dir.ts';

const ENTRIES = 30;

/** A pool over a store with `k0` to `k29` of 700 bytes, and a blob 1 of one chunk under `zip`. */
function openPool(
  t: TestContext,
  options: Partial<ReaderPoolOptions> = {},
): { pool: ReaderPool; batches: number[] } {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path);
  for (let i = 0; i < ENTRIES; i++) put(writer, { key: `k${i}`, bytes: contentOf(700, i) });
  put(writer, { key: 'zip', bytes: contentOf(CHUNK_BYTES), blob: 1 });
  writer.close();
  const batches: number[] = [];
  const pool = new ReaderPool({
    dbPath: path,
    threads: 1,
    onReads: (calls) => batches.push(calls),
    ...options,
  });
  return { pool, batches };
}

test('reads of one turn are one batch, each with its own answer and bytes of its own', async (t) => {
  const { pool, batches } = openPool(t);
  const answers = await Promise.all(
    Array.from({ length: ENTRIES }, (_, i) => pool.call.getEntry({ key: `k${i}` })),
  );
  assert.deepEqual(batches, [ENTRIES]);
  answers.forEach(({ bytes }, i) => {
    assert.deepEqual(bytes, contentOf(700, i));
    assert.equal(bytes?.buffer.byteLength, 700, 'a small value does not pin its batch');
  });
  const [chunk, none] = await Promise.all([
    pool.call.getChunk({ blob: 1, seq: 0 }),
    pool.call.getChunk({ blob: 1, seq: 1 }),
  ]);
  assert.equal(chunk.bytes?.byteLength, CHUNK_BYTES);
  assert.deepEqual(none, {});
  await pool.close();
});

test('a file is written by a task of its own, behind the reads that came with it', async (t) => {
  const { pool, batches } = openPool(t);
  const directory = tempDir(t);
  const write = (name: string, blob = 1) =>
    pool.call.writeBlob({ blob, size: CHUNK_BYTES, path: join(directory, name) });
  for (const name of ['one', 'two']) writeFileSync(join(directory, name), 'what a reader left that died');
  symlinkSync(join(directory, 'one'), join(directory, 'link'));
  await Promise.all([
    write('one'),
    pool.call.getEntry({ key: 'k0' }),
    write('two'),
    pool.call.getEntry({ key: 'k1' }),
  ]);
  assert.deepEqual(batches, [2, 1, 1]);
  assert.deepEqual(new Uint8Array(readFileSync(join(directory, 'one'))), contentOf(CHUNK_BYTES));
  await assert.rejects(write('link'), /cannot write "[^"]+link": ELOOP/);
  await assert.rejects(write('none'), /cannot write "[^"]+none": ENOENT/);
  await assert.rejects(write('two', 2), /cannot write "[^"]+two": there is no chunk/);
  await pool.close();
});

test('while a large file is written the WAL can be emptied', async (t) => {
  const [size, path, out] = [64 * 1024 * 1024, join(tempDir(t), 'a.db'), join(tempDir(t), 'out')];
  const writer = new StoreWriter(path);
  t.after(() => writer.close());
  put(writer, { key: 'zip', bytes: contentOf(size), blob: 1 });
  const pool = new ReaderPool({ dbPath: path, threads: 1 });
  const written = () => statSync(out).size;
  let wasEmptied = false;
  for (let i = 0; i < 20 && !wasEmptied; i++) {
    writeFileSync(out, '');
    const writing = pool.call.writeBlob({ blob: 1, size, path: out });
    while (written() === 0) await new Promise((resolve) => setImmediate(resolve));
    put(writer, { key: `more${i}`, bytes: contentOf(700) });
    const { walBytes } = writer.checkpoint({ truncate: true });
    wasEmptied = walBytes === 0 && written() < size;
    await writing;
  }
  assert.ok(wasEmptied, 'a reader kept its snapshot');
  await pool.close();
});

test('a batch has so many chunks at most, and small reads beside them', async (t) => {
  const { pool, batches } = openPool(t);
  const small = () => pool.call.getEntry({ key: 'k0' });
  const chunk = () => pool.call.getChunk({ blob: 1, seq: 0 });
  const chunks = Array.from({ length: READ_BATCH_CHUNKS_MAX }, () => chunk);
  const calls = [small, ...chunks, small, chunk, small];
  const answers = await Promise.all(calls.map((call) => call()));
  assert.deepEqual(batches, [READ_BATCH_CHUNKS_MAX + 2, 2]);
  assert.deepEqual(
    answers.map(({ bytes }) => bytes?.byteLength),
    calls.map((call) => (call === chunk ? CHUNK_BYTES : 700)),
  );
  await pool.close();
});

test('batches are bounded, and shared among the readers', async (t) => {
  const { pool, batches } = openPool(t, { threads: 2 });
  const count = 5 * READ_BATCH_MAX;
  await Promise.all(Array.from({ length: count }, (_, i) => pool.call.getEntry({ key: `k${i % ENTRIES}` })));
  assert.equal(
    batches.reduce((sum, n) => sum + n, 0),
    count,
  );
  assert.deepEqual(batches.slice(0, 2), [READ_BATCH_MAX, READ_BATCH_MAX]);
  assert.ok(Math.max(...batches) <= READ_BATCH_MAX);
  await pool.close();
});

for (const key of ['deadly', 'buggy']) {
  test(`a reader that dies of "${key}": the rest of its batch succeeds, the killer fails clearly`, async (t) => {
    const deaths: string[] = [];
    const { pool } = openPool(t, {
      url: new URL('./dying-reader.ts', import.meta.url),
      onDeath: (message) => deaths.push(message),
    });
    const outcomes = await Promise.allSettled(
      ['k0', key, 'k1', 'k2'].map((one) => pool.call.getEntry({ key: one })),
    );
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    );
    const [, killer] = outcomes;
    assert.ok(killer?.status === 'rejected' && killer.reason instanceof StoreFailed);
    assert.match(killer.reason.message, /^cannot read store: the reader died: /);
    assert.ok(deaths.length > 0);
    assert.equal((await pool.call.getEntry({ key: 'k3' })).entry?.size, 700, 'the pool lives on');
    await pool.close();
  });
}

test('a reader that dies over a file is followed by one that writes it whole', async (t) => {
  const { pool } = openPool(t, { url: new URL('./dying-reader.ts', import.meta.url) });
  const path = join(tempDir(t), 'file');
  writeFileSync(path, '');
  await pool.call.writeBlob({ blob: 1, size: CHUNK_BYTES, path });
  assert.deepEqual(new Uint8Array(readFileSync(path)), contentOf(CHUNK_BYTES));
  await pool.close();
});

test('past its bound the queue refuses with Busy, and what was queued is answered', async (t) => {
  const { pool } = openPool(t);
  const accepted: Promise<unknown>[] = [];
  for (let i = 0; i < READ_QUEUE_MAX; i++) accepted.push(pool.call.getChunk({ blob: 9, seq: 0 }));
  await assert.rejects(pool.call.getEntry({ key: 'k0' }), Busy);
  const answers = await Promise.all(accepted);
  assert.equal(answers.length, READ_QUEUE_MAX);
  assert.equal((await pool.call.getEntry({ key: 'k0' })).entry?.size, 700);
  await pool.close();
});

test('a store that is not there fails every read clearly', async (t) => {
  const pool = new ReaderPool({ dbPath: join(tempDir(t), 'none.db'), threads: 1 });
  await assert.rejects(pool.call.getEntry({ key: 'k0' }), StoreFailed);
  await pool.close();
});

test('reads that are under way, wait or come late when it closes are refused, and no thread has died', async (t) => {
  const deaths: string[] = [];
  const { pool } = openPool(t, { onDeath: (message) => deaths.push(message) });
  await pool.call.getEntry({ key: 'k0' });
  const read = () => assert.rejects(pool.call.getEntry({ key: 'k1' }), /^StoreFailed: .*it is closed$/);
  const underWay = read();
  await new Promise((resolve) => setImmediate(resolve));
  const waiting = read();
  const isClosed = pool.close();
  await Promise.all([underWay, waiting, read(), isClosed]);
  assert.deepEqual(deaths, []);
});

test('who looks at all of a store has a reader of his own, which is there only then', async (t) => {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path);
  put(writer, { key: 'example.com/a/@v/v1.0.0.mod', bytes: contentOf(7) });
  writer.close();
  const clients = new ReaderPool({ dbPath: path, threads: 1 });
  const browsing = ReaderPool.forBrowsing({ dbPath: path });
  assert.deepEqual(browsing.threadIds, [], 'no thread before somebody looks');
  const { modules } = await browsing.call.findModules({ text: 'example', after: '', limit: 5 });
  assert.deepEqual(modules, [{ module: 'example.com/a', versions: 1, bytes: 7 }]);
  assert.equal((await browsing.call.getStats({})).tallies.length, 1);
  assert.equal(browsing.threadIds.length, 1);
  assert.ok(
    !clients.threadIds.includes(browsing.threadIds[0] ?? 0),
    'it is none of those that clients wait for',
  );
  await browsing.close();
  await clients.close();
});
