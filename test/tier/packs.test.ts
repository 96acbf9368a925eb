// Goal: a server that has nothing gives its client the set of a bucket's packs, as it comes and by few requests; whatever is wrong
// there costs what was to come from it, and no more.
// Method: the real sessions over a real store, and packs that are written as a cache program writes them, in a bucket in memory.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { lastUseOfActions } from '../../src/buildcache/last-use-of-actions.ts';
import { packedChunk, packedChunks, uploadOutput } from '../../src/buildcache/output-upload.ts';
import { Sessions } from '../../src/buildcache/sessions.ts';
import { NotFound } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import type { ObjectStore } from '../../src/core/object-store.ts';
import { type IndexRow, shortIdsOf } from '../../src/core/session-wire.ts';
import { type PackRow, packChunkKey, packSetKey, shortId } from '../../src/packs/pack-index.ts';
import { SessionStream } from '../../src/plugin/session-stream.ts';
import { BucketActions } from '../../src/tier/bucket-actions.ts';
import { PACK_INDEX_FRESH_MS } from '../../src/tier/limits.ts';
import { PackArrivals } from '../../src/tier/pack-arrivals.ts';
import { PackIndexes } from '../../src/tier/pack-indexes.ts';
import { packSets } from '../../src/tier/pack-sets.ts';
import { WrongObjects } from '../../src/tier/wrong-objects.ts';
import { FakeClock, openLocalStore, SeenEvents } from '../support/fakes.ts';
import { MemoryObjectStore } from '../support/memory-object-store.ts';
import { idOf, laySet, type PackedSet } from '../support/packed-bucket.ts';
import { tempDir } from '../support/temp-dir.ts';

const NAME = { key: idOf('key'), project: idOf('project') };

/** A server with a bucket behind it. @param get answers in the bucket's place where it returns something */
function rig(
  t: TestContext,
  get: (key: string) => ReturnType<ObjectStore['get']> | undefined = () => undefined,
) {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const memory = new MemoryObjectStore();
  const bucket: Pick<ObjectStore, 'get'> & { isDown: boolean } = {
    isDown: false,
    get: (key, range) => get(key) ?? memory.get(key, range),
  };
  const clock = new FakeClock();
  const told: string[] = [];
  const wrong = new WrongObjects((key) => told.push(key));
  const keepOutputs = {
    keepOutput: (outputId: string, body: AsyncIterable<Uint8Array>) =>
      uploadOutput({ store, clock, outputId, chunks: packedChunks(body) }),
    keepSmallOutput: (outputId: string, bytes: Uint8Array) =>
      uploadOutput({ store, clock, outputId, chunks: packedChunk(bytes) }),
  };
  const indexes = new PackIndexes({ bucket, wrong, clock });
  const arrivals = new PackArrivals({ bucket, store, wrong, clock, indexes, ...keepOutputs });
  const shared = packSets({ indexes, arrivals, isIdle: () => bucket.isDown });
  const packs = {
    isApart: (id: string) => indexes.isApart(id),
    landing: (id: string) => arrivals.landing(id),
  };
  const actions = new BucketActions({
    bucket: memory,
    store,
    wrong,
    clock,
    packs,
    ...keepOutputs,
    events: new SeenEvents(),
  });
  const sessions = new Sessions({
    store,
    used: lastUseOfActions(store),
    clock,
    events: new SeenEvents(),
    shared,
  });
  const ask = async ({ held = [] as string[], bytesMax = 1e12, namespaces = [''], name = NAME } = {}) => {
    const question = { ...name, namespaces, held: shortIdsOf(held), bytesMax };
    const form = { encoding: 'identity', takesDeltas: false, takesPacked: false, takesApart: true } as const;
    return (await sessions.stream({ ...question, ...form })).body;
  };
  return { store, memory, bucket, clock, told, indexes, arrivals, actions, sessions, ask };
}

type Body = Awaited<ReturnType<ReturnType<typeof rig>['ask']>>;

/** What a client has of a stream: good outputs by their actions, and rows that did not come. @param rowsMax it reads no further */
async function read(body: Body, rowsMax = Infinity) {
  let index: readonly IndexRow[] = [];
  const parts = new Map<number, Buffer[]>();
  const gone: number[] = [];
  const apart: string[] = [];
  const reader = new SessionStream({
    onIndex: (rows) => {
      index = rows;
    },
    onBytes: (row, bytes) => parts.set(row, [...(parts.get(row) ?? []), Buffer.from(bytes)]),
    onBase: () => assert.fail(),
    onDelta: () => assert.fail(),
    onGone: (row) => gone.push(row),
    onApart: (ids) => apart.push(ids.toString('hex')),
  });
  for (let at = 0; parts.size < rowsMax; ) {
    const piece = await body.at(at);
    if (piece.byteLength === 0) break;
    at += piece.byteLength;
    reader.push(Buffer.from(piece));
  }
  const outputs = new Map([...parts].map(([row, all]) => [index[row]?.actionId, idOf(Buffer.concat(all))]));
  return { index, outputs, apart, gone: gone.map((row) => index[row]?.actionId) };
}

