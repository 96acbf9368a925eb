// Goal: what is put is given back, the first put of an action wins, and no wrong byte is ever stored.
// Method: the real service over a real store, with a clock of the test's own; bodies come in pieces of any size.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { ActionFilters } from '../../src/buildcache/action-filters.ts';
import { BuildCache, type CacheAnswer, type CachedOutput } from '../../src/buildcache/build-cache.ts';
import { lastUseOfActions } from '../../src/buildcache/last-use-of-actions.ts';
import { BUILD_ACTION_HELD_MS } from '../../src/buildcache/limits.ts';
import type { ActionName } from '../../src/core/build-cache-port.ts';
import { BadRequest, Busy, Conflict, NotFound, StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { LastUse } from '../../src/flight/last-use.ts';
import { ReadThrough } from '../../src/flight/read-through.ts';
import { Singleflight } from '../../src/flight/singleflight.ts';
import { joinMemory } from '../../src/serve/composition.ts';
import { FakeClock, type LocalStore, openLocalStore, readAll, SeenEvents } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

const ACTION = 'a'.repeat(64);
const OTHER = 'b'.repeat(64);
const TIME = '1700000000000000001';

type Rig = {
  readonly cache: BuildCache;
  readonly store: LocalStore;
  readonly clock: FakeClock;
  readonly used: LastUse<ActionName>;
  /** The same store with an empty memory: as after a restart. */
  restarted(): Rig;
};

function rig(t: TestContext): Rig {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  return rigOver(store, new FakeClock());
}

function rigOver(store: LocalStore, clock: FakeClock): Rig {
  const bounds = { flightsMax: 1000, waitersMax: 1000 };
  const budget = { cacheBytesMax: 64 * 1024 * 1024, cacheWeakBytesMax: 0, cacheTtlMs: 60_000 };
  const lastUse = new LastUse<string>((keys, nowMs) => store.touch({ keys, nowMs }));
  const { memory } = joinMemory({ store, lastUse, clock, budget, bounds });
  const used = lastUseOfActions(store);
  const readThrough = new ReadThrough<CachedOutput | undefined, CachedOutput>({
    reads: new Singleflight(bounds),
    fetches: new Singleflight(bounds),
  });
  const filters = new ActionFilters(store);
  const cache = new BuildCache({
    store,
    memory,
    readThrough,
    used,
    clock,
    events: new SeenEvents(),
    filters,
  });
  return { cache, store, clock, used, restarted: () => rigOver(store, clock) };
}

function idOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Bytes as a socket gives them: in pieces that fit nothing. */
async function* pieces(bytes: Uint8Array, size = 100_001): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.slice(at, at + size);
}

async function put(made: Rig, bytes: Uint8Array, actionId = ACTION, namespace = ''): Promise<string> {
  const outputId = idOf(bytes);
  await made.cache.putOutput(outputId, pieces(bytes));
  await made.cache.putAction({ namespace, actionId, outputId, time: TIME });
  return outputId;
}

async function bytesOf({ answer }: CacheAnswer): Promise<Buffer> {
  return Buffer.from(await readAll(answer.body));
}

for (const size of [0, 1, 5_000, 64 * 1024, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 1_500_000]) {
  test(`an output of ${size} bytes is given as it was put, from memory and from the store`, async (t) => {
    const made = rig(t);
    const bytes = randomBytes(size);
    const outputId = await put(made, bytes);
    for (const { cache } of [made, made, made.restarted()]) {
      const got = await cache.action(ACTION, ['']);
      assert.equal(got.action?.outputId, outputId);
      assert.equal(got.action?.time, TIME);
      assert.deepEqual([got.answer.size, got.answer.sha256], [size, outputId]);
      assert.ok((await bytesOf(got)).equals(bytes));
      assert.ok((await bytesOf(await cache.output(outputId))).equals(bytes));
      assert.equal(await cache.hasOutput(outputId), true);
    }
  });
}

