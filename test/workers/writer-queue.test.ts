// Goal: groups commit as one and in order, a dying writer costs nobody an answer, the WAL stays bounded.
// Method: real threads over a real file; the deaths are those of dying-writer.ts.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { WRITE_GROUP_BYTES_MAX, WRITE_QUEUE_BYTES_MAX } from '../../src/workers/limits.ts';
import { ReaderPool } from '../../src/workers/reader-pool.ts';
import { WriterQueue, type WriterQueueOptions } from '../../src/workers/writer-queue.ts';
import { assertWhole, chunksOf, contentOf, query } from '../store/stores.ts';
import { tempDir } from '../support/temp-dir.ts';

type Seen = { groups: number[]; deaths: string[] };

async function openQueue(
  t: TestContext,
  options: Partial<WriterQueueOptions> = {},
): Promise<{ queue: WriterQueue; path: string; seen: Seen }> {
  const path = join(tempDir(t), 'a.db');
  const seen: Seen = { groups: [], deaths: [] };
  const queue = new WriterQueue({
    dbPath: path,
    onWrites: (calls) => seen.groups.push(calls),
    onDeath: (message) => seen.deaths.push(message),
    ...options,
  });
  await queue.open();
  return { queue, path, seen };
}

function entry(
  key: string,
  { size = 10, nowMs = 1, blob = 0 }: { size?: number; nowMs?: number; blob?: number } = {},
) {
  return { key, status: 200, source: 'upstream' as const, nowMs, blob, bytes: contentOf(size, blob) };
}

test('opening makes the store, and says its name and its highest blob', async (t) => {
  const { queue } = await openQueue(t);
  const opened = await queue.open();
  assert.equal(opened.lastBlobId, 0);
  assert.match(opened.instance, /^[0-9a-f]{16}$/);
  await queue.close();
});

test('a store that can not be opened is a StoreFailed with the schema’s own line', async (t) => {
  const queue = new WriterQueue({ dbPath: tempDir(t) });
  await assert.rejects(queue.open(), (error: unknown) => {
    assert.ok(error instanceof StoreFailed);
    assert.match(
      error.message,
      /^cannot open store "[^\n]+": unable to open database file; let this user read and write it and its directory$/,
    );
    return true;
  });
  await queue.close();
});

test('what comes in one turn commits as one group, and the answer means committed', async (t) => {
  const { queue, path, seen } = await openQueue(t);
  await Promise.all(Array.from({ length: 50 }, (_, i) => queue.call.putEntry(entry(`k${i}`))));
  assert.deepEqual(seen.groups, [50]);
  assert.deepEqual(
    query(path, 'SELECT count(*) FROM entry'),
    [50],
    'seen from outside while the writer runs',
  );
  await queue.close();
});

test('what nobody waits for goes with the next that comes, and a call that is waited for takes it along', async (t) => {
  const { queue, seen } = await openQueue(t, { gatherMs: 60_000 });
  const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const puts = [queue.call.putEntry(entry('a'))];
  await turn();
  puts.push(queue.call.putEntry(entry('b')));
  await turn();
  await Promise.all([...puts, queue.call.dropEntry({ key: 'c', sha256: '' })]);
  assert.deepEqual(seen.groups, [3]);
  await queue.close();
});

test('what comes while a group is on its way is the next one', async (t) => {
  const { queue, seen } = await openQueue(t);
  const first = queue.call.dropEntry({ key: 'a', sha256: '' });
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const rest = Array.from({ length: 20 }, (_, i) => queue.call.putEntry(entry(`b${i}`)));
  await Promise.all([first, ...rest]);
  assert.deepEqual(seen.groups, [1, 20]);
  await queue.close();
});

