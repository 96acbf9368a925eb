// Goal: a delta makes its part again out of the old output, is short where little has changed, and garbage makes nothing but an error.
// Method: random outputs and random changes of them; deltas of all kinds of bytes.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeDelta, deltaRange, encodeDelta } from '../../src/core/delta.ts';
import { CHUNK_BYTES, DELTA_REACH_BYTES } from '../../src/core/limits.ts';
import { withChange } from '../support/go-archive.ts';

/** All parts of `output` as deltas. */
function deltasOf(output: Buffer, base: Buffer): Buffer[] {
  const deltas = [];
  for (let at = 0; at < output.length; at += CHUNK_BYTES) {
    const content = output.subarray(at, at + CHUNK_BYTES);
    const { from, to } = deltaRange(at, content.length, { size: output.length, baseSize: base.length });
    deltas.push(Buffer.from(encodeDelta({ at, content }, { at: from, bytes: base.subarray(from, to) })));
  }
  return deltas;
}

function apply(deltas: readonly Buffer[], base: Buffer): Buffer {
  return Buffer.concat(
    deltas.flatMap((delta, part) =>
      Array.from(decodeDelta(delta, { at: part * CHUNK_BYTES, baseSize: base.length }), (piece) =>
        'bytes' in piece ? piece.bytes : base.subarray(piece.from, piece.from + piece.length),
      ),
    ),
  );
}

const lengthOf = (deltas: readonly Buffer[]) => Buffer.concat(deltas).length;

const OLD = randomBytes(3 * CHUNK_BYTES + 1000);
const CHANGES: { why: string; output: Buffer; bytesMax: number }[] = [
  { why: 'nothing', output: OLD, bytesMax: 30 },
  { why: 'bytes that are put in', output: withChange(OLD, 300_000), bytesMax: 100 },
  {
    why: 'bytes that are gone',
    output: Buffer.concat([OLD.subarray(0, 5), OLD.subarray(5000)]),
    bytesMax: 100,
  },
  {
    why: 'more bytes than the reach',
    output: withChange(OLD, 1000, randomBytes(DELTA_REACH_BYTES + 10_000)),
    bytesMax: DELTA_REACH_BYTES + 11_000,
  },
  {
    why: 'another order',
    output: Buffer.concat([OLD.subarray(90_000), OLD.subarray(0, 90_000)]),
    bytesMax: 91_000,
  },
  { why: 'all', output: randomBytes(2 * CHUNK_BYTES), bytesMax: 2 * CHUNK_BYTES + 20 },
  { why: 'nothing is left', output: Buffer.alloc(0), bytesMax: 0 },
  { why: 'zeros', output: Buffer.alloc(CHUNK_BYTES), bytesMax: CHUNK_BYTES + 10 },
];
for (const { why, output, bytesMax } of CHANGES) {
  test(`a delta tells what changed: ${why}`, () => {
    const deltas = deltasOf(output, OLD);
    assert.ok(apply(deltas, OLD).equals(output));
    assert.ok(lengthOf(deltas) <= bytesMax, `${lengthOf(deltas)} bytes`);
  });
}

test('any output can be told by any other one', () => {
  const words = fc.array(fc.constantFrom('a', 'bb', 'the same words again ', '\0\0\0\0'), { maxLength: 300 });
  fc.assert(
    fc.property(words, words, (one, other) => {
      const [output, base] = [Buffer.from(one.join('')), Buffer.from(other.join(''))];
      assert.ok(apply(deltasOf(output, base), base).equals(output));
    }),
  );
});

const GARBAGE: { why: string; delta: string; message: RegExp }[] = [
  { why: 'new bytes that are not there', delta: '05aabb', message: /cut/ },
  { why: 'no number of copied bytes', delta: '01aa', message: /cut/ },
  { why: 'a copy without its place', delta: '0005', message: /cut/ },
  { why: 'a copy from before the output', delta: '000501', message: /not there/ },
  { why: 'a copy from behind it', delta: '0005c801', message: /not there/ },
  { why: 'a copy that begins in it and ends behind', delta: '006500', message: /not there/ },
  { why: 'more than a chunk', delta: '0081801000', message: /too many/ },
  { why: 'a number without an end', delta: 'ffffffffffff', message: /too large/ },
];
for (const { why, delta, message } of GARBAGE) {
  test(`garbage is no delta: ${why}`, () => {
    assert.throws(() => [...decodeDelta(Buffer.from(delta, 'hex'), { at: 0, baseSize: 100 })], message);
  });
}

test('random bytes never make more than a chunk, nor copy what is not there', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(1000), (delta, at) => {
      let made = 0;
      try {
        for (const piece of decodeDelta(delta, { at, baseSize: 500 })) {
          made += 'bytes' in piece ? piece.bytes.length : piece.length;
          if ('from' in piece) assert.ok(piece.from >= 0 && piece.from + piece.length <= 500);
        }
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
      }
      assert.ok(made <= CHUNK_BYTES);
    }),
  );
});
