// Goal: frames come out as they went in, however their bytes are cut; whatever is none is refused, within the bound.
// Method: real frames by Node's zstd, of all forms of header that it makes, and frames spoiled by hand.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync } from 'node:zlib';
import { BadRequest } from '../../src/core/errors.ts';
import { zstdFrames } from '../../src/core/zstd-frames.ts';

const BOUND = 300_000;
const CHECKSUM = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

async function framesOf(bytes: Uint8Array, pieceBytes = 1000): Promise<Buffer[]> {
  const frames: Buffer[] = [];
  for await (const frame of zstdFrames(pieces(bytes, pieceBytes), BOUND)) frames.push(Buffer.from(frame));
  return frames;
}

const contents = [
  Buffer.alloc(0),
  Buffer.from('short'),
  Buffer.alloc(200_000, 'runs of one line\n'),
  Buffer.alloc(140_000),
  randomBytes(250_000),
  Buffer.concat([randomBytes(70_000), Buffer.alloc(100_000, 'x')]),
];

for (const pieceBytes of [1, 100, 4096, 1_000_000]) {
  test(`frames that come in pieces of ${pieceBytes} bytes`, async () => {
    const frames: Buffer[] = [];
    for (const content of pieceBytes === 1 ? contents.slice(0, 4) : contents) {
      frames.push(zstdCompressSync(content), zstdCompressSync(content, CHECKSUM));
      frames.push(await promisify(zstdCompress)(content)); // Without the content's size in its head.
    }
    assert.deepEqual(await framesOf(Buffer.concat(frames), pieceBytes), frames);
  });
}

const frame = zstdCompressSync(Buffer.alloc(1000, 'abc'));
const reserved = Buffer.from('28b52ffd0048ffffff', 'hex');
for (const { why, bytes } of [
  { why: 'no zstd', bytes: Buffer.from('<html>') },
  { why: 'another magic number', bytes: Buffer.concat([Buffer.from([0x50]), frame.subarray(1)]) },
  { why: 'a frame that is cut', bytes: frame.subarray(0, -1) },
  { why: 'a head that is cut', bytes: frame.subarray(0, 3) },
  { why: 'something behind a frame', bytes: Buffer.concat([frame, Buffer.from('tail')]) },
  { why: 'a skippable frame', bytes: Buffer.from('502a4d1804000000aaaaaaaa', 'hex') },
  { why: 'a block of a reserved type', bytes: reserved },
  { why: 'a frame over the bound', bytes: zstdCompressSync(randomBytes(BOUND + 1)) },
  {
    why: 'blocks without end',
    bytes: Buffer.concat([Buffer.from('28b52ffd0048', 'hex'), Buffer.alloc(BOUND)]),
  },
]) {
  test(`refused: ${why}`, async () => {
    await assert.rejects(framesOf(bytes), BadRequest);
  });
}
