// Goal: what zstd calls leave behind does not gather.
// Method: this process's own anonymous memory while it unpacks; contents of many sizes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { CHUNK_BYTES, MiB } from '../../src/core/limits.ts';
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