function expected(rows: readonly PackRow[]): Map<string | undefined, string> {
  return new Map(rows.filter(({ size }) => size > 0).map(({ actionId, outputId }) => [actionId, outputId]));
}

const LARGE = randomBytes(2 * CHUNK_BYTES + 17);
/** Two chunks: small outputs, an empty one, a large one, one that fills a chunk of the store. */
const CHUNKS = [
  [randomBytes(10), randomBytes(70_000), Buffer.alloc(0)],
  [LARGE, randomBytes(CHUNK_BYTES), randomBytes(5)],
];
const SET: PackedSet = { key: NAME.key, chunks: CHUNKS };

test('a server that has nothing gives all of a set, and has it from then on', async (t) => {
  const { store, memory, told, clock, ask } = rig(t);
  const rows = await laySet(memory, { ...SET, noteOf: (at) => (at === 1 ? 'sig1 sig2' : undefined) });
  const got = await read(await ask());
  assert.deepEqual(got.outputs, expected(rows));
  const line = ({ actionId, outputId, note, time }: IndexRow) => [actionId, outputId, note, time].join();
  assert.deepEqual(got.index.map(line).sort(), rows.map(line).sort());
  assert.equal(memory.asked.length, 3, `${memory.asked}`);
  assert.deepEqual(told, []);
  for (const { actionId, outputId, note } of rows) {
    const { action } = await store.getAction({ namespaces: [''], actionId, body: 'none' });
    assert.deepEqual([action?.outputId, action?.note], [outputId, note]);
  }
  const { rows: queued } = await store.getUploads({ after: 0, nowMs: Infinity, limit: 100 });
  assert.deepEqual(queued, []);

  // Without the bucket now.
  memory.objects.clear();
  clock.pass(PACK_INDEX_FRESH_MS);
  assert.deepEqual((await read(await ask())).outputs, expected(rows));
  assert.equal(memory.asked.length, 5);
});

test('actions with one output are each stored once, however many they are', async (t) => {
  const { store, memory, ask } = rig(t);
  const empty = Array.from({ length: 100 }, () => Buffer.alloc(0));
  const rows = await laySet(memory, {
    key: NAME.key,
    chunks: [[...empty, Buffer.from('same'), Buffer.from('same')]],
  });
  const { putAction } = store;
  const put: string[] = [];
  const counting: Pick<typeof store, 'putAction'> = {
    putAction: (request) => {
      put.push(request.actionId);
      return putAction(request);
    },
  };
  Object.assign(store, counting);
  await read(await ask());
  while (put.length < rows.length) await setImmediate();
  assert.deepEqual(put.toSorted(), rows.map(({ actionId }) => actionId).toSorted());
});

test('what the client or the store has does not come, nor what is past the bound', async (t) => {
  const { memory, sessions, ask } = rig(t);
  const rows = await laySet(memory, SET);
  const ids = rows.map(({ actionId }) => actionId);
  const held = ids.slice(0, 3);
  const got = await read(await ask({ held, bytesMax: CHUNK_BYTES + 5 }));
  assert.deepEqual(got.outputs, expected(rows.slice(4)));
  assert.equal(memory.asked.filter((line) => line.includes('pack/chunk')).length, 1);
  // The store's own set is older: it lacks one of them, and has one that the other lacks.
  await sessions.put({ ...NAME, namespace: '', label: 'go build', actions: shortIdsOf(ids.slice(4)) });
  const again = await read(await ask({ held: ids.slice(0, 4) }));
  assert.deepEqual(again.outputs, expected(rows.slice(4)));
});

test('a command that nobody has run before gets the last set of its project, and fills no table with its name', async (t) => {
  const { store, memory, ask } = rig(t);
  const rows = await laySet(memory, { ...SET, key: NAME.project });
  for (const key of ['x', 'y']) {
    const got = await read(await ask({ name: { ...NAME, key: idOf(key) } }));
    assert.deepEqual(got.outputs, expected(rows));
  }
  const { sessions } = await store.getSessions({ namespaces: [''] });
  assert.deepEqual(
    sessions.map(({ key }) => key),
    [NAME.project],
  );
});

test('a set is brought whole without a client, once', async (t) => {
  const { memory, sessions, bucket, ask } = rig(t);
  const rows = await laySet(memory, SET);
  const bytes = rows.reduce((sum, { size }) => sum + size, 0);
  assert.deepEqual(await sessions.bring(NAME.key), { brought: rows.length, lost: 0, bytes });
  assert.deepEqual(await sessions.bring(NAME.key), { brought: 0, lost: 0, bytes: 0 });
  await assert.rejects(sessions.bring(idOf('none')), NotFound);
  bucket.isDown = true;
  assert.deepEqual((await read(await ask())).outputs, expected(rows));
});

test('forty clients that ask at once have each chunk read once', async (t) => {
  const { memory, ask } = rig(t);
  const rows = await laySet(memory, SET);
  const all = await Promise.all(Array.from({ length: 40 }, async () => read(await ask())));
  for (const { outputs } of all) assert.deepEqual(outputs, expected(rows));
  assert.equal(memory.asked.length, 3, `${memory.asked}`);
});