test('calls are done in the order they were sent', async (t) => {
  const { queue, path } = await openQueue(t);
  const calls = Array.from({ length: 40 }, (_, i) => queue.call.putEntry(entry('a', { size: i, nowMs: i })));
  await Promise.all(calls);
  assert.deepEqual(query(path, 'SELECT size FROM entry'), [39]);
  const order: number[] = [];
  await Promise.all(
    Array.from({ length: 40 }, (_, i) =>
      queue.call.touch({ keys: ['a'], nowMs: i }).then(() => order.push(i)),
    ),
  );
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
  await queue.close();
});

test('a group is bounded in bytes', async (t) => {
  const { queue, seen, path } = await openQueue(t);
  const count = 2 * (WRITE_GROUP_BYTES_MAX / CHUNK_BYTES) + 1;
  const calls: Promise<unknown>[] = [];
  for (let i = 1; i <= count; i++)
    calls.push(queue.call.putEntry(entry(`k${i}`, { size: CHUNK_BYTES, blob: i })));
  await Promise.all(calls);
  assert.equal(
    seen.groups.reduce((sum, n) => sum + n, 0),
    count,
  );
  const most = WRITE_GROUP_BYTES_MAX / CHUNK_BYTES;
  assert.ok(Math.max(...seen.groups) <= most, `groups of ${seen.groups}`);
  await queue.close();
  assertWhole(path);
});

