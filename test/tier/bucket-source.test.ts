// Goal: a download out of the bucket goes on where it broke, with the same object or from the start; what is wrong counts as
// absent; versions are told by a listing.
// Method: the source over an object store in memory whose bodies the test breaks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpstreamDown } from '../../src/core/errors.ts';
import type { ObjectRead } from '../../src/core/object-store.ts';
import type { FetchEvent, ModuleRequest } from '../../src/core/ports.ts';
import { parseResource, type Resource } from '../../src/core/resource.ts';
import { BucketActions } from '../../src/tier/bucket-actions.ts';
import { BucketSource } from '../../src/tier/bucket-source.ts';
import { ACTION_MISS_MS, DOWNLOAD_TRIES_MAX } from '../../src/tier/limits.ts';
import { WrongObjects } from '../../src/tier/wrong-objects.ts';
import { contentOf, sha256Of } from '../store/stores.ts';
import { FakeClock } from '../support/fakes.ts';
import { MemoryObjectStore } from '../support/memory-object-store.ts';

const AT = 'example.com/!azure/@v';
const ZIP = `${AT}/v1.0.0.zip`;

function open() {
  const bucket = new MemoryObjectStore(2);
  const told: string[] = [];
  const wrong = new WrongObjects((key) => told.push(key));
  return { bucket, told, wrong, source: new BucketSource({ bucket, wrong, label: 'bucket b' }) };
}

function request(path: string, more: Partial<ModuleRequest> = {}): ModuleRequest {
  const resource = parseResource(path) as Resource;
  return { path, resource, bytesMax: 10_000_000, ...more };
}

/** Breaks each of the next bodies after so many pieces. */
function breaking(bucket: MemoryObjectStore, after: number, times: number): void {
  const { get } = bucket;
  bucket.get = async (...args) => {
    const found = await get(...args);
    return found !== undefined && times-- > 0 ? { ...found, body: broken(found, after) } : found;
  };
}

async function* broken({ body }: ObjectRead, after: number): AsyncGenerator<Uint8Array> {
  let left = after;
  for await (const bytes of body) {
    if (left-- === 0) throw new UpstreamDown('cut');
    yield bytes;
  }
}

async function take(events: AsyncIterable<FetchEvent>): Promise<{ starts: number[]; bytes: Buffer }> {
  const starts: number[] = [];
  let bytes = Buffer.alloc(0);
  for await (const event of events) {
    if (event.kind === 'bytes') bytes = Buffer.concat([bytes, event.bytes]);
    else {
      starts.push(event.offset);
      bytes = bytes.subarray(0, event.offset);
    }
  }
  return { starts, bytes };
}

test('a download goes on by Range behind each break', async () => {
  const { bucket, source } = open();
  const zip = contentOf(300_000);
  bucket.lay(`mod/${ZIP}`, zip);
  breaking(bucket, 1, 4);
  const { starts, bytes } = await take(source.stream(request(ZIP)));
  assert.deepEqual(starts, [0]);
  assert.deepEqual(bytes, Buffer.from(zip));
});

test('one that gets no further ends', async () => {
  const { bucket, source } = open();
  bucket.lay(`mod/${ZIP}`, contentOf(300_000));
  breaking(bucket, 0, 100);
  await assert.rejects(take(source.stream(request(ZIP))), { name: 'UpstreamDown' });
  assert.equal(bucket.asked.length, DOWNLOAD_TRIES_MAX);
});

test('a stored part goes on if it is of the same object, else all comes anew', async () => {
  const { bucket, source } = open();
  const zip = contentOf(200_000);
  bucket.lay(`mod/${ZIP}`, zip);
  const { etag = '' } = (await bucket.head(`mod/${ZIP}`)) ?? {};
  const resume = (tag: string) => ({
    resume: { offset: 70_000, tail: zip.slice(69_000, 70_000), size: undefined, validator: { etag: tag } },
  });
  const same = await take(source.stream(request(ZIP, resume(etag))));
  assert.deepEqual([same.starts, same.bytes], [[70_000], Buffer.from(zip.subarray(70_000))]);
  const other = await take(source.stream(request(ZIP, resume('"another"'))));
  assert.deepEqual([other.starts, other.bytes], [[0], Buffer.from(zip)]);
});

