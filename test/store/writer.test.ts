// Goal: every call of the writer does what its port promises, sent once or twice, before and after a restart.
// Method: a writer and a reader on one real file, looked at through the reader and by SQL of our own.

import assert from 'node:assert/strict';
import { chmodSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import Database from 'better-sqlite3';
import { BadRequest, StoreFailed } from '../../src/core/errors.ts';
import {
  BLOB_ID_MAX,
  CHUNK_BYTES,
  CHUNKS_PER_BLOB,
  INLINE_BYTES_MAX,
  NEGATIVE_ROWS_MAX,
} from '../../src/core/limits.ts';
import type { Trust } from '../../src/core/store-port.ts';
import { ChunkSource } from '../../src/store/chunk-source.ts';
import { PARTIAL_KEPT_MS } from '../../src/store/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import {
  assertWhole,
  bodyOf,
  chunksOf,
  contentOf,
  execute,
  grow,
  put,
  putOutput,
  query,
  seal,
  sha256Of,
} from './stores.ts';

class Opened {
  readonly path: string;
  writer: StoreWriter;
  readonly reader: StoreReader;

  constructor(t: TestContext) {
    this.path = join(tempDir(t), 'a.db');
    this.writer = new StoreWriter(this.path);
    this.reader = new StoreReader(this.path);
    t.after(() => {
      this.reader.close();
      this.writer.close();
    });
  }

  /** As after a restart: what the writer only knew is gone. */
  reopen(): void {
    this.writer.close();
    this.writer = new StoreWriter(this.path);
  }

  count(table: 'blob' | 'chunk' | 'entry'): unknown {
    return query(this.path, `SELECT count(*) FROM ${table}`)[0];
  }
}

const key = 'example.com/a/@v/list';

const bodies: { size: number; chunks: number; why: string }[] = [
  { size: 0, chunks: 0, why: 'an empty body is inline' },
  { size: INLINE_BYTES_MAX, chunks: 0, why: 'the largest inline body' },
  { size: INLINE_BYTES_MAX + 1, chunks: 1, why: 'the smallest blob' },
  { size: CHUNK_BYTES, chunks: 1, why: 'exactly one chunk' },
  { size: CHUNK_BYTES + 1, chunks: 2, why: 'a last chunk of one byte' },
  { size: 3 * CHUNK_BYTES, chunks: 3, why: 'whole chunks only' },
];

for (const { size, chunks, why } of bodies) {
  test(`putEntry: ${why}`, (t) => {
    const store = new Opened(t);
    const bytes = contentOf(size);
    const stored = put(store.writer, { key, bytes, blob: 5, nowMs: 42 });
    assert.deepEqual(stored, { sha256: sha256Of(bytes), blob: chunks === 0 ? undefined : 5, kept: true });
    assert.equal(store.count('chunk'), chunks);
    assert.partialDeepStrictEqual(store.reader.getEntry({ key }).entry, {
      status: 200,
      size,
      sha256: sha256Of(bytes),
      source: 'upstream',
      checkedAtMs: 42,
      usedAtMs: 42,
      trust: 'unchecked',
      blob: chunks === 0 ? undefined : 5,
    });
    assert.deepEqual(Buffer.from(bodyOf(store.reader, key) ?? 'none'), Buffer.from(bytes));
    assertWhole(store.path);
  });
}

test('equal content is stored once, whoever brought it', (t) => {
  const store = new Opened(t);
  const bytes = contentOf(2 * CHUNK_BYTES + 9);
  assert.equal(put(store.writer, { key: 'a', bytes, blob: 1 }).blob, 1);
  assert.equal(put(store.writer, { key: 'b', bytes, blob: 2 }).blob, 1);
  grow(store.writer, { key: 'c', blob: 3, chunks: chunksOf(bytes) });
  assert.equal(seal(store.writer, { key: 'c', blob: 3, size: bytes.byteLength }).blob, 1);
  assert.equal(store.count('blob'), 1);
  assert.equal(store.count('chunk'), 3);
  assertWhole(store.path);
});

