/**
 * Goal: a read gives the requested range, for any pieces that the source returns.
 * Method: sources with small chunks against a buffer, for arbitrary ranges.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bufferSource, readAhead, readExactly, readPieces } from '../../src/modzip/byte-source.ts';
import { chunkSource } from './zip-writer.ts';

const BYTES = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));

const ranges = fc
  .tuple(fc.nat(BYTES.length), fc.nat(BYTES.length))
  .map(([a, b]) => ({ offset: Math.min(a, b), length: Math.abs(a - b) }));

test('a range is the same over any chunks, with and without read-ahead, whole and in pieces', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 300 }),
      fc.array(ranges),
      (chunk, ahead, all) => {
        const source = chunkSource(BYTES, chunk);
        const kept = readAhead(source, ahead);
        for (const range of all) {
          const wanted = BYTES.subarray(range.offset, range.offset + range.length);
          assert.deepEqual(readExactly(source, range), wanted);
          assert.deepEqual(readExactly(kept, range), wanted);
          assert.deepEqual(Buffer.concat([...readPieces(source, range)]), wanted);
        }
      },
    ),
  );
});

test('small ranges in order cost one read for each piece read ahead', () => {
  const source = chunkSource(BYTES, 100);
  const kept = readAhead(source, 100);
  for (let offset = 0; offset < BYTES.length; offset += 10) readExactly(kept, { offset, length: 10 });
  assert.equal(source.reads(), 10);
});

test('a buffer is read without a copy', () => {
  assert.equal(readExactly(bufferSource(BYTES), { offset: 5, length: 10 }).buffer, BYTES.buffer);
});

const brokenReads = [
  { why: 'nothing came: would loop for ever', read: () => new Uint8Array(0) },
  { why: 'more came than was asked for', read: () => new Uint8Array(11) },
];
for (const { why, read } of brokenReads) {
  test(`a source that breaks its contract is a bug, not a bad zip: ${why}`, () => {
    assert.throws(() => readExactly({ size: 100, read }, { offset: 0, length: 10 }), RangeError);
  });
}

test('a range outside the source is a bug of the caller', () => {
  const source = bufferSource(BYTES);
  assert.throws(() => readExactly(source, { offset: 995, length: 6 }), RangeError);
  assert.throws(() => readExactly(source, { offset: -1, length: 2 }), RangeError);
});