test('there is no room while more is queued than allowed, and room again when it is written', async (t) => {
  const { queue } = await openQueue(t);
  let hasRoom = false;
  await queue.waitForRoom();
  const count = WRITE_QUEUE_BYTES_MAX / CHUNK_BYTES + 1;
  const calls = Array.from({ length: count }, (_, i) =>
    queue.call.putEntry(entry(`k${i}`, { size: CHUNK_BYTES, blob: i + 1 })),
  );
  const waiting = queue.waitForRoom().then(() => {
    hasRoom = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(hasRoom, false);
  await waiting;
  await Promise.all(calls);
  await queue.close();
});

test('a refused call leaves the others of its group alone', async (t) => {
  const { queue, path } = await openQueue(t);
  const outcomes = await Promise.allSettled([
    queue.call.putEntry(entry('a')),
    queue.call.putChunk({ blob: 99, seq: 0, bytes: contentOf(9) }),
    queue.call.putEntry(entry('b')),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  const [, refused] = outcomes;
  assert.ok(refused?.status === 'rejected' && refused.reason instanceof StoreFailed);
  assert.match(refused.reason.message, /no blob 99 grows/);
  assert.deepEqual(query(path, 'SELECT count(*) FROM entry'), [2]);
  await queue.close();
});

test('where SQLite refuses one call the whole group fails and nothing of it is stored', async (t) => {
  const { queue, path } = await openQueue(t);
  const bad = { ...entry('b'), status: 201 }; // Against the table's own CHECK.
  const outcomes = await Promise.allSettled([
    queue.call.putEntry(entry('a')),
    queue.call.putEntry(bad),
    queue.call.putEntry(entry('c')),
  ]);
  for (const outcome of outcomes) {
    assert.ok(outcome.status === 'rejected' && outcome.reason instanceof StoreFailed);
    assert.match(outcome.reason.message, /^cannot use store: SQLITE_CONSTRAINT/);
  }
  assert.deepEqual(query(path, 'SELECT count(*) FROM entry'), [0]);
  await queue.call.putEntry(entry('a'));
  assert.deepEqual(query(path, 'SELECT count(*) FROM entry'), [1], 'the next group is not touched by it');
  await queue.close();
});

const deaths: { key: string; why: string }[] = [
  { key: 'exit-before', why: 'exits before its group is committed' },
  { key: 'exit-after', why: 'exits after its group is committed' },
  { key: 'throw-before', why: 'throws' },
];

for (const { key, why } of deaths) {
  test(`a writer that ${why}: its calls are sent once more and succeed`, async (t) => {
    const { queue, path, seen } = await openQueue(t, { url: new URL('./dying-writer.ts', import.meta.url) });
    const bytes = contentOf(CHUNK_BYTES + 50);
    const [first = bytes, last = bytes] = chunksOf(bytes);
    const blob = { blob: 7, key: 'zip', nowMs: 1 };
    const calls = await Promise.all([
      queue.call.openBlob({ ...blob, size: undefined, etag: undefined, lastModified: undefined }),
      queue.call.putChunk({ blob: 7, seq: 0, bytes: first }),
      queue.call.putEntry(entry(key, { size: 20_000, blob: 3 })),
      queue.call.putChunk({ blob: 7, seq: 1, bytes: last }),
      queue.call.sealBlob({ ...blob, size: bytes.byteLength, source: 'upstream' }),
    ]);
    assert.equal(calls.length, 5);
    assert.ok(seen.deaths.length > 0, 'it did die');
    await queue.call.putEntry(entry('later'));
    assert.deepEqual(query(path, 'SELECT key FROM entry ORDER BY key'), [key, 'later', 'zip'].sort());
    await queue.close();
    assertWhole(path);
  });
}

test('calls that kill every writer fail clearly, and those behind them succeed', async (t) => {
  const { queue, path } = await openQueue(t, { url: new URL('./dying-writer.ts', import.meta.url) });
  const killing = queue.call.putEntry(entry('always'));
  await assert.rejects(killing, (error: unknown) => {
    assert.ok(error instanceof StoreFailed);
    assert.match(error.message, /^cannot write store: the writer died: /);
    return true;
  });
  await queue.call.putEntry(entry('later'));
  assert.deepEqual(query(path, 'SELECT key FROM entry'), ['later']);
  await queue.close();
});

test('the WAL stays bounded under small writes that come one by one', async (t) => {
  const { queue, path } = await openQueue(t);
  let walBytes = 0;
  for (let i = 1; i <= 1_500; i++) {
    await queue.call.putEntry(entry(`${(i * 7_919) % 1_500}/k`, { size: 4_000 }));
    if (i % 50 === 0) walBytes = Math.max(walBytes, statSync(`${path}-wal`).size);
  }
  assert.ok(walBytes < 56 * 1024 * 1024, `the WAL grew to ${walBytes} bytes for 6 MB written`);
  await queue.close();
});

test('the WAL stays bounded under many writes while readers read, and is empty at the end', async (t) => {
  const { queue, path } = await openQueue(t);
  const readers = new ReaderPool({ dbPath: path, threads: 2 });
  await queue.call.putEntry(entry('k0', { size: CHUNK_BYTES, blob: 1 }));
  let isWriting = true;
  let reads = 0;
  const reading = Array.from({ length: 8 }, async () => {
    while (isWriting) {
      await readers.call.getEntry({ key: 'k0' });
      reads++;
    }
  });
  let walBytes = 0;
  for (let i = 1; i <= 360; i++) {
    await queue.waitForRoom();
    const written = queue.call.putEntry(entry(`k${i}`, { size: CHUNK_BYTES, blob: i + 1 }));
    if (i % 36 === 0) {
      await written;
      walBytes = Math.max(walBytes, statSync(`${path}-wal`).size);
    } else written.catch(() => {});
  }
  isWriting = false;
  await Promise.all(reading);
  assert.ok(reads > 50, `${reads} reads`);
  assert.ok(walBytes < 56 * 1024 * 1024, `the WAL grew to ${walBytes} bytes for 90 MiB written`);
  await readers.close();
  await queue.close();
  assert.equal(statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0, 0);
  const reader = new StoreReader(path);
  assert.equal(reader.getEntry({ key: 'k360' }).entry?.size, CHUNK_BYTES);
  reader.close();
});

test('a call that comes after the end is refused, and no thread has died', async (t) => {
  const { queue, seen } = await openQueue(t);
  const last = queue.call.putEntry(entry('last'));
  const closing = queue.close();
  await last;
  await closing;
  await assert.rejects(queue.call.putEntry(entry('late')), /^StoreFailed: .*it is closed$/);
  assert.deepEqual(seen.deaths, []);
});
