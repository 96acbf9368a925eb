// Goal: deltas come out of a body as they went in, however it is cut; a body that is no such one is refused.
// Method: bodies in pieces of any size.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { deltaFrames, encodeDeltaFrame } from '../../src/core/delta-frames.ts';
import { BadRequest } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';

async function* pieces(body: Buffer, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.length; at += length) yield body.subarray(at, at + length);
}

async function all(deltas: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const found = [];
  for await (const delta of deltas) found.push(delta);
  return found;
}

test('deltas come out as they went in', async () => {
  const deltas = [0, 1, 500, CHUNK_BYTES].map((size) => randomBytes(size));
  const body = Buffer.concat(deltas.map(encodeDeltaFrame));
  for (const length of [1, 3, 1000, body.length]) {
    const found = await all(deltaFrames(pieces(body, length)));
    assert.ok(Buffer.concat(found).equals(Buffer.concat(deltas)));
    assert.deepEqual(
      found.map(({ byteLength }) => byteLength),
      [0, 1, 500, CHUNK_BYTES],
    );
  }
});

for (const { why, body } of [
  { why: 'a cut length', body: '0100' },
  { why: 'a cut delta', body: '03000000aabb' },
  { why: 'a delta that is too long', body: 'ffffffffaa' },
])
  test(`no body of deltas: ${why}`, async () => {
    await assert.rejects(all(deltaFrames(pieces(Buffer.from(body, 'hex'), 1))), BadRequest);
  });
