// Goal: all that waits comes to the bucket in its layout, whatever fails on the way; what is right there is left, what is wrong
// is replaced.
// Method: the pump over a real store and an object store in memory that keeps the same promises as S3.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreFailed, UpstreamFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { WakeUp } from '../../src/core/wake-up.ts';
import { PUMP_ENDS_MAX, UPLOAD_TRIES_MAX } from '../../src/tier/limits.ts';
import { PackIndexes } from '../../src/tier/pack-indexes.ts';
import { Pump, type PumpOptions } from '../../src/tier/pump.ts';
import { WrongObjects } from '../../src/tier/wrong-objects.ts';
import { contentOf, sha256Of } from '../store/stores.ts';
import { FakeClock, openLocalStore } from '../support/fakes.ts';
import { MemoryObjectStore } from '../support/memory-object-store.ts';
import { tempDir } from '../support/temp-dir.ts';

const AT = 'example.com/!azure/@v';

async function open(t: TestContext, options: Partial<PumpOptions> = {}) {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  await store.keepUploads({ isOn: true });
  const bucket = new MemoryObjectStore(3);
  const clock = new FakeClock();
  const told: string[] = [];
  const wrong = new WrongObjects((key) => told.push(`wrong ${key}`));
  const pump = new Pump({
    store,
    bucket,
    wrong,
    clock,
    isAllowed: (module) => !module.startsWith('corp.example/'),
    answers: () => 0,
    outputBytesMin: 0,
    hasObjects: true,
    indexes: new PackIndexes({ bucket, wrong, clock }),
    lanes: 2,
    events: {
      uploaded: (result) => told.push(result),
      uploadFailed: (what, why) => told.push(`${what}: ${why}`),
      housekeepingFailed: (why) => told.push(why),
    },
    ...options,
  });
  t.after(() => pump.stop());
  pump.hurry();
  const put = (key: string, bytes: Uint8Array | string, source: 'upstream' | 'bucket' = 'upstream') =>
    store.putEntry({
      ...{ key, status: 200, source, nowMs: clock.wallMs(), blob: store.nextBlob() },
      bytes: new Uint8Array(Buffer.from(bytes)),
    });
  const text = (key: string) => bucket.objects.get(key)?.bytes.toString();
  return { store, bucket, clock, told, wrong, pump, put, text, counts: () => store.getUploadCounts({}) };
}

test('modules come as a tree of a GOPROXY, with a list and @latest of what is there', async (t) => {
  const { pump, put, bucket, text, counts } = await open(t);
  const zip = contentOf(2 * CHUNK_BYTES + 5);
  for (const version of ['v1.0.0', 'v1.2.0', 'v2.0.0-rc.1+incompatible'])
    for (const ending of ['info', 'mod', 'zip'])
      await put(`${AT}/${version}.${ending}`, ending === 'zip' ? zip : `${version} ${ending}`);
  await put(`${AT}/v1.3.0.mod`, 'no zip');
  await put(`${AT}/list`, 'v9.9.9\n');
  await pump.drain();
  assert.deepEqual(bucket.objects.get(`mod/${AT}/v1.0.0.zip`)?.bytes, Buffer.from(zip));
  assert.equal(text(`mod/${AT}/v1.2.0.info`), 'v1.2.0 info');
  assert.equal(text(`mod/${AT}/list`), 'v1.0.0\nv1.2.0\nv2.0.0-rc.1+incompatible\n');
  assert.equal(text('mod/example.com/!azure/@latest'), 'v1.2.0 info');
  assert.deepEqual(await counts(), { waiting: 0, oldestAtMs: undefined, lost: 0, skipped: 0 });
});

test('files that a node wrote before it was killed come into the list at the next start', async (t) => {
  const { pump, put, bucket, text, counts } = await open(t);
  for (const ending of ['info', 'mod', 'zip']) {
    bucket.lay(`mod/${AT}/v1.0.0.${ending}`, ending);
    await put(`${AT}/v1.0.0.${ending}`, ending);
  }
  await pump.drain();
  assert.equal(text(`mod/${AT}/list`), 'v1.0.0\n');
  assert.equal(text('mod/example.com/!azure/@latest'), 'info');
  assert.equal((await counts()).waiting, 0);
});