test('what can be packed is stored packed, and given as it was', async (t) => {
  const text = Buffer.from('The same line once more.\n'.repeat(60_000));
  for (const bytes of [text.subarray(0, 30_000), text.subarray(0, CHUNK_BYTES), text]) {
    const made = rig(t);
    const outputId = await put(made, bytes);
    const { output } = await made.store.getOutput({ outputId, body: 'none' });
    assert.equal(output?.encoding, 'zstd');
    assert.ok((output?.storedBytes ?? Infinity) < bytes.byteLength / 10);
    for (const { cache } of [made, made.restarted()])
      assert.ok((await bytesOf(await cache.action(ACTION, ['']))).equals(bytes));
  }
});

/** As a client packs it: a frame a chunk. */
function framesOf(bytes: Uint8Array, chunkBytes = CHUNK_BYTES): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.byteLength; at += chunkBytes)
    frames.push(zstdCompressSync(bytes.subarray(at, at + chunkBytes)));
  return Buffer.concat(frames);
}

const LINES = Buffer.from('The same line once more.\n'.repeat(60_000));
for (const content of [
  Buffer.alloc(0),
  LINES.subarray(0, 5_000),
  LINES.subarray(0, CHUNK_BYTES),
  LINES,
  randomBytes(CHUNK_BYTES),
  randomBytes(1_500_000),
]) {
  test(`${content.byteLength} bytes that come packed are stored as they come, and given packed or plain`, async (t) => {
    const made = rig(t);
    const outputId = idOf(content);
    const packed = framesOf(content);
    await made.cache.putOutput(outputId, pieces(packed, 99_999), content.byteLength);
    await made.cache.putAction({ namespace: '', actionId: ACTION, outputId, time: TIME });
    for (const { cache } of [made, made, made.restarted()]) {
      for (const got of [
        await cache.action(ACTION, [''], 'stored'),
        await cache.output(outputId, 'stored'),
      ]) {
        const bytes = await bytesOf(got);
        assert.equal(got.unpackedSize, content.byteLength);
        assert.equal(got.answer.size, bytes.byteLength);
        if (content.byteLength > 0) assert.ok(bytes.equals(packed));
        assert.equal(got.answer.sha256, undefined, 'a range of it would be one of other bytes');
      }
      assert.ok((await bytesOf(await cache.action(ACTION, ['']))).equals(content));
    }
  });
}

test('what is stored plain goes out plain, whatever is asked for', async (t) => {
  const made = rig(t);
  const bytes = randomBytes(CHUNK_BYTES + 10);
  await put(made, bytes);
  const got = await made.cache.action(ACTION, [''], 'stored');
  assert.equal(got.unpackedSize, undefined);
  assert.ok((await bytesOf(got)).equals(bytes));
});

const BOMB = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
for (const { why, outputId, body, size } of [
  { why: 'other bytes than the ID names', outputId: OTHER, body: framesOf(LINES), size: LINES.byteLength },
  { why: 'a smaller size', outputId: idOf(LINES), body: framesOf(LINES), size: LINES.byteLength - 1 },
  { why: 'a larger size', outputId: idOf(LINES), body: framesOf(LINES), size: LINES.byteLength + 1 },
  { why: 'a size of more chunks', outputId: idOf(LINES), body: framesOf(LINES), size: 2 * LINES.byteLength },
  { why: 'smaller chunks', outputId: idOf(LINES), body: framesOf(LINES, 1000), size: LINES.byteLength },
  { why: 'one frame for all', outputId: idOf(LINES), body: zstdCompressSync(LINES), size: LINES.byteLength },
  {
    why: 'a chunk in the middle that is not full',
    outputId: idOf(LINES),
    body: unevenFrames(),
    size: LINES.byteLength,
  },
  { why: 'a bomb', outputId: OTHER, body: BOMB, size: 1000 },
  { why: 'a bomb of the size it states', outputId: OTHER, body: BOMB, size: 64 * 1024 * 1024 },
  { why: 'no zstd', outputId: idOf(LINES), body: LINES, size: LINES.byteLength },
  { why: 'damaged frames', outputId: idOf(LINES), body: damaged(framesOf(LINES)), size: LINES.byteLength },
  { why: 'nothing', outputId: idOf(Buffer.alloc(0)), body: Buffer.alloc(0), size: 0 },
]) {
  test(`a packed body is refused, and nothing of it stays: ${why}`, async (t) => {
    const made = rig(t);
    await assert.rejects(made.cache.putOutput(outputId, pieces(body), size), BadRequest);
    assert.equal(await made.cache.hasOutput(outputId), false);
    const outputIds = [outputId, idOf(body)];
    assert.deepEqual(await made.store.getOutputsStored({ outputIds }), { stored: [false, false] });
  });
}

