// Goal: a chunk of any length takes a bounded part of a server's memory, and one whose body breaks is gone on with.
// Method: bodies that come as fast as they are taken, and count what came and was not stored yet.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import { UpstreamDown } from '../../src/core/errors.ts';
import { MiB } from '../../src/core/limits.ts';
import type { ObjectStore } from '../../src/core/object-store.ts';
import { PACK_FRAME_BYTES } from '../../src/packs/pack-index.ts';
import { PackArrivals } from '../../src/tier/pack-arrivals.ts';
import { WrongObjects } from '../../src/tier/wrong-objects.ts';
import { FakeClock } from '../support/fakes.ts';

const FRAMES = 48;

/** A chunk of one output. @param breaksAt the frame before which the first body breaks */
function rig(breaksAt = Infinity) {
  const frame = zstdCompressSync(randomBytes(PACK_FRAME_BYTES));
  const hash = createHash('sha256');
  for (let at = 0; at < FRAMES; at++) hash.update(frame);
  const contentBytes = FRAMES * PACK_FRAME_BYTES;
  const chunk = { sha256: hash.digest('hex'), storedBytes: FRAMES * frame.length, contentBytes };
  const id = 'a'.repeat(64);
  const named = { actionId: id, outputId: id, time: '1', note: undefined };
  const row = { ...named, size: contentBytes, missed: 0, chunk, offset: 0 };
  const seen = { came: 0, taken: 0, heldMax: 0, bodies: 0, told: [] as string[] };
  const body = async function* (isFirst: boolean) {
    for (let at = 0; at < FRAMES; at++) {
      if (isFirst && at === breaksAt) throw new UpstreamDown('the line broke');
      if (isFirst) seen.came += frame.length;
      yield new Uint8Array(frame);
    }
  };
  const get: ObjectStore['get'] = async () => {
    const common = { size: chunk.storedBytes, etag: '', sha256: undefined, note: undefined };
    return { ...common, body: body(seen.bodies++ === 0) };
  };
  const tell = (what: string) => seen.told.push(what);
  const arrivals = new PackArrivals({
    bucket: { get },
    store: {
      full: undefined,
      putAction: async () => ({ outcome: 'stored' }),
      waitForRoom: async () => {},
    },
    indexes: { noteWrongRow: (_, why) => tell(why) },
    wrong: new WrongObjects((_, why) => tell(why)),
    clock: new FakeClock(),
    keepSmallOutput: async () => assert.fail(),
    keepOutput: async (_, pieces) => {
      for await (const { byteLength } of pieces) {
        seen.taken += byteLength;
        seen.heldMax = Math.max(seen.heldMax, seen.came - seen.taken);
        await setImmediate(); // The store is slower than the line.
      }
    },
  });
  const index = { rows: [row], apart: [] };
  const bring = async () => {
    const [coming] = arrivals.bring(index, { isHere: () => false, bytesMax: Infinity });
    return coming?.landed;
  };
  return { seen, bring, contentBytes };
}

test('no more of a chunk is held than a few frames, however long it is', async () => {
  const { seen, bring, contentBytes } = rig();
  assert.equal(await bring(), true);
  assert.equal(seen.taken, contentBytes);
  assert.ok(seen.heldMax < 6 * MiB, `${seen.heldMax / MiB} MiB`);
  assert.deepEqual(seen.told, []);
});

test('a body that breaks is asked for once more, and its output goes on where it was', async () => {
  const { seen, bring, contentBytes } = rig(20);
  assert.equal(await bring(), true);
  assert.deepEqual([seen.bodies, seen.taken, seen.told], [2, contentBytes, []]);
});