test('private modules and what came from the bucket stay here', async (t) => {
  const { pump, put, bucket } = await open(t);
  await put('corp.example/secret/@v/v1.0.0.mod', 'module corp.example/secret');
  await put(`${AT}/v1.0.0.mod`, 'there', 'bucket');
  await pump.drain();
  assert.deepEqual([...bucket.objects.keys()], []);
});

test('actions come as go-cache-plugin has them, with their notes; small ones stay if they are to', async (t) => {
  const { pump, store, bucket, text } = await open(t, { outputBytesMin: 10 });
  const large = contentOf(CHUNK_BYTES + 1);
  for (const [id, bytes, note] of [
    ['a', contentOf(9)],
    ['b', contentOf(10), 'sig1'],
    ['c', large],
  ] as const) {
    const outputId = sha256Of(bytes);
    const about = { outputId, encoding: 'identity', nowMs: 1 } as const;
    const blob = store.nextBlob();
    if (bytes.byteLength <= CHUNK_BYTES)
      await store.putOutput({ ...about, blob, size: bytes.byteLength, bytes: bytes.slice() });
    else {
      await store.openOutput({ ...about, blob });
      await store.putChunk({ blob, seq: 0, bytes: bytes.slice(0, CHUNK_BYTES) });
      await store.putChunk({ blob, seq: 1, bytes: bytes.slice(CHUNK_BYTES) });
      await store.sealOutput({ blob, outputId, size: bytes.byteLength, nowMs: 1 });
    }
    const more = note === undefined ? {} : { note };
    await store.putAction({
      namespace: '',
      actionId: id.repeat(64),
      outputId,
      time: '17',
      nowMs: 1,
      ...more,
    });
  }
  await pump.drain();
  const [b, c] = [sha256Of(contentOf(10)), sha256Of(large)];
  assert.deepEqual(
    [...bucket.objects.keys()].sort(),
    [
      `action/bb/${'b'.repeat(64)}`,
      `action/cc/${'c'.repeat(64)}`,
      ...[b, c].map((id) => `output/${id.slice(0, 2)}/${id}`),
    ].sort(),
  );
  assert.equal(text(`action/bb/${'b'.repeat(64)}`), `${b} 17`);
  assert.equal(bucket.objects.get(`action/bb/${'b'.repeat(64)}`)?.note, 'sig1');
  assert.deepEqual(bucket.objects.get(`output/${c.slice(0, 2)}/${c}`)?.bytes, Buffer.from(large));
});

test('an object that is there stays, unless it is known to be wrong or the stored file is confirmed and another', async (t) => {
  const { pump, put, bucket, wrong, text, store, told } = await open(t);
  for (const name of ['kept', 'wrong', 'sure']) bucket.lay(`mod/${AT}/v1.0.0-${name}.mod`, 'theirs');
  wrong.note(`mod/${AT}/v1.0.0-wrong.mod`, 'cut');
  for (const name of ['kept', 'wrong', 'sure']) await put(`${AT}/v1.0.0-${name}.mod`, 'ours and longer');
  const key = `${AT}/v1.0.0-sure.mod`;
  const { entry } = await store.getEntry({ key });
  await store.setVerdict({ key, sha256: entry?.sha256 ?? '', trust: 'confirmed' });
  await pump.drain();
  const texts = ['kept', 'wrong', 'sure'].map((name) => text(`mod/${AT}/v1.0.0-${name}.mod`));
  assert.deepEqual(texts, ['theirs', 'ours and longer', 'ours and longer']);
  assert.equal(wrong.has(`mod/${AT}/v1.0.0-wrong.mod`), false);
  assert.equal(told.filter((line) => line === `wrong mod/${key}`).length, 1);
});

