// Goal: frames come out of a stream as they went in, at any cut of the stream, and hostile frames are refused.
// Method: every cut of a short stream; tables of malformed frames.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadRequest } from '../../src/core/errors.ts';
import { packStreamFrame, StreamFrames } from '../../src/wire/stream-frame.ts';

const values = [{ a: 1, b: 'two' }, { bytes: Buffer.from([1, 2, 3]) }, {}, { list: ['x', 'y'] }];
const stream = Buffer.concat(values.map(packStreamFrame));

test('values come out whole and in order at any cut of the stream', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const frames = new StreamFrames(1024);
    const first = frames.push(stream.subarray(0, cut));
    const second = frames.push(stream.subarray(cut));
    assert.deepEqual(
      [...first, ...second].map(({ value }) => value),
      values,
      `cut at ${cut}`,
    );
  }
});

test('values come out byte by byte too, each with its own size', () => {
  const frames = new StreamFrames(1024);
  const sizes = [...stream].flatMap((byte) => frames.push(Uint8Array.of(byte)).map(({ bytes }) => bytes));
  assert.equal(sizes.length, values.length);
  assert.equal(
    sizes.reduce((sum, size) => sum + size + 4, 0),
    stream.length,
  );
});

const malformed: { hex: string; why: string }[] = [
  { hex: '00000401', why: 'one byte over the bound, refused before it comes' },
  { hex: 'ffffffff', why: 'the largest length' },
  { hex: '0000000181', why: 'a map that ends before its first key' },
  { hex: '00000005dfffffffff', why: 'a map of four thousand million' },
  { hex: '00000005ddffffffff', why: 'a list of four thousand million' },
  { hex: '00000005c6ffffffff', why: 'bytes that are not there' },
  { hex: '000000020102', why: 'two values in one frame' },
];

for (const { hex, why } of malformed) {
  test(`refused: ${why}`, () => {
    assert.throws(() => new StreamFrames(1024).push(Buffer.from(hex, 'hex')), BadRequest);
  });
}

test('no value changes the prototype of its object', () => {
  const packed = packStreamFrame(new Map([['__proto__', { polluted: true }]]));
  const values = new StreamFrames(1024).push(packed).map(({ value }) => value as { polluted?: boolean });
  assert.deepEqual(
    [...values, {}].map((value: { polluted?: boolean }) => value.polluted),
    [undefined, undefined],
  );
});
