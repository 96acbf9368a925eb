// Goal: what enters the store waits for the bucket until it is there, through crashes, new contents and a full queue.
// Method: a real store in a file; its rows are asked for as the pump does.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { UPLOADS_QUEUED_PER_CALL, UPLOADS_WAITING_MAX } from '../../src/store/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { contentOf, execute, grow, put, putOutput, query, seal, sha256Of } from './stores.ts';

const MOD = 'example.com/a/@v/v1.0.0.mod';
const ZIP = 'example.com/a/@v/v1.0.0.zip';

function open(t: TestContext, { isOn = true } = {}) {
  const path = join(tempDir(t), 'a.db');
  const writer = new StoreWriter(path);
  if (isOn) writer.inTransaction(() => writer.keepUploads({ isOn: true }));
  const reader = new StoreReader(path);
  t.after(() => {
    reader.close();
    writer.close();
  });
  const rows = (nowMs = 0) => reader.getUploads({ after: 0, nowMs, limit: 1_000 }).rows;
  const end = (ends: Partial<Parameters<typeof writer.endUploads>[0]>) =>
    writer.inTransaction(() => writer.endUploads({ done: [], failed: [], queued: [], nowMs: 5, ...ends }));
  return { path, writer, reader, rows, end, names: () => rows().map(({ kind, name }) => `${kind} ${name}`) };
}

test('good answers that never change are queued, whichever way they are stored; all others are not', (t) => {
  const { writer, names } = open(t);
  for (const [blob, key] of [
    MOD,
    'example.com/a/@v/v1.0.0.info',
    'sumdb/sum.example/tile/8/0/000',
    'example.com/a/@v/list',
    'example.com/a/@v/main.info',
    'example.com/a/@latest',
  ].entries())
    put(writer, { key, bytes: contentOf(10, blob), blob });
  put(writer, { key: 'example.com/b/@v/v1.0.0.mod', bytes: contentOf(10), status: 404 });
  grow(writer, { key: ZIP, blob: 9, chunks: [contentOf(CHUNK_BYTES), contentOf(9)] });
  assert.equal(names().includes(`entry ${ZIP}`), false, 'a growing zip');
  seal(writer, { key: ZIP, blob: 9, size: CHUNK_BYTES + 9 });
  writer.inTransaction(() => {
    const one = { status: 200, source: 'bucket', nowMs: 1, blob: 10, bytes: contentOf(20) } as const;
    return writer.putEntry({ key: 'example.com/c/@v/v1.0.0.mod', ...one });
  });
  assert.deepEqual(names(), [
    `entry ${MOD}`,
    'entry example.com/a/@v/v1.0.0.info',
    'entry sumdb/sum.example/tile/8/0/000',
    `entry ${ZIP}`,
  ]);
});

test('actions of the main namespace are queued once, those of others and of the bucket never', (t) => {
  const { writer, names } = open(t);
  const bytes = contentOf(100);
  putOutput(writer, { bytes, blob: 1 });
  const putAction = (more: { namespace?: string; id: string; isInBucket?: true }) =>
    writer.inTransaction(() => {
      const { id, namespace = '', ...rest } = more;
      return writer.putAction({
        namespace,
        actionId: id.repeat(64),
        outputId: sha256Of(bytes),
        time: '1',
        nowMs: 1,
        ...rest,
      });
    });
  putAction({ id: 'a' });
  putAction({ id: 'a' });
  putAction({ id: 'b', namespace: 'pr/7' });
  putAction({ id: 'c', isInBucket: true });
  assert.deepEqual(names(), [`action ${'a'.repeat(64)}`]);
});

test('without a bucket nothing is queued; with one the setting and the queue outlive the process', (t) => {
  const { path, writer, rows } = open(t, { isOn: false });
  put(writer, { key: MOD, bytes: contentOf(1) });
  assert.deepEqual(rows(), []);
  writer.inTransaction(() => writer.keepUploads({ isOn: true }));
  put(writer, { key: MOD, bytes: contentOf(1) });
  const next = new StoreWriter(path);
  put(next, { key: ZIP, bytes: contentOf(1) });
  next.close();
  assert.deepEqual(query(path, 'SELECT name FROM upload ORDER BY id'), [MOD, ZIP]);
  assert.deepEqual(query(path, 'SELECT name FROM waiting_upload ORDER BY name'), [MOD, ZIP]);
  execute(path, "UPDATE setting SET value = 'off' WHERE name = 'uploads'");
  assert.deepEqual(query(path, 'SELECT name FROM waiting_upload'), []);
});

