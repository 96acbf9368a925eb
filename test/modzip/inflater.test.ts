// Goal: one native stream inflates many bodies, each as if it were the first.
// Method: bodies of awkward sizes, whole and in pieces, good ones between bad ones, compared with Node's own inflate.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { BadDeflate, INFLATED_PIECE_BYTES, Inflater } from '../../src/modzip/inflater.ts';

const PIECE = INFLATED_PIECE_BYTES;

/** Content that does not shrink to nothing, so that its body has many pieces too. */
const contentOf = (bytes: number): Buffer =>
  Buffer.concat([randomBytes(Math.ceil(bytes / 2)), Buffer.alloc(Math.floor(bytes / 2), 'go ')]);

function* cut(bytes: Uint8Array, pieceBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

function streamed(inflater: Inflater, body: Iterable<Uint8Array>): Buffer {
  const pieces: Buffer[] = [];
  inflater.stream(body, (piece) => {
    assert.ok(piece.byteLength > 0 && piece.byteLength <= PIECE);
    pieces.push(Buffer.from(piece));
  });
  return Buffer.concat(pieces);
}

const sizes = [0, 1, 2, 1000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7];
const bad = [
  { why: 'cut short', body: deflateRawSync(contentOf(5000)).subarray(0, -1) },
  { why: 'cut short in its second piece', body: deflateRawSync(contentOf(2 * PIECE)).subarray(0, -9) },
  { why: 'nothing', body: new Uint8Array(0) },
  { why: 'no deflate stream', body: Buffer.alloc(9, 0xff) },
];

for (const bytes of sizes) {
  test(`${bytes} bytes come back, whole and in pieces of any size, with bytes after the stream`, () => {
    const inflater = new Inflater();
    const content = contentOf(bytes);
    const body = deflateRawSync(content);
    for (const given of [body, Buffer.concat([body, Buffer.from('behind')])]) {
      const whole = inflater.whole(given);
      if (bytes < PIECE) assert.ok(whole !== undefined && content.equals(whole));
      else assert.equal(whole, undefined);
      for (const pieceBytes of [given.length, 1000, 65_536, ...(bytes < 2000 ? [1] : [])]) {
        const back = streamed(inflater, cut(given, pieceBytes));
        assert.ok(content.equals(back), `in pieces of ${pieceBytes}: ${back.length} bytes`);
      }
    }
  });
}

test('a bad body is BadDeflate, and does not change the next one', () => {
  const inflater = new Inflater();
  const good = deflateRawSync('content');
  for (const { why, body } of bad) {
    assert.throws(() => inflateRawSync(body), why);
    if (body.length < PIECE) assert.throws(() => inflater.whole(body), BadDeflate, why);
    assert.equal(Buffer.from(inflater.whole(good) ?? []).toString(), 'content', why);
    assert.throws(() => streamed(inflater, cut(body, 7)), BadDeflate, why);
    assert.equal(streamed(inflater, [good]).toString(), 'content', why);
  }
});

test('an error of the taker comes through, and the next body is whole', () => {
  const inflater = new Inflater();
  const content = contentOf(3 * PIECE);
  const enough = new Error('enough');
  const stop = () => {
    throw enough;
  };
  assert.throws(
    () => inflater.stream([deflateRawSync(content)], stop),
    (error) => error === enough,
  );
  assert.ok(content.equals(streamed(inflater, [deflateRawSync(content)])));
});