/** As many frames as LINES has, with the bytes of LINES, cut elsewhere. */
function unevenFrames(): Buffer {
  const cuts = [
    0,
    CHUNK_BYTES,
    2 * CHUNK_BYTES - 1,
    3 * CHUNK_BYTES - 1,
    4 * CHUNK_BYTES - 1,
    5 * CHUNK_BYTES - 1,
    LINES.byteLength,
  ];
  return Buffer.concat(cuts.slice(1).map((to, at) => zstdCompressSync(LINES.subarray(cuts[at], to))));
}

function damaged(bytes: Buffer): Buffer {
  bytes[bytes.byteLength >> 1] = (bytes[bytes.byteLength >> 1] ?? 0) ^ 0xff;
  return bytes;
}

test('what was never put is a miss', async (t) => {
  const { cache } = rig(t);
  await assert.rejects(cache.action(ACTION, ['']), NotFound);
  await assert.rejects(cache.output(OTHER), NotFound);
  assert.equal(await cache.hasOutput(OTHER), false);
});

for (const { how, drop } of [
  { how: 'dropped', drop: ({ cache }: Rig) => cache.dropAction({ namespace: '', actionId: ACTION }) },
  { how: 'forgotten', drop: ({ cache }: Rig) => cache.forgetActions({}) },
  {
    how: 'dropped with its output',
    drop: async ({ cache, store }: Rig) => {
      const { action } = await store.getAction({ namespaces: [''], actionId: ACTION, body: 'none' });
      await cache.dropOutput({ blob: action?.blob ?? -1 });
    },
  },
]) {
  test(`an action that is ${how} is given to nobody from then on`, async (t) => {
    const made = rig(t);
    await put(made, Buffer.from('poison'));
    const { cache } = made;
    for (const form of ['plain', 'stored'] as const) await cache.action(ACTION, [''], form);
    const reading = cache.action(ACTION, ['team', '']).catch(() => {});
    await drop(made);
    await reading; // It may have read the store before.
    for (const form of ['plain', 'stored'] as const)
      await assert.rejects(cache.action(ACTION, [''], form), NotFound);
    await assert.rejects(cache.action(ACTION, ['team', '']), NotFound);
  });
}

test('a miss is not remembered', async (t) => {
  const made = rig(t);
  await assert.rejects(made.cache.action(ACTION, ['']), NotFound);
  const bytes = randomBytes(10);
  await put(made, bytes);
  assert.ok((await bytesOf(await made.cache.action(ACTION, ['']))).equals(bytes));
});

test('a body whose SHA-256 is another is refused, and nothing of it stays', async (t) => {
  for (const size of [0, 10, 2 * CHUNK_BYTES + 5]) {
    const made = rig(t);
    const outputId = idOf(randomBytes(3));
    await assert.rejects(made.cache.putOutput(outputId, pieces(randomBytes(size))), BadRequest);
    await assert.rejects(made.cache.output(outputId), NotFound);
    await assert.rejects(
      made.cache.putAction({ namespace: '', actionId: ACTION, outputId, time: TIME }),
      NotFound,
      'an action needs its output',
    );
  }
});

