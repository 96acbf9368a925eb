// Goal: streams that want a chunk at about the same time cause one read, nobody reads what is freed, and little is kept.
// Method: reads that the test ends; a freed chunk has no bytes any more.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedChunks } from '../../src/buildcache/shared-chunks.ts';

const SIZE = 10_000;

/** Reads of chunks of SIZE bytes, counted by their numbers. */
function rig(bytesMax: number) {
  const bounds = { bytesMax };
  const chunks = new SharedChunks(() => bounds.bytesMax);
  const reads: number[] = [];
  const take = async (id: number) => {
    const chunk = await chunks.take(id, async () => {
      reads.push(id);
      return new Uint8Array(SIZE).fill(id);
    });
    assert.ok(chunk !== undefined);
    assert.ok(chunk.bytes.every((byte) => byte === id));
    return chunk;
  };
  return { chunks, bounds, reads, take };
}

test('a chunk that several take at one time, or one after the other, is read once', async () => {
  const { reads, take } = rig(100 * SIZE);
  const taken = await Promise.all([take(1), take(1), take(2)]);
  for (const chunk of taken) chunk.release();
  (await take(1)).release();
  assert.deepEqual(reads, [1, 2]);
});

test('past the bound the oldest is freed, but not before its last user has released it', async () => {
  const { reads, take } = rig(2.5 * SIZE);
  const [first, again] = await Promise.all([take(1), take(1)]);
  for (const id of [2, 3]) (await take(id)).release();
  first.release();
  assert.equal(again.bytes.byteLength, SIZE, 'its second user has it still');
  again.release();
  assert.equal(again.bytes.byteLength, 0);
  for (const id of [2, 3, 1]) (await take(id)).release();
  assert.deepEqual(reads, [1, 2, 3, 1]);
});

test('where nothing is to be kept, a chunk is freed by its user, and all of them when the bound falls', async () => {
  const { chunks, bounds, take } = rig(0);
  const alone = await take(1);
  alone.release();
  assert.equal(alone.bytes.byteLength, 0);
  bounds.bytesMax = 100 * SIZE;
  const kept = await take(2);
  kept.release();
  assert.equal(kept.bytes.byteLength, SIZE);
  bounds.bytesMax = 0;
  chunks.trim();
  assert.equal(kept.bytes.byteLength, 0);
});

for (const { why, outcome } of [
  { why: 'is not there', outcome: () => Promise.resolve(undefined) },
  { why: 'can not be read', outcome: () => Promise.reject(new Error('damaged')) },
]) {
  test(`a chunk that ${why} is none for all who wait for it, and is asked for again`, async () => {
    const { chunks, take } = rig(100 * SIZE);
    const got = await Promise.allSettled([chunks.take(1, outcome), chunks.take(1, outcome)]);
    for (const one of got) assert.ok(one.status === 'rejected' || one.value === undefined);
    (await take(1)).release();
  });
}
