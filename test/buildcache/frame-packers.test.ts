// Goal: many chunks that are packed at one time each get the frame of their own content.
// Method: more of them than there are packers, of all sizes, unpacked as the store does it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { packFrame } from '../../src/buildcache/frame-packers.ts';
import { FRAME_PACKERS_MAX } from '../../src/buildcache/limits.ts';
import { FRAME_BYTES_MAX } from '../../src/core/build-cache-wire.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { unpackChunk } from '../../src/store/packing.ts';

const SIZES = [1, 1000, 100_000, CHUNK_BYTES - 1, CHUNK_BYTES];

test('each frame has its own content', async () => {
  const contents = Array.from({ length: 10 * FRAME_PACKERS_MAX }, (_, at) => {
    const size = SIZES[at % SIZES.length] ?? 0;
    // What can't be packed fills the packer's output more than once.
    return at % 3 === 0 ? randomBytes(size) : Buffer.alloc(size, `content ${at}, again and again\n`);
  });
  const frames = await Promise.all(contents.map((content) => packFrame(content)));
  for (const [at, frame] of frames.entries()) {
    assert.ok(frame.byteLength === frame.buffer.byteLength && frame.byteLength <= FRAME_BYTES_MAX);
    assert.ok(
      Buffer.from(unpackChunk(frame, 'zstd')).equals(contents[at] ?? Buffer.alloc(0)),
      `content ${at}`,
    );
  }
});