test('what a transaction undoes is not queued', (t) => {
  const { writer, rows } = open(t);
  assert.throws(() =>
    writer.inTransaction(() => {
      writer.putEntry({ key: MOD, status: 200, source: 'upstream', nowMs: 1, blob: 1, bytes: contentOf(1) });
      throw new Error('undone');
    }),
  );
  assert.deepEqual(rows(), []);
});

test('a file that is stored anew while it is uploaded waits again', (t) => {
  const { writer, rows, end } = open(t);
  put(writer, { key: MOD, bytes: contentOf(1) });
  const [before] = rows();
  put(writer, { key: MOD, bytes: contentOf(2) });
  end({ done: [before?.id ?? 0] });
  const [after] = rows();
  assert.equal(after?.name, MOD);
  assert.ok((after?.id ?? 0) > (before?.id ?? 0));
  end({ done: [after?.id ?? 0] });
  put(writer, { key: ZIP, bytes: contentOf(3) });
  assert.ok((rows()[0]?.id ?? 0) > (after?.id ?? 0), 'no ID is used again');
});

test('a failed try waits for its time; one that was the last is kept, counted and tried again on demand', (t) => {
  const { writer, reader, rows, end } = open(t);
  put(writer, { key: MOD, bytes: contentOf(1), nowMs: 7 });
  put(writer, { key: ZIP, bytes: contentOf(2), nowMs: 9 });
  const [mod, zip] = rows();
  assert.ok(mod && zip);
  end({ failed: [{ id: mod.id, why: 'status 400', afterMs: 100, isLost: false }] });
  assert.deepEqual(
    [rows(99), rows(100)].map((all) => all.length),
    [1, 2],
  );
  assert.equal(rows(100)[0]?.tries, 1);
  end({ failed: [{ id: mod.id, why: 'status 400', afterMs: 90 * 86_400_000, isLost: false }] });
  assert.equal(rows(100).length, 2, 'a clock that was set back by months leaves nothing behind');
  end({ failed: [{ id: mod.id, why: 'status 400', afterMs: 0, isLost: true }] });
  assert.deepEqual(reader.getUploadCounts({}), { waiting: 1, oldestAtMs: 9, lost: 1, skipped: 0 });
  assert.deepEqual(
    writer.inTransaction(() => writer.retryUploads({})),
    { lost: 1 },
  );
  assert.deepEqual(reader.getUploadCounts({}), { waiting: 2, oldestAtMs: 7, lost: 0, skipped: 0 });
  assert.equal(rows()[0]?.tries, 0);
});

test('past its bound the queue takes nothing, and counts it', (t) => {
  const { path, writer, reader } = open(t);
  execute(
    path,
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${UPLOADS_WAITING_MAX})
     INSERT INTO upload (kind, name, queued_at_ms) SELECT 'entry', i, 1 FROM n`,
  );
  put(writer, { key: MOD, bytes: contentOf(1) });
  put(writer, { key: ZIP, bytes: contentOf(1) });
  const counts = { waiting: UPLOADS_WAITING_MAX, oldestAtMs: 1, lost: 0, skipped: 2 };
  assert.deepEqual(reader.getUploadCounts({}), counts);
});

test('all that is stored can be queued, step by step, and nothing twice', (t) => {
  const { writer, rows } = open(t, { isOn: false });
  const count = UPLOADS_QUEUED_PER_CALL + 3;
  writer.inTransaction(() => {
    for (let i = 0; i < count; i++) {
      const one = { status: 200, source: 'upstream', nowMs: 1, blob: 0, bytes: contentOf(8, i) } as const;
      writer.putEntry({ key: `example.com/a/@v/v1.0.${i}.mod`, ...one });
    }
    writer.putEntry({
      key: 'x.y/@v/list',
      status: 200,
      source: 'upstream',
      nowMs: 1,
      blob: 0,
      bytes: contentOf(8),
    });
  });
  const queueAll = () => {
    let queued = 0;
    for (let after: number | undefined = 0; after !== undefined; ) {
      const from: number = after;
      const step = writer.inTransaction(() => writer.queueStored({ kind: 'entry', after: from, nowMs: 1 }));
      queued += step.queued;
      after = step.last;
    }
    return queued;
  };
  assert.equal(queueAll(), count);
  assert.equal(queueAll(), 0);
  assert.equal(rows().length, 1_000);
});