test('a replaced body goes when the last key that has it does', (t) => {
  const store = new Opened(t);
  const [old, fresh] = [contentOf(20_000, 1), contentOf(30_000, 2)];
  put(store.writer, { key: 'a', bytes: old, blob: 1 });
  put(store.writer, { key: 'b', bytes: old, blob: 2 });
  put(store.writer, { key: 'a', bytes: fresh, blob: 3 });
  assert.deepEqual(query(store.path, 'SELECT id FROM blob ORDER BY id'), [1, 3], 'b still has it');
  put(store.writer, { key: 'b', bytes: contentOf(5), blob: 4 });
  assert.deepEqual(query(store.path, 'SELECT id FROM blob'), [3]);
  assertWhole(store.path);
});

test('the same body again keeps its blob and moves its times', (t) => {
  const store = new Opened(t);
  const bytes = contentOf(20_000);
  put(store.writer, { key, bytes, blob: 1, nowMs: 10 });
  put(store.writer, { key, bytes, blob: 2, nowMs: 20 });
  assert.equal(store.reader.getEntry({ key }).entry?.blob, 1);
  assert.equal(store.reader.getEntry({ key }).entry?.checkedAtMs, 20);
  assert.deepEqual(query(store.path, 'SELECT stored_at_ms FROM entry'), [10]);
  put(store.writer, { key, bytes: contentOf(1), nowMs: 30 });
  assert.deepEqual(query(store.path, 'SELECT stored_at_ms FROM entry'), [30]);
});

const overrides: { before: number; after: number; kept: boolean; why: string }[] = [
  { before: 200, after: 404, kept: false, why: 'a 404 never replaces a 200' },
  { before: 200, after: 410, kept: false, why: 'a 410 never replaces a 200' },
  { before: 404, after: 200, kept: true, why: 'a success replaces a 404' },
  { before: 410, after: 200, kept: true, why: 'a success replaces a 410' },
  { before: 404, after: 410, kept: true, why: 'a 410 replaces a 404' },
  { before: 200, after: 200, kept: true, why: 'a success replaces a success' },
];

for (const { before, after, kept, why } of overrides) {
  test(`putEntry: ${why}`, (t) => {
    const { writer, reader } = new Opened(t);
    put(writer, { key, status: before, bytes: contentOf(10, 1) });
    assert.equal(put(writer, { key, status: after, bytes: contentOf(11, 2) }).kept, kept);
    assert.equal(reader.getEntry({ key }).entry?.status, kept ? after : before);
    assert.equal(bodyOf(reader, key)?.byteLength, kept ? 11 : 10);
  });
}

test('revalidating and touching an entry move its times', (t) => {
  const { writer, reader } = new Opened(t);
  put(writer, { key, bytes: contentOf(1), nowMs: 10 });
  writer.revalidateEntry({ key, nowMs: 20 });
  assert.deepEqual(times(reader), [20, 20]);
  writer.touch({ keys: [key, 'not stored'], nowMs: 30 });
  assert.deepEqual(times(reader), [20, 30]);
});

function times(reader: StoreReader): unknown[] {
  const { entry } = reader.getEntry({ key });
  return [entry?.checkedAtMs, entry?.usedAtMs];
}

test('a growing blob is a partial download until it is sealed, and then the entry', (t) => {
  const store = new Opened(t);
  const bytes = contentOf(2 * CHUNK_BYTES + 100);
  grow(store.writer, { key, blob: 7, chunks: chunksOf(bytes).slice(0, 2) });
  assert.deepEqual(store.reader.getEntry({ key }), {
    partial: { blob: 7, chunks: 2, size: undefined, etag: '"e"', lastModified: undefined },
  });
  store.writer.putChunk({ blob: 7, seq: 2, bytes: bytes.slice(2 * CHUNK_BYTES) });
  assert.equal(store.reader.getEntry({ key }).partial?.chunks, 2, 'a last, short chunk is no whole one');
  const sealed = seal(store.writer, { key, blob: 7, size: bytes.byteLength });
  assert.deepEqual(sealed, { sha256: sha256Of(bytes), blob: 7 });
  assert.equal(store.reader.getEntry({ key }).partial, undefined);
  assert.deepEqual(Buffer.from(bodyOf(store.reader, key) ?? ''), Buffer.from(bytes));
  assertWhole(store.path);
});