test('a client that leaves in the middle of an upload leaves nothing', async (t) => {
  const made = rig(t);
  const bytes = randomBytes(3 * CHUNK_BYTES);
  async function* leaving(): AsyncGenerator<Uint8Array> {
    yield bytes.slice(0, 2.5 * CHUNK_BYTES);
    throw new BadRequest('cannot read body: the client has gone');
  }
  await assert.rejects(made.cache.putOutput(idOf(bytes), leaving()), /the client has gone/);
  assert.ok(made.store.calls.includes('dropBlob'));
  await made.cache.putOutput(idOf(bytes), pieces(bytes));
  assert.ok((await bytesOf(await made.cache.output(idOf(bytes)))).equals(bytes));
});

test('the first put of an action wins', async (t) => {
  const made = rig(t);
  const first = await put(made, randomBytes(10));
  await put(made, randomBytes(20), OTHER);
  const other = (await made.cache.action(OTHER, [''])).answer.sha256 ?? '';
  const conflict = { namespace: '', actionId: ACTION, outputId: other, time: TIME };
  await assert.rejects(made.cache.putAction(conflict), Conflict);
  for (const { cache } of [made, made.restarted()])
    assert.equal((await cache.action(ACTION, [''])).answer.sha256, first);
  await made.cache.putAction({ ...conflict, outputId: first });
});

test('a namespace is read before the main one, and kept apart from it', async (t) => {
  const made = rig(t);
  const main = await put(made, randomBytes(10));
  const branch = await put(made, randomBytes(20), ACTION, 'branch');
  const outputOf = async (namespaces: string[]) =>
    (await made.cache.action(ACTION, namespaces)).answer.sha256;
  assert.equal(await outputOf(['branch', '']), branch);
  assert.equal(await outputOf(['']), main);
  assert.equal(await outputOf(['other', '']), main);
  await assert.rejects(outputOf(['other']), NotFound);
});

test('forty that ask for one action at one time are one read of the store', async (t) => {
  const made = rig(t);
  const bytes = randomBytes(10);
  await put(made, bytes);
  const { cache, store } = made.restarted();
  store.calls.length = 0;
  await Promise.all(Array.from({ length: 40 }, () => cache.action(ACTION, [''])));
  await cache.action(ACTION, ['']);
  assert.deepEqual(store.calls, ['getAction']);
});

test('an action in memory is looked up again after its time', async (t) => {
  const made = rig(t);
  await put(made, randomBytes(10));
  await made.cache.action(ACTION, ['']);
  await made.store.dropAction({ namespace: '', actionId: ACTION });
  await made.cache.action(ACTION, ['']);
  made.clock.pass(BUILD_ACTION_HELD_MS);
  await assert.rejects(made.cache.action(ACTION, ['']), NotFound);
});

test('uses are written in one call, and those within an hour not again', async (t) => {
  const made = rig(t);
  await put(made, randomBytes(10));
  await put(made, randomBytes(11), OTHER);
  made.clock.pass(3_600_000);
  for (const id of [ACTION, OTHER, ACTION]) await made.cache.action(id, ['']);
  made.store.calls.length = 0;
  await made.used.flush(made.clock.wallMs());
  await made.used.flush(made.clock.wallMs());
  assert.deepEqual(made.store.calls, ['touchActions']);
  const { action } = await made.restarted().cache.action(ACTION, ['']);
  assert.equal(action?.usedAtMs, made.clock.wallMs());
});

test('a full disk refuses puts before a byte is taken, and gives what is stored', async (t) => {
  const made = rig(t);
  const bytes = randomBytes(10);
  await put(made, bytes);
  made.store.full = 'disk is full: 3 MiB free';
  await assert.rejects(made.cache.putOutput(OTHER, pieces(bytes)), Busy);
  await assert.rejects(
    made.cache.putAction({ namespace: '', actionId: OTHER, outputId: idOf(bytes), time: TIME }),
    Busy,
  );
  assert.ok((await bytesOf(await made.restarted().cache.action(ACTION, ['']))).equals(bytes));
});

test('a store that can not be read is an error, not a miss', async (t) => {
  const made = rig(t);
  made.store.failures.set('getAction', new StoreFailed('disk I/O error'));
  await assert.rejects(made.cache.action(ACTION, ['']), StoreFailed);
});
