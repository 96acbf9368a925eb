// Goal: what is stored is hashed where it lies, as Go hashes it, in the background too, whose thread is
// there only while there is work.
// Method: real threads over a real file; hashes as modzip has them, which is tested against Go.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isServeError } from '../../src/core/errors.ts';
import { CHUNK_BYTES, INLINE_BYTES_MAX } from '../../src/core/limits.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { hashGoMod } from '../../src/modzip/go-mod-hash.ts';
import { hashZip } from '../../src/modzip/zip-hash.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { BuilderPool } from '../../src/workers/builder-pool.ts';
import { execute, put, sha256Of } from '../store/stores.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';

const owner = { module: 'made-up.example/m', version: 'v1.0.0' };
const zipOf = (contentBytes: number) =>
  madeUpFiles({ path: owner.module, version: owner.version, contentBytes }).zip;
const flipped = zipOf(1_500_000);
flipped[700_000] = (flipped[700_000] ?? 0) ^ 1;

type Kind = 'zip' | 'mod';

const cases: { why: string; kind: Kind; bytes: Uint8Array; refused?: RegExp }[] = [
  { why: 'an inline zip', kind: 'zip', bytes: zipOf(100) },
  { why: 'a zip of one chunk', kind: 'zip', bytes: zipOf(100_000) },
  { why: 'a zip of many chunks', kind: 'zip', bytes: zipOf(1_500_000) },
  { why: 'an inline go.mod', kind: 'mod', bytes: Buffer.from('module made-up.example/m\n') },
  { why: 'a go.mod of one chunk', kind: 'mod', bytes: Buffer.alloc(INLINE_BYTES_MAX + 1, ' ') },
  { why: 'a go.mod of many chunks', kind: 'mod', bytes: Buffer.alloc(2 * CHUNK_BYTES + 1, ' ') },
  { why: 'no zip', kind: 'zip', bytes: Buffer.from('<html>'), refused: /zip/ },
  { why: 'a zip with a flipped bit', kind: 'zip', bytes: flipped, refused: /does not have its checksum/ },
];

function keep(t: TestContext, bytes: Uint8Array): { dbPath: string; key: string } {
  const dbPath = join(tempDir(t), 'a.db');
  const key = 'any';
  const writer = new StoreWriter(dbPath);
  put(writer, { key, bytes, blob: 1 });
  writer.close();
  return { dbPath, key };
}

function open(t: TestContext, dbPath: string, isBackground = false): BuilderPool {
  const pool = isBackground ? BuilderPool.inBackground(dbPath) : new BuilderPool({ dbPath, threads: 1 });
  t.after(() => pool.close());
  return pool;
}

for (const { why, kind, bytes, refused } of cases) {
  test(`hashed where it lies: ${why}`, async (t) => {
    const { dbPath, key } = keep(t, bytes);
    const hashing = open(t, dbPath).call.hashStored({ ...owner, key, kind });
    if (refused !== undefined) {
      await assert.rejects(hashing, (error) => {
        assert.ok(isServeError(error) && error.kind === 'check-failed');
        assert.match(error.message, refused);
        return true;
      });
      return;
    }
    const h1 = kind === 'mod' ? hashGoMod(bytes) : (await hashZip(bufferSource(bytes), owner)).h1;
    assert.deepEqual(await hashing, { hashed: { h1, sha256: sha256Of(bytes) } });
  });
}

test('a chunk that is lost is no fault of the file', async (t) => {
  const { dbPath, key } = keep(t, zipOf(1_500_000));
  execute(dbPath, 'DELETE FROM chunk WHERE id % 1024 = 3');
  await assert.rejects(open(t, dbPath).call.hashStored({ ...owner, key, kind: 'zip' }), (error) => {
    return isServeError(error) && error.kind === 'store-failed';
  });
});

test('of what is not stored there is no hash, nor of what was dropped', async (t) => {
  const { dbPath, key } = keep(t, zipOf(1_500_000));
  const { call } = open(t, dbPath);
  assert.deepEqual(await call.hashStored({ ...owner, key: 'other', kind: 'zip' }), {});
  const writer = new StoreWriter(dbPath);
  writer.forget({ keys: [key] });
  writer.close();
  assert.deepEqual(await call.hashStored({ ...owner, key, kind: 'zip' }), {});
});

test('its thread starts when it is told to, or with its first work', async (t) => {
  const { dbPath, key } = keep(t, zipOf(100));
  const started = open(t, dbPath);
  const worked = open(t, dbPath);
  assert.deepEqual([...started.threadIds, ...worked.threadIds], []);
  await started.start();
  await worked.call.hashStored({ ...owner, key, kind: 'zip' });
  await worked.start(); // There already.
  assert.equal(started.threadIds.length, 1);
  assert.equal(worked.threadIds.length, 1);
});

test('the background has no thread before its first work', async (t) => {
  const { dbPath, key } = keep(t, zipOf(100));
  const pool = open(t, dbPath, true);
  assert.equal(pool.threadIds.length, 0);
  const { hashed } = await pool.call.hashStored({ ...owner, key, kind: 'zip' });
  assert.match(hashed?.h1 ?? '', /^h1:/);
  assert.equal(pool.threadIds.length, 1);
});