test('a bucket that is gone costs no row a try; all arrives when it is back', async (t) => {
  const { pump, put, bucket, counts } = await open(t);
  for (let i = 0; i < 300; i++) await put(`${AT}/v1.0.${i}.mod`, `m${i}`);
  bucket.isDown = true;
  await assert.rejects(pump.drain(), { name: 'UpstreamDown' });
  assert.equal((await counts()).waiting, 300);
  bucket.isDown = false;
  pump.start();
  pump.wake();
  while ((await counts()).waiting > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal([...bucket.objects.keys()].filter((key) => key.endsWith('.mod')).length, 300);
});

test('a row that the bucket refuses holds up no other, waits longer each time, and is given up in the end', async (t) => {
  const { pump, put, bucket, clock, counts, told } = await open(t);
  const { put: real } = bucket;
  bucket.put = (key, ...rest) =>
    key.includes('bad') ? Promise.reject(new UpstreamFailed('status 400')) : real(key, ...rest);
  await put(`${AT}/v1.0.0-bad.mod`, 'bad');
  await put(`${AT}/v1.0.0.mod`, 'good');
  for (let tries = 0; tries < UPLOAD_TRIES_MAX; tries++) {
    await pump.drain();
    assert.equal(told.filter((line) => /^entry .*bad.*400/.test(line)).length, tries + 1);
    await pump.drain();
    clock.pass(60_000 * 2 ** tries);
  }
  const { waiting, lost } = await counts();
  assert.deepEqual({ waiting, lost }, { waiting: 0, lost: 1 });
  assert.ok(bucket.objects.has(`mod/${AT}/v1.0.0.mod`));
});

test('a store that can write no ends is no fault of the files: nothing more goes out, and none counts as failed', async (t) => {
  const { store, put, bucket, clock, told } = await open(t);
  const files = 3 * PUMP_ENDS_MAX;
  for (let i = 0; i < files; i++) await put(`${AT}/v1.0.${i}.mod`, `m${i}`);
  const endUploads = () => Promise.reject(new StoreFailed('SQLITE_FULL'));
  const events = {
    uploaded: (result: string) => told.push(result),
    uploadFailed: (what: string, why: string) => told.push(`${what}: ${why}`),
    housekeepingFailed: (why: string) => told.push(why),
  };
  const wrong = new WrongObjects(() => {});
  const parts = {
    bucket,
    wrong,
    clock,
    isAllowed: () => true,
    answers: () => 0,
    outputBytesMin: 0,
    hasObjects: true,
    indexes: new PackIndexes({ bucket, wrong, clock }),
    lanes: 2,
    events,
  };
  const pump = new Pump({ ...parts, store: { ...store, endUploads } });
  pump.hurry();
  await assert.rejects(pump.drain(), { name: 'StoreFailed' });
  assert.ok(bucket.objects.size <= PUMP_ENDS_MAX + 2, `${bucket.objects.size} of ${files}`);
  assert.deepEqual(
    told.filter((line) => line !== 'done'),
    [],
  );
});

test('rests leave nothing in memory, and a stop ends each of them', { timeout: 30_000 }, async (t) => {
  // What Node 22 joins with a signal that lives on is never freed: half a kilobyte a rest, four times a second.
  const joined = t.mock.method(AbortSignal, 'any');
  const { store, bucket, pump } = await open(t);
  const looked = new WakeUp();
  const getUploads: typeof store.getUploads = (request) => {
    looked.call();
    return store.getUploads(request);
  };
  const [wrong, clock] = [new WrongObjects(() => {}), new FakeClock()];
  const other = new Pump({
    ...{
      bucket,
      store: { ...store, getUploads },
      wrong,
      clock,
      indexes: new PackIndexes({ bucket, wrong, clock }),
    },
    ...{ isAllowed: () => true, answers: () => 0, outputBytesMin: 0, hasObjects: true, lanes: 1 },
    events: { uploaded: () => {}, uploadFailed: () => {}, housekeepingFailed: () => {} },
  });
  other.start();
  for (let rests = 0; rests < 3; rests++) {
    const next = looked.next();
    other.hurry();
    await next;
  }
  await other.stop();
  pump.start();
  await pump.stop(); // Before its first rest.
  assert.equal(joined.mock.callCount(), 0);
});

test('what was forgotten meanwhile, or is no file of ours, needs nothing', async (t) => {
  const { pump, put, store, bucket, counts } = await open(t);
  await put(`${AT}/v1.0.0.mod`, 'x');
  await store.forget({ keys: [`${AT}/v1.0.0.mod`] });
  const queued = [
    { kind: 'action', name: 'f'.repeat(64) },
    { kind: 'entry', name: 'sumdb/../x' },
    { kind: 'list', name: 'example.com/none' },
  ] as const;
  await store.endUploads({ done: [], failed: [], queued, nowMs: 1 });
  await pump.drain();
  assert.equal((await counts()).waiting, 0);
  assert.equal(bucket.objects.size, 0);
});