test('a stored 404 does not hide a partial download of its key', (t) => {
  const { writer, reader } = new Opened(t);
  grow(writer, { key, blob: 7, chunks: [contentOf(CHUNK_BYTES)] });
  put(writer, { key, status: 404, bytes: contentOf(3) });
  const got = reader.getEntry({ key });
  assert.deepEqual([got.entry?.status, got.partial?.chunks], [404, 1]);
});

const restarts = [
  { at: 0, why: 'before the first chunk' },
  { at: 1, why: 'in the middle' },
  { at: 3, why: 'before the seal' },
];

for (const { at, why } of restarts) {
  test(`a blob whose writer was restarted ${why} is hashed from its rows`, (t) => {
    const store = new Opened(t);
    const bytes = contentOf(2 * CHUNK_BYTES + 100);
    grow(store.writer, { key, blob: 7 });
    chunksOf(bytes).forEach((chunk, seq) => {
      if (seq === at) store.reopen();
      store.writer.putChunk({ blob: 7, seq, bytes: chunk });
    });
    if (at === 3) store.reopen();
    assert.equal(seal(store.writer, { key, blob: 7, size: bytes.byteLength }).sha256, sha256Of(bytes));
    assertWhole(store.path);
  });
}

test('a whole group sent twice changes nothing', (t) => {
  const store = new Opened(t);
  const bytes = contentOf(CHUNK_BYTES + 100);
  const group = () => {
    grow(store.writer, { key, blob: 7, chunks: chunksOf(bytes) });
    return seal(store.writer, { key, blob: 7, size: bytes.byteLength });
  };
  const first = group();
  store.reopen();
  assert.deepEqual(group(), first);
  assert.deepEqual(seal(store.writer, { key, blob: 7, size: bytes.byteLength }), first);
  assertWhole(store.path);
});

test('a seal sent twice whose blob gave way to an equal one says the same', (t) => {
  const { writer, path } = new Opened(t);
  const bytes = contentOf(CHUNK_BYTES + 100);
  put(writer, { key: 'twin', bytes, blob: 1 });
  grow(writer, { key, blob: 7, chunks: chunksOf(bytes) });
  const first = seal(writer, { key, blob: 7, size: bytes.byteLength });
  assert.equal(first.blob, 1);
  assert.deepEqual(seal(writer, { key, blob: 7, size: bytes.byteLength }), first);
  assertWhole(path);
});

test('a chunk sent twice, or one before the last sent again, changes nothing', (t) => {
  const { writer, path } = new Opened(t);
  const bytes = contentOf(2 * CHUNK_BYTES + 100);
  const chunks = chunksOf(bytes);
  grow(writer, { key, blob: 7 });
  for (const seq of [0, 0, 1, 0, 1, 2, 2]) {
    writer.putChunk({ blob: 7, seq, bytes: chunks[seq] ?? new Uint8Array() });
  }
  assert.equal(seal(writer, { key, blob: 7, size: bytes.byteLength }).sha256, sha256Of(bytes));
  assertWhole(path);
});

test('what was hashed in a transaction that was undone does not count', (t) => {
  const { writer, path } = new Opened(t);
  const chunks = chunksOf(contentOf(2 * CHUNK_BYTES + 100));
  grow(writer, { key, blob: 7, chunks: chunks.slice(0, 1) });
  const undone = new Error('undone');
  assert.throws(
    () =>
      writer.inTransaction(() => {
        writer.putChunk({ blob: 7, seq: 1, bytes: contentOf(CHUNK_BYTES, 99) });
        throw undone;
      }),
    undone,
  );
  chunks.slice(1).forEach((bytes, i) => {
    writer.putChunk({ blob: 7, seq: i + 1, bytes });
  });
  seal(writer, { key, blob: 7, size: 2 * CHUNK_BYTES + 100 });
  assertWhole(path);
});

test('a seal does not count a last chunk that was undone', (t) => {
  const { writer } = new Opened(t);
  grow(writer, { key, blob: 7, chunks: [contentOf(CHUNK_BYTES)] });
  const undone = new Error('undone');
  const attempt = () =>
    writer.inTransaction(() => {
      writer.putChunk({ blob: 7, seq: 1, bytes: contentOf(100) });
      throw undone;
    });
  assert.throws(attempt, undone);
  assert.throws(() => seal(writer, { key, blob: 7, size: CHUNK_BYTES + 100 }), StoreFailed);
});

