// Goal: no frame from outside has its reader hold more than our own writers ask for, on the server and in the client.
// Method: frames that ask for 128 MiB, which zstd takes by default, and those of our writers with the same content.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { ChunkPacker } from '../../src/buildcache/chunk-packer.ts';
import { BadRequest } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { unpacked } from '../../src/plugin/packed-output.ts';
import { unpackChunk } from '../../src/store/packing.ts';
import { wideFrame } from '../support/wide-window.ts';

const CONTENT = Buffer.from(randomBytes(CHUNK_BYTES / 2).toString('hex'));

test('the server refuses a chunk whose frame asks for a wide window', async () => {
  const frame = await wideFrame(CONTENT);
  assert.ok(zstdDecompressSync(frame).equals(CONTENT), 'zstd itself takes it');
  assert.throws(() => unpackChunk(frame, 'zstd'), BadRequest);
  const { encoding, bytes } = await new ChunkPacker().pack(Buffer.from(CONTENT));
  assert.equal(encoding, 'zstd');
  assert.ok(CONTENT.equals(unpackChunk(bytes, encoding)));
  assert.ok(CONTENT.equals(unpackChunk(zstdCompressSync(CONTENT), 'zstd')));
});

test('the client refuses such a frame from a server', async () => {
  const read = async (frame: Uint8Array) => {
    const pieces: Uint8Array[] = [];
    for await (const piece of unpacked(inPieces(frame))) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  await assert.rejects(read(await wideFrame(CONTENT)), /memory|window/i);
  assert.ok((await read(zstdCompressSync(CONTENT))).equals(CONTENT));
});

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  yield bytes;
}
