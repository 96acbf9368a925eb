// Goal: what zstd calls leave behind does not gather.
// Method: this process's own anonymous memory while it unpacks; contents of many sizes.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { constants, createZstdCompress, zstdCompressSync } from 'node:zlib';
import { FRAME_WINDOW_LOG_MAX } from '../../src/core/build-cache-wire.ts';
import { CHUNK_BYTES, MiB } from '../../src/core/limits.ts';
import { zstdWindowBytes } from '../../src/core/zstd-frames.ts';
import { unpackChunk } from '../../src/store/packing.ts';

function rssAnonBytes(): number {
  return 1024 * Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

test('a thousand chunks unpacked in one go leave little memory behind', () => {
  // Small ones: the buffers of large ones make V8 collect by themselves.
  const content = Buffer.alloc(2_000, 'what Go compiles, again and again. ');
  const packed = zstdCompressSync(content);
  const before = rssAnonBytes();
  let mostBytes = 0;
  for (let at = 0; at < 1000; at++) {
    assert.ok(content.equals(unpackChunk(packed, 'zstd')));
    mostBytes = Math.max(mostBytes, rssAnonBytes());
  }
  const heldBytes = mostBytes - before;
  assert.ok(heldBytes < 8 * MiB, `${heldBytes} bytes`);
});

test('chunks of any size come out as they went in, in a buffer of their own', () => {
  for (const size of [1, 1000, 16 * 1024, 16 * 1024 + 1, 100_000, CHUNK_BYTES - 1, CHUNK_BYTES]) {
    const content = Buffer.alloc(size, 'packed well ');
    const bytes = unpackChunk(zstdCompressSync(content), 'zstd');
    assert.ok(content.equals(bytes));
    assert.equal(bytes.buffer.byteLength, size);
  }
});

/** A frame as a stream makes it, whose length is not known before. */
async function frameOf(content: Buffer, windowLog: number): Promise<Buffer> {
  const encoder = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: windowLog } });
  encoder.write(content);
  await new Promise<void>((resolve) => {
    encoder.flush(() => resolve());
  });
  encoder.end();
  return buffer(encoder);
}

test('a chunk that is damaged is refused, or shorter, and the next one is unpacked all the same', async () => {
  const content = Buffer.from(randomBytes(5000).toString('hex'));
  const packed = zstdCompressSync(content);
  const [long, small] = await Promise.all([frameOf(content, FRAME_WINDOW_LOG_MAX + 1), frameOf(content, 17)]);
  assert.equal(zstdWindowBytes(long), 2 ** (FRAME_WINDOW_LOG_MAX + 1));
  assert.equal(zstdWindowBytes(small), 2 ** 17);
  assert.equal(zstdWindowBytes(packed), content.length);
  assert.ok(content.equals(unpackChunk(small, 'zstd')));
  const cut = unpackChunk(packed.subarray(0, -1000), 'zstd');
  assert.ok(cut.byteLength < content.length);
  for (const [why, bytes] of Object.entries({
    'no frame': randomBytes(100),
    'half a head': packed.subarray(0, 5),
    'a window that is too long': long,
    'two frames': Buffer.concat([packed, packed]),
    'content of more than a chunk': zstdCompressSync(Buffer.alloc(CHUNK_BYTES + 1)),
    'a head that lies': Buffer.from('28b52ffde0ffffffffffffff00', 'hex'),
  })) {
    assert.throws(() => unpackChunk(bytes, 'zstd'), /cannot unpack chunk/, why);
    assert.ok(content.equals(unpackChunk(packed, 'zstd')), why);
  }
});