const lies: { size: number; why: string }[] = [
  { size: CHUNK_BYTES, why: 'fewer chunks' },
  { size: CHUNK_BYTES + 99, why: 'a shorter last chunk' },
  { size: CHUNK_BYTES + 101, why: 'a longer last chunk' },
  { size: 2 * CHUNK_BYTES + 1, why: 'more chunks' },
];

for (const { size, why } of lies) {
  test(`a seal that promises ${why} than there is, is refused`, (t) => {
    const { writer, reader } = new Opened(t);
    grow(writer, { key, blob: 7, chunks: chunksOf(contentOf(CHUNK_BYTES + 100)) });
    assert.throws(() => seal(writer, { key, blob: 7, size }), StoreFailed);
    assert.equal(reader.getEntry({ key }).entry, undefined);
    assert.equal(reader.getEntry({ key }).partial?.blob, 7, 'it stays a partial download');
  });
}

test('a chunk or a seal of a blob that does not grow is refused', (t) => {
  const { writer } = new Opened(t);
  assert.throws(() => writer.putChunk({ blob: 9, seq: 0, bytes: contentOf(9) }), /no blob 9 grows/);
  assert.throws(() => seal(writer, { key, blob: 9, size: 9 }), /none grows for "example\.com/);
});

test('a dropped blob leaves nothing, and a second drop does nothing', (t) => {
  const store = new Opened(t);
  grow(store.writer, { key, blob: 7, chunks: [contentOf(CHUNK_BYTES), contentOf(9)] });
  store.writer.dropBlob({ blob: 7 });
  store.writer.dropBlob({ blob: 7 });
  assert.deepEqual([store.count('blob'), store.count('chunk')], [0, 0]);
  assert.deepEqual(store.reader.getEntry({ key }), {});
});

test('a sealed blob is not dropped', (t) => {
  const store = new Opened(t);
  put(store.writer, { key, bytes: contentOf(20_000), blob: 7 });
  store.writer.dropBlob({ blob: 7 });
  assert.equal(bodyOf(store.reader, key)?.byteLength, 20_000);
  assertWhole(store.path);
});

test('a second growing blob for a key takes the place of the first', (t) => {
  const store = new Opened(t);
  grow(store.writer, { key, blob: 7, chunks: [contentOf(CHUNK_BYTES)] });
  grow(store.writer, { key, blob: 8 });
  assert.deepEqual(query(store.path, 'SELECT id FROM blob'), [8]);
  assert.equal(store.count('chunk'), 0);
});

test('a whole answer ends the partial download of its key', (t) => {
  const store = new Opened(t);
  grow(store.writer, { key, blob: 7, chunks: [contentOf(CHUNK_BYTES)] });
  put(store.writer, { key, bytes: contentOf(100) });
  assert.deepEqual([store.count('blob'), store.count('chunk')], [0, 0]);
});

test('partial downloads that nobody asked for in seven days go, younger ones stay', (t) => {
  const store = new Opened(t);
  const nowMs = 10 * PARTIAL_KEPT_MS;
  grow(store.writer, {
    key: 'old',
    blob: 1,
    chunks: [contentOf(CHUNK_BYTES)],
    nowMs: nowMs - PARTIAL_KEPT_MS - 1,
  });
  grow(store.writer, {
    key: 'young',
    blob: 2,
    chunks: [contentOf(CHUNK_BYTES)],
    nowMs: nowMs - PARTIAL_KEPT_MS,
  });
  put(store.writer, { key: 'whole', bytes: contentOf(20_000), blob: 3, nowMs: 0 });
  store.reopen(); // Of what grew since the last tidy none is old.
  assert.equal(store.writer.tidy({ nowMs }).partials, 1);
  assert.deepEqual(query(store.path, 'SELECT id FROM blob ORDER BY id'), [2, 3]);
  assertWhole(store.path);
});

test('free pages are given back to the disk step by step, until the file is as long as it may be', (t) => {
  const { writer, path } = new Opened(t);
  grow(writer, { key, blob: 1, chunks: chunksOf(contentOf(12 * CHUNK_BYTES)) });
  writer.checkpoint({ truncate: true });
  const fullBytes = statSync(path).size;
  writer.dropBlob({ blob: 1 });
  const shrink = (bytesMax: number) => writer.inTransaction(() => writer.shrink({ bytesMax }));
  assert.deepEqual(shrink(fullBytes), { isDone: true }, 'it is no longer than it may be');
  const { fileBytes, usedBytes } = writer.sizes({});
  assert.equal(fileBytes, fullBytes);
  assert.ok(usedBytes < fullBytes - 11 * CHUNK_BYTES, 'the free pages are still in the file');
  while (!shrink(fullBytes - 2 ** 20).isDone);
  const first = writer.sizes({}).fileBytes;
  assert.ok(first <= fullBytes - 2 ** 20 && first > fullBytes - 2 ** 20 - 2 * 2 ** 14, `${first} bytes`);
  let steps = 1;
  while (!shrink(0).isDone) steps++;
  assert.ok(steps === 2 || steps === 3, `${steps} steps of 1 MiB for the other 2 MiB`);
  const { walBytes, ...last } = writer.sizes({});
  assert.deepEqual(last, { fileBytes: usedBytes, usedBytes }, 'nothing is free');
  assert.equal(walBytes, statSync(`${path}-wal`).size);
  writer.checkpoint({ truncate: true });
  assert.equal(statSync(path).size, usedBytes);
  assertWhole(path);
});

test('404s are bounded: past the bound the least used go, the rest and every 200 stay', (t) => {
  const store = new Opened(t);
  put(store.writer, { key: 'good', bytes: contentOf(1), nowMs: 0 });
  // All used at their own number: the first ones are the least used.
  const db = new Database(store.path);
  db.exec(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${NEGATIVE_ROWS_MAX})
     INSERT INTO entry (key, status, size, sha256, source, stored_at_ms, checked_at_ms, used_at_ms, body)
     SELECT 'made-up/' || i, 404, 0, zeroblob(32), 'upstream', i, i, i, x'' FROM n`,
  );
  db.close();
  const nowMs = NEGATIVE_ROWS_MAX + 1;
  for (const name of ['x', 'y', 'z']) {
    put(store.writer, { key: `made-up/${name}`, status: 404, bytes: contentOf(1), nowMs });
  }
  const [negatives] = query(store.path, 'SELECT count(*) FROM entry WHERE status <> 200') as number[];
  assert.ok(negatives !== undefined && negatives <= NEGATIVE_ROWS_MAX, `${negatives} rows`);
  assert.ok(negatives > NEGATIVE_ROWS_MAX * 0.9, 'not many more than needed');
  assert.equal(store.reader.getEntry({ key: 'made-up/1' }).entry, undefined, 'the least used');
  assert.ok(store.reader.getEntry({ key: `made-up/${NEGATIVE_ROWS_MAX}` }).entry, 'the last used');
  assert.ok(store.reader.getEntry({ key: 'made-up/x' }).entry, 'the new one');
  assert.ok(store.reader.getEntry({ key: 'good' }).entry);
});

test('the versions of a module are told from those of its neighbours, and only 200s count', (t) => {
  const { writer, reader } = new Opened(t);
  const keys = [
    'example.com/a/@v/v1.0.0.info',
    'example.com/a/@v/v1.0.0.mod',
    'example.com/a/@v/v1.1.0-rc.1.zip',
    'example.com/a/@v/v1.2.0+incompatible.mod',
    'example.com/a/@v/list',
    'example.com/a/@v/master.info',
    'example.com/a/@latest',
    'example.com/a/b/@v/v9.0.0.info',
    'example.com/ab/@v/v9.0.0.info',
    'example.com/a-b/@v/v9.0.0.info',
  ];
  for (const one of keys) put(writer, { key: one, bytes: contentOf(1) });
  put(writer, { key: 'example.com/a/@v/v8.0.0.info', status: 404, bytes: contentOf(1) });
  assert.deepEqual(reader.getVersions({ module: 'example.com/a' }).versions, [
    { version: 'master', hasInfo: true },
    { version: 'v1.0.0', hasInfo: true },
    { version: 'v1.1.0-rc.1', hasInfo: false },
    { version: 'v1.2.0+incompatible', hasInfo: false },
  ]);
  assert.deepEqual(reader.getVersions({ module: 'example.com/none' }), { versions: [] });
});

test('a chunk source reads a growing blob at any offset, to the end of a chunk, and says what is missing', (t) => {
  const store = new Opened(t);
  const bytes = contentOf(CHUNK_BYTES + 100);
  grow(store.writer, { key, blob: 7, chunks: chunksOf(bytes) });
  const source = new ChunkSource(store.path, 7, bytes.byteLength);
  t.after(() => source.close());
  assert.equal(source.size, bytes.byteLength);
  assert.equal(source.read(CHUNK_BYTES - 10, 50).byteLength, 10);
  assert.deepEqual(
    Buffer.from(source.read(CHUNK_BYTES + 90, 50)),
    Buffer.from(bytes.slice(CHUNK_BYTES + 90)),
  );
  assert.deepEqual(Buffer.from(source.read(0, 5)), Buffer.from(bytes.slice(0, 5)));
  assert.throws(() => source.read(2 * CHUNK_BYTES, 1), StoreFailed);
});

test('the highest blob id counts growing blobs too', (t) => {
  const store = new Opened(t);
  assert.equal(store.writer.lastBlobId(), 0);
  put(store.writer, { key, bytes: contentOf(20_000), blob: 4 });
  grow(store.writer, { key: 'b', blob: 6 });
  store.reopen();
  assert.equal(store.writer.lastBlobId(), 6);
});

test('what another checksum database confirmed is asked about again, a bounded number of rows a call', (t) => {
  const { writer, reader } = new Opened(t);
  const trusts = { confirmed: 1_500, unconfirmed: 2, unchecked: 1 } as const;
  writer.inTransaction(() => {
    for (const [trust, count] of Object.entries(trusts)) {
      for (let n = 0; n < count; n++) {
        const key = `example.com/${trust}${n}/@v/v1.0.0.mod`;
        const checked = { h1: 'h1:x', trust: trust as Trust };
        const bytes = new Uint8Array(1);
        const { sha256 } = writer.putEntry({
          ...{ key, status: 200, source: 'upstream', nowMs: 1, blob: 0, bytes },
          ...(trust !== 'unchecked' && { checked }),
        });
        const wait = { unknownTimes: 3, askAfterMs: 60_000 };
        if (trust === 'unconfirmed') writer.setVerdict({ key, sha256, trust, wait });
      }
    }
  });
  const sizes = () => {
    const { unchecked, unconfirmed, unknown } = reader.getSizes({});
    return { unchecked, unconfirmed, unknown };
  };
  const before = { unchecked: 1, unconfirmed: 2, unknown: 2 };
  assert.deepEqual(writer.confirmBy({ signer: 'one', row: 0 }), { doubted: 0 }, 'it was never said before');
  assert.deepEqual(writer.confirmBy({ signer: 'one', row: 0 }), { doubted: 0 });
  assert.deepEqual(sizes(), before);
  assert.deepEqual(writer.confirmBy({ signer: 'two', row: 0 }), { doubted: 1_023, nextRow: 1_024 });
  // A server that was killed here does all of it again.
  assert.deepEqual(writer.confirmBy({ signer: 'two', row: 0 }), { doubted: 1_023, nextRow: 1_024 });
  assert.deepEqual(writer.confirmBy({ signer: 'two', row: 1_024 }), { doubted: 479 });
  assert.deepEqual(sizes(), { unchecked: 1, unconfirmed: 1_502, unknown: 0 });
  assert.deepEqual(writer.confirmBy({ signer: 'two', row: 0 }), { doubted: 0 });
});

test('files that wait because their module was private are asked about when the patterns change', (t) => {
  const { writer, reader } = new Opened(t);
  const keys = ['mod', 'zip'].map((ending) => `corp.example/m/@v/v1.0.0.${ending}`);
  const put = (key: string) =>
    writer.putEntry({ key, status: 200, source: 'import', nowMs: 1, blob: 0, bytes: contentOf(1) });
  writer.inTransaction(() => {
    for (const key of keys) {
      const { sha256 } = put(key);
      writer.setVerdict({ key, sha256, trust: 'unchecked', wait: { unknownTimes: 0, askAfterMs: 60_000 } });
    }
  });
  const due = () => reader.getUnsettled({ after: '', limit: 10, nowMs: 0 }).rows.map(({ key }) => key);
  assert.deepEqual(writer.exemptBy({ patterns: 'corp.example' }), { asked: 2 }, 'it was never said before');
  for (const key of keys) {
    const { sha256 } = put(key);
    writer.setVerdict({ key, sha256, trust: 'unchecked', wait: { unknownTimes: 0, askAfterMs: 60_000 } });
  }
  assert.deepEqual(writer.exemptBy({ patterns: 'corp.example' }), { asked: 0 }, 'as before');
  assert.deepEqual(due(), []);
  assert.deepEqual(writer.exemptBy({ patterns: '' }), { asked: 2 });
  assert.deepEqual(due(), keys);
});

test('verdicts are dropped a bounded number of rows a call, and only those of the judge', (t) => {
  const { path, writer } = new Opened(t);
  writer.inTransaction(() => {
    for (let n = 0; n < 1_500; n++) {
      const checked = { h1: 'h1:x', trust: 'confirmed' } as const;
      const key = `example.com/m${n}/@v/v1.0.0.mod`;
      writer.putEntry({
        ...{ key, status: 200, source: 'upstream', nowMs: 1, blob: 0 },
        ...{ bytes: contentOf(1), checked },
      });
    }
  });
  writer.confirmBy({ signer: 'one.example+ab', row: 0 });
  const confirmed = () => query(path, "SELECT count(*) FROM entry WHERE trust = 'confirmed'");
  assert.deepEqual(writer.dropVerdicts({ database: 'one.example/x', row: 0 }), { dropped: 0 });
  assert.deepEqual(writer.dropVerdicts({ database: 'one', row: 0 }), { dropped: 0 });
  assert.deepEqual(confirmed(), [1_500]);
  const first = writer.dropVerdicts({ database: 'one.example', row: 0 });
  assert.deepEqual(first, { dropped: 1_023, nextRow: 1_024 });
  assert.deepEqual(writer.dropVerdicts({ database: 'one.example', row: 1_024 }), { dropped: 477 });
  assert.deepEqual(confirmed(), [0]);
});

test('a chunk that fails while another connection writes stops the chunks behind it', (t) => {
  const { path, writer, reader } = new Opened(t);
  const chunks = chunksOf(contentOf(4 * CHUNK_BYTES));
  grow(writer, { key, blob: 7, chunks: chunks.slice(0, 2) });
  const [, , third = new Uint8Array(), fourth = new Uint8Array()] = chunks;
  const other = new Database(path);
  t.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  assert.throws(
    () => writer.inTransaction(() => writer.putChunk({ blob: 7, seq: 2, bytes: third })),
    /locked/,
  );
  other.exec('COMMIT');
  assert.throws(() => writer.putChunk({ blob: 7, seq: 3, bytes: fourth }), StoreFailed);
  assert.equal(reader.getEntry({ key }).partial?.chunks, 2);
});

test('a partial ends at its first gap', (t) => {
  const { path, writer, reader } = new Opened(t);
  grow(writer, { key, blob: 7, chunks: chunksOf(contentOf(4 * CHUNK_BYTES)) });
  execute(path, `DELETE FROM chunk WHERE id = ${7 * CHUNKS_PER_BLOB + 1}`);
  assert.equal(reader.getEntry({ key }).partial?.chunks, 1);
  execute(path, `DELETE FROM chunk WHERE id = ${7 * CHUNKS_PER_BLOB}`);
  assert.equal(reader.getEntry({ key }).partial?.chunks, 0);
});

test('a chunk that would have the place of another blob is refused', (t) => {
  const { writer } = new Opened(t);
  grow(writer, { key, blob: 7 });
  assert.throws(() => writer.putChunk({ blob: 7, seq: CHUNKS_PER_BLOB, bytes: contentOf(1) }), BadRequest);
});

const outside = [-1, 0.5, Number.NaN, CHUNKS_PER_BLOB, 2 ** 40, 2 ** 53, Number.POSITIVE_INFINITY];

for (const seq of outside) {
  test(`a chunk number that can be none is refused, and changes no blob: ${seq}`, (t) => {
    const { path, writer } = new Opened(t);
    for (const blob of [7, 8])
      grow(writer, { key: `k${blob}`, blob, chunks: [contentOf(CHUNK_BYTES, blob)] });
    const before = query(path, 'SELECT id || hex(substr(bytes, 1, 9)) FROM chunk');
    assert.throws(
      () => writer.putChunk({ blob: 7, seq, bytes: contentOf(CHUNK_BYTES, 9) }),
      (error) => error instanceof BadRequest || error instanceof StoreFailed,
    );
    assert.deepEqual(query(path, 'SELECT id || hex(substr(bytes, 1, 9)) FROM chunk'), before);
  });
}

for (const blob of [-1, 0.5, BLOB_ID_MAX + 1, 2 ** 53]) {
  test(`a blob number that can be none is refused: ${blob}`, (t) => {
    const { path, writer } = new Opened(t);
    const bytes = contentOf(20_000);
    assert.throws(() => grow(writer, { key, blob }), BadRequest);
    assert.throws(() => put(writer, { key, bytes, blob }), BadRequest);
    assert.throws(() => putOutput(writer, { bytes, blob }), BadRequest);
    assert.deepEqual(query(path, 'SELECT id FROM blob'), []);
    assertWhole(path);
  });
}

test('a blob number that is used is refused for anything else, and its blob stays as it is', (t) => {
  const dir = tempDir(t);
  const file = join(dir, 'file');
  writeFileSync(file, contentOf(30_000, 9));
  const { path, writer } = new Opened(t);
  put(writer, { key: 'whole', bytes: contentOf(20_000), blob: 7 });
  grow(writer, { key: 'half', blob: 8, chunks: [contentOf(CHUNK_BYTES, 2)] });
  const rows = () => [
    query(path, 'SELECT id || coalesce(hex(sha256), growing_key) FROM blob'),
    query(path, 'SELECT id || length(bytes) || hex(substr(bytes, 1, 9)) FROM chunk'),
  ];
  const before = rows();
  const bytes = contentOf(30_000, 9);
  const about = { key: 'other', size: 30_000, source: 'import', nowMs: 1 } as const;
  for (const blob of [7, 8]) {
    assert.throws(() => put(writer, { key: 'other', bytes, blob }), BadRequest);
    assert.throws(() => writer.putFile({ ...about, blob, path: file }), BadRequest);
    assert.throws(() => putOutput(writer, { bytes, blob }), BadRequest);
  }
  assert.throws(() => grow(writer, { key: 'other', blob: 8 }), BadRequest);
  const outputId = sha256Of(bytes);
  assert.throws(() => writer.openOutput({ blob: 8, outputId, encoding: 'identity', nowMs: 1 }), BadRequest);
  assert.deepEqual(rows(), before);
  assertWhole(path);
});

test('a tidy keeps what grew since the last one, wherever the clock went', (t) => {
  const { writer, reader } = new Opened(t);
  grow(writer, { key, blob: 7, chunks: chunksOf(contentOf(CHUNK_BYTES)) });
  const later = 10 * PARTIAL_KEPT_MS;
  assert.deepEqual(writer.tidy({ nowMs: later }), { partials: 0 });
  assert.equal(reader.getEntry({ key }).partial?.chunks, 1);
  assert.deepEqual(writer.tidy({ nowMs: later + PARTIAL_KEPT_MS + 1 }), { partials: 1 });
});

test('a checkpoint does not wait for who reads', (t) => {
  const { path, writer } = new Opened(t);
  put(writer, { key, bytes: contentOf(20_000), blob: 4 });
  const other = new Database(path, { readonly: true });
  t.after(() => other.close());
  other.exec('BEGIN');
  other.prepare('SELECT count(*) FROM entry').get();
  put(writer, { key: 'b', bytes: contentOf(20_000, 2), blob: 5 });
  assert.ok(writer.checkpoint({ truncate: true }).walBytes > 0);
  other.exec('COMMIT');
  assert.equal(writer.checkpoint({ truncate: true }).walBytes, 0);
});

test("a store's files are its owner's, and a group's where the directory has one", (t) => {
  const { path, writer } = new Opened(t);
  put(writer, { key, bytes: contentOf(1) });
  for (const file of [path, `${path}-wal`, `${path}-shm`])
    assert.equal(statSync(file).mode & 0o777, 0o600, file);
  const shared = tempDir(t);
  chmodSync(shared, 0o2770);
  new StoreWriter(join(shared, 'a.db')).close();
  assert.equal(statSync(join(shared, 'a.db')).mode & 0o777, 0o640);
});
