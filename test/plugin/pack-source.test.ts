// Goal: a chunk of any length takes a bounded part of memory while it is read.
// Method: a body that comes as fast as it is taken, in a process that counts what came and was not handed on yet.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { MiB } from '../../src/core/limits.ts';
import { PACK_FRAME_BYTES } from '../../src/packs/pack-index.ts';
import { PACK_AHEAD_BYTES_MAX } from '../../src/plugin/limits.ts';
import { PackSource } from '../../src/plugin/pack-source.ts';

/** A chunk of one output whose frames come as fast as they are taken, and what its reading tells. */
function rig(frames: number) {
  const frame = zstdCompressSync(randomBytes(PACK_FRAME_BYTES));
  const hash = createHash('sha256');
  for (let i = 0; i < frames; i++) hash.update(frame);
  const contentBytes = frames * PACK_FRAME_BYTES;
  const chunk = { sha256: hash.digest('hex'), storedBytes: frames * frame.length, contentBytes };
  const name = 'a'.repeat(64);
  const row = { actionId: name, outputId: name, size: contentBytes, time: '1', note: undefined, missed: 0 };
  const told = { came: 0, wrong: [] as unknown[] };
  const body = Readable.from(
    (function* () {
      for (let i = 0; i < frames; i++) {
        told.came += frame.length;
        yield frame;
      }
    })(),
    { highWaterMark: 1 },
  );
  const answer = Object.assign(body, { headers: { 'content-length': String(chunk.storedBytes) } });
  const source = new PackSource(
    { index: { rows: [{ ...row, chunk, offset: 0 }], apart: [] }, isHere: () => false, bytesMax: Infinity },
    {
      open: async () => answer as unknown as IncomingMessage,
      hold: () => true,
      release: () => {},
      onWrongChunk: (one) => told.wrong.push(one),
      onWrongRow: (one) => told.wrong.push(one),
      onFailure: (error) => told.wrong.push(error),
    },
  );
  const read = (onBytes: (bytes: Buffer) => void) =>
    source.read({
      onIndex: () => {},
      onBytes: (_, bytes) => onBytes(bytes),
      onBase: () => {},
      onDelta: () => {},
      onGone: () => {},
    });
  return { source, told, read, contentBytes };
}

test('no more of a chunk is held than may be read ahead, however long it is', async () => {
  const { source, told, read, contentBytes } = rig(160);
  let [taken, heldMax] = [0, 0];
  await read((bytes) => {
    taken += bytes.length;
    heldMax = Math.max(heldMax, told.came - taken);
  });
  source.close();
  assert.deepEqual(told.wrong, []);
  assert.equal(taken, contentBytes);
  // The buffer has two sides.
  assert.ok(heldMax < 4 * PACK_AHEAD_BYTES_MAX, `${heldMax / MiB} MiB`);
});

test('a chunk whose reading is ended is not wrong for that', async () => {
  const { source, told, read } = rig(8);
  // While the next frame is unpacked.
  await read(() => setImmediate(() => source.close())).catch(() => {});
  assert.deepEqual(told.wrong, []);
});