test('other namespaces than the main one are none of the bucket', async (t) => {
  const { memory, ask } = rig(t);
  await laySet(memory, SET);
  await assert.rejects(ask({ namespaces: ['mine'] }), NotFound);
  assert.deepEqual(memory.asked, []);
});

const wrongs: {
  why: string;
  lay: (bucket: MemoryObjectStore) => Promise<PackRow[]>;
  left: readonly number[];
}[] = [
  {
    why: 'a chunk that is gone',
    lay: async (bucket) => {
      const rows = await laySet(bucket, SET);
      bucket.objects.delete(packChunkKey(rows[0]?.chunk?.sha256 ?? ''));
      return rows;
    },
    left: [2, 3, 4, 5],
  },
  {
    why: 'a chunk that is garbage',
    lay: async (bucket) => {
      const rows = await laySet(bucket, SET);
      const { sha256 = '', storedBytes = 0 } = rows[0]?.chunk ?? {};
      bucket.lay(packChunkKey(sha256), randomBytes(storedBytes));
      return rows;
    },
    left: [2, 3, 4, 5],
  },
  {
    why: 'a chunk that is cut',
    lay: async (bucket) => {
      const rows = await laySet(bucket, SET);
      const key = packChunkKey(rows[3]?.chunk?.sha256 ?? '');
      bucket.lay(key, bucket.objects.get(key)?.bytes.subarray(0, -1) ?? '');
      return rows;
    },
    left: [0, 1, 2],
  },
  {
    why: 'an output that is not where the index says',
    lay: (bucket) =>
      laySet(bucket, {
        ...SET,
        alter: (rows) => rows.map((row, at) => (at === 1 ? { ...row, outputId: idOf('another') } : row)),
      }),
    left: [0, 2, 3, 4, 5],
  },
  {
    why: 'an output that begins in another one',
    lay: (bucket) =>
      laySet(bucket, {
        ...SET,
        alter: (rows) => rows.map((row, at) => (at === 1 ? { ...row, offset: 3 } : row)),
      }),
    left: [0, 2, 3, 4, 5],
  },
  {
    why: 'an empty output under another name',
    lay: (bucket) =>
      laySet(bucket, {
        ...SET,
        alter: (rows) => rows.map((row, at) => (at === 2 ? { ...row, outputId: idOf('full') } : row)),
      }),
    left: [0, 1, 3, 4, 5],
  },
];
for (const { why, lay, left } of wrongs) {
  test(`${why} costs its rows alone, and is told`, async (t) => {
    const { store, memory, told, ask } = rig(t);
    const rows = await lay(memory);
    const good = rows.filter((_, at) => left.includes(at));
    const got = await read(await ask());
    assert.deepEqual(
      new Map([...got.outputs].filter(([, id]) => rows.some((row) => row.outputId === id))),
      expected(good),
    );
    for (const row of rows) {
      const { action } = await store.getAction({ namespaces: [''], actionId: row.actionId, body: 'none' });
      assert.equal(action !== undefined, good.includes(row), `row ${rows.indexOf(row)}`);
    }
    assert.equal(told.length, 1, `${told}`);
  });
}

test('an index that is garbage is a miss, and so is a bucket that hangs', async (t) => {
  const { memory, told, ask } = rig(t);
  memory.lay(packSetKey(NAME.key), randomBytes(1_000));
  await assert.rejects(ask(), NotFound);
  assert.deepEqual(told, [packSetKey(NAME.key)]);
  const hanging = rig(t, () => new Promise(() => {}));
  await assert.rejects(hanging.ask(), NotFound);
});

test('notes of a bucket that can not stand in a header are left out', async (t) => {
  const { memory, ask } = rig(t);
  await laySet(memory, { ...SET, noteOf: () => `good a\r\nb ${'x'.repeat(5_000)}` });
  const { index } = await read(await ask());
  assert.deepEqual(new Set(index.map(({ note }) => note)), new Set(['good']));
});

test('what has come goes on while the next chunk does not come', async (t) => {
  const hanging = Promise.withResolvers<undefined>();
  let second = '';
  const { memory, ask } = rig(t, (key) => (key === second ? hanging.promise : undefined));
  const rows = await laySet(memory, SET);
  second = packChunkKey(rows[3]?.chunk?.sha256 ?? '');
  const body = await ask();
  const got = await read(body, 2);
  assert.deepEqual(got.outputs, expected(rows.slice(0, 2)));
  hanging.resolve(undefined);
});

test('an action that comes out of a pack is no miss, and one that is apart is not asked for', async (t) => {
  const apart = idOf('module index');
  const { memory, actions, ask } = rig(t);
  const rows = await laySet(memory, { ...SET, apart: [shortId(apart)] });
  const body = await ask();
  const before = memory.asked.length;
  assert.equal(await actions.fetch(rows[5]?.actionId ?? ''), true);
  assert.equal(await actions.fetch(apart), false);
  assert.ok(!memory.asked.slice(before).some((line) => line.includes(apart)));
  assert.deepEqual((await read(body)).apart, [shortId(apart)]);
});