test('lists, branches, what is absent and what was refused are not there', async () => {
  const { bucket, source, told } = open();
  for (const path of [`${AT}/list`, `${AT}/main.info`, 'example.com/!azure/@latest', ZIP])
    bucket.lay(`mod/${path}`, 'x');
  source.refused(ZIP, 'its h1 is another');
  for (const path of [`${AT}/list`, `${AT}/main.info`, 'example.com/!azure/@latest', ZIP, `${AT}/v9.0.0.mod`])
    await assert.rejects(source.whole(request(path)), { name: 'NotFound' });
  assert.deepEqual(told, [`mod/${ZIP}`]);
  assert.deepEqual(bucket.asked, [`get mod/${AT}/v9.0.0.mod`]);
});

test('what is too long is refused', async () => {
  const { bucket, source } = open();
  bucket.lay(`mod/${ZIP}`, contentOf(100));
  await assert.rejects(source.whole(request(ZIP, { bytesMax: 99 })), { name: 'UpstreamFailed' });
  await assert.rejects(take(source.stream(request(ZIP, { bytesMax: 99 }))), { name: 'UpstreamFailed' });
});

test('versions are those of the objects, whatever else lies there', async () => {
  const { bucket, source } = open();
  for (const name of [
    'v1.0.0.info',
    'v1.0.0.mod',
    'v1.1.0.zip',
    'list',
    'x/y.zip',
    'main.info',
    'V2.0.0.mod',
  ])
    bucket.lay(`mod/${AT}/${name}`, 'x');
  bucket.lay(`mod/${AT}/v1.2.0.mod`, '');
  const versions = await source.versions((parseResource(ZIP) as Resource).module);
  assert.deepEqual(versions, [
    { version: 'v1.0.0', hasInfo: true },
    { version: 'v1.1.0', hasInfo: false },
  ]);
});

test('an action comes with its output and notes, once for all that ask; a miss is asked for once a minute', async () => {
  const { bucket, wrong, told } = open();
  const clock = new FakeClock();
  const [id, other] = ['a'.repeat(64), 'b'.repeat(64)];
  const output = contentOf(5_000);
  bucket.lay(`action/aa/${id}`, `${sha256Of(output)} 17`, 'sig1 sig2');
  bucket.lay(`output/${sha256Of(output).slice(0, 2)}/${sha256Of(output)}`, output);
  const put: unknown[] = [];
  const results: string[] = [];
  const actions = new BucketActions({
    bucket,
    wrong,
    clock,
    store: {
      full: undefined,
      getOutputsStored: async () => ({ stored: [false] }),
      putAction: async ({ actionId, note, isInBucket }) => {
        put.push([actionId, note, isInBucket]);
        return { outcome: 'stored' };
      },
    },
    keepOutput: async (_, body) => {
      for await (const bytes of body) assert.ok(bytes.byteLength > 0);
    },
    packs: { isApart: () => false, landing: () => undefined },
    events: { bucketActionAsked: (result) => results.push(result) },
  });
  assert.deepEqual(await Promise.all([actions.fetch(id), actions.fetch(id)]), [true, true]);
  assert.deepEqual(put, [
    [id, 'sig1', true],
    [id, 'sig2', true],
  ]);
  assert.equal(bucket.asked.length, 2);
  assert.equal(await actions.fetch(other), false);
  assert.equal(await actions.fetch(other), false);
  clock.pass(ACTION_MISS_MS);
  bucket.lay(`action/bb/${other}`, 'no action at all');
  assert.equal(await actions.fetch(other), false);
  assert.deepEqual(results, ['hit', 'miss', 'miss']);
  assert.deepEqual(told, [`action/bb/${other}`]);
});
