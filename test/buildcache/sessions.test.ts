// Goal: what a session put together comes back in one stream that any client can read, and what can't be read costs one row.
// Method: the real service over a real store; the stream is read by the client's own reader, in pieces of any size.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { brotliDecompressSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { lastUseOfActions } from '../../src/buildcache/last-use-of-actions.ts';
import { SESSION_LONG_WINDOWS_MAX, SESSION_STREAMS_MAX } from '../../src/buildcache/limits.ts';
import { packedChunks, uploadOutput } from '../../src/buildcache/output-upload.ts';
import { Sessions } from '../../src/buildcache/sessions.ts';
import { type StreamEncoding, streamEncodingOf } from '../../src/buildcache/stream-encoding.ts';
import { decodeDelta } from '../../src/core/delta.ts';
import { Busy, NotFound, StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import {
  encodeFrameHead,
  encodeIndex,
  FRAME,
  type IndexRow,
  shortIdsOf,
} from '../../src/core/session-wire.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { SessionStream } from '../../src/plugin/session-stream.ts';
import { FakeClock, openLocalStore, readAll, SeenEvents } from '../support/fakes.ts';
import { goArchive, withChange } from '../support/go-archive.ts';
import { tempDir } from '../support/temp-dir.ts';

const NAME = { key: id('key'), project: id('project') };
const HOUR_MS = 3_600_000;
const NOTHING = new Uint8Array(0);

function id(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function rig(t: TestContext) {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const clock = new FakeClock();
  const used = lastUseOfActions(store);
  const metrics = new Metrics();
  const events = Object.assign(new SeenEvents(), {
    buildCacheAsked: (op: string, result: string) => metrics.buildCacheRequests.inc({ op, result }),
  });
  const sessions = new Sessions({ store, used, clock, events });
  const put = async (outputs: readonly Uint8Array[], { commit = '', namespace = '' } = {}) => {
    const actionIds: string[] = [];
    for (const [at, bytes] of outputs.entries()) {
      const [actionId, outputId] = [id(`action ${commit}${at}`), id(bytes)];
      await uploadOutput({ store, clock, outputId, chunks: packedChunks(pieces(bytes)) });
      await store.putAction({ namespace, actionId, outputId, time: `${at}`, nowMs: clock.wallMs() });
      actionIds.push(actionId);
    }
    await sessions.put({ ...NAME, namespace, label: 'go build', actions: shortIdsOf(actionIds) });
    return actionIds;
  };
  const ask = async ({
    held = [] as string[],
    bytesMax = 1e9,
    encoding = 'identity' as StreamEncoding,
    namespaces = [''],
    takesDeltas = false,
    takesPacked = false,
  } = {}) => {
    const question = {
      ...NAME,
      namespaces,
      held: shortIdsOf(held),
      bytesMax,
      encoding,
      takesDeltas,
      takesPacked,
      takesApart: false,
    };
    return Buffer.from(await readAll((await sessions.stream(question)).body));
  };
  return { store, clock, used, sessions, metrics, put, ask };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** What a client has of a stream: the index, and each row's bytes. */
function read(stream: Buffer, pieceBytes = 1009) {
  let rows: readonly IndexRow[] = [];
  const parts = new Map<number, Buffer[]>();
  const gone: number[] = [];
  const bases = new Map<number, string>();
  const deltas = new Map<number, Buffer[]>();
  const reader = new SessionStream({
    onIndex: (index) => {
      rows = index;
    },
    onBytes: (row, bytes) => {
      const all = parts.get(row) ?? [];
      parts.set(row, all);
      all.push(Buffer.from(bytes));
    },
    onBase: (row, outputId) => bases.set(row, outputId),
    onDelta: (row, delta) => {
      deltas.set(row, [...(deltas.get(row) ?? []), Buffer.from(delta)]);
    },
    onGone: (row) => gone.push(row),
  });
  for (let at = 0; at < stream.length; at += pieceBytes) reader.push(stream.subarray(at, at + pieceBytes));
  const outputs = new Map([...parts].map(([row, all]) => [row, Buffer.concat(all)]));
  return { rows, outputs, gone, bases, deltas };
}

const encodings: { encoding: StreamEncoding; decode: (stream: Buffer) => Buffer }[] = [
  { encoding: 'identity', decode: (stream) => stream },
  { encoding: 'zstd', decode: (stream) => zstdDecompressSync(stream) },
  { encoding: 'br', decode: (stream) => brotliDecompressSync(stream) },
];
for (const { encoding, decode } of encodings) {
  test(`all outputs of a session come in one stream, each once: ${encoding}`, async (t) => {
    const { put, ask } = rig(t);
    const outputs = [10, 0, 70_000, CHUNK_BYTES, 2 * CHUNK_BYTES + 1, 3].map((size) => randomBytes(size));
    const actionIds = await put([...outputs, outputs[2] ?? Buffer.alloc(0)]);
    for (const pieceBytes of [7, 1e9]) {
      const got = read(decode(await ask({ encoding })), pieceBytes);
      assert.deepEqual(
        got.rows.map(({ actionId }) => actionId),
        actionIds,
      );
      assert.deepEqual(
        got.rows.map(({ time }) => time),
        actionIds.map((_, at) => `${at}`),
      );
      for (const [row, { outputId, size }] of got.rows.entries()) {
        if (row === actionIds.length - 1 || size === 0) assert.equal(got.outputs.get(row), undefined);
        else assert.equal(id(got.outputs.get(row) ?? ''), outputId);
      }
    }
  });
}

test('clients that ask together get the same, and each chunk is read about once', async (t) => {
  const { store, put, ask } = rig(t);
  const outputs = Array.from({ length: 12 }, () => randomBytes(CHUNK_BYTES + 1));
  await put(outputs);
  let reads = 0;
  const { getOutputChunk } = store;
  Object.assign(store, {
    getOutputChunk: (request: Parameters<typeof getOutputChunk>[0]) => {
      reads++;
      return getOutputChunk(request);
    },
  });
  const streams = await Promise.all([1, 2, 3, 4].map(() => ask()));
  assert.deepEqual(new Set(streams.map(id)).size, 1);
  // Of the first one, what is read before the second begins is kept for nobody.
  assert.ok(reads < 3 * 24, `${reads} reads of 24 chunks`);
});

test('past the bound of streams that are packed as one, chunks go as they are stored to clients that take them so', async (t) => {
  const { sessions, put, ask } = rig(t);
  const text = Buffer.from(randomBytes(50_000).toString('hex'));
  const outputs = [
    text,
    Buffer.concat([text, randomBytes(CHUNK_BYTES)]),
    randomBytes(3 * CHUNK_BYTES),
    Buffer.alloc(900_000, text),
  ];
  await put(outputs);
  const question = {
    ...NAME,
    namespaces: [''],
    held: NOTHING,
    bytesMax: 1e9,
    encoding: 'zstd',
    takesDeltas: false,
    takesApart: false,
  } as const;
  const open = (takesPacked: boolean) => sessions.stream({ ...question, takesPacked });
  const others = await Promise.all(Array.from({ length: SESSION_LONG_WINDOWS_MAX }, () => open(true)));
  assert.deepEqual(new Set(others.map(({ encoding }) => encoding)), new Set(['zstd']));
  const { body, encoding } = await open(true);
  assert.equal(encoding, 'identity');
  assert.equal((await open(false)).encoding, 'zstd', 'it takes nothing else');
  const stream = Buffer.from(await readAll(body));
  assert.ok(stream.length < (await ask()).length - 500_000, `${stream.length} bytes`);
  const got = read(stream);
  for (const [row, { outputId }] of got.rows.entries())
    assert.equal(id(got.outputs.get(row) ?? ''), outputId);
  assert.equal(got.outputs.size, outputs.length);
});

test('a packed chunk that can not be unpacked costs its row alone', () => {
  const frame = (row: number, content: Buffer) =>
    Buffer.concat([encodeFrameHead({ row, kind: FRAME.packed, length: content.length }), content]);
  const good = zstdCompressSync(Buffer.from('good'));
  const stream = Buffer.concat([encodeIndex([]), frame(1, randomBytes(100)), frame(2, good)]);
  const { gone, outputs } = read(stream);
  assert.deepEqual([gone, outputs.get(2)?.toString()], [[1], 'good']);
});

test('what the client holds is not sent, and outputs past its bound are only named', async (t) => {
  const { put, ask } = rig(t);
  const actionIds = await put([randomBytes(5), randomBytes(50), randomBytes(6)]);
  assert.deepEqual([...read(await ask({ bytesMax: 11 })).outputs.keys()], [0, 2]);
  const { rows } = read(await ask({ held: actionIds.slice(0, 2), bytesMax: 0 }));
  assert.deepEqual(
    rows.map(({ actionId }) => actionId),
    actionIds.slice(2),
  );
});

test('an output that can not be read costs its row alone', async (t) => {
  const { store, put, ask } = rig(t);
  await put([randomBytes(3 * CHUNK_BYTES), randomBytes(10), randomBytes(20)]);
  const { getOutputChunk } = store;
  const failing: Pick<typeof store, 'getOutputChunk'> = {
    getOutputChunk: (request) =>
      request.seq === 1 ? Promise.reject(new StoreFailed('damaged')) : getOutputChunk(request),
  };
  Object.assign(store, failing);
  const { rows, outputs, gone } = read(await ask());
  assert.deepEqual(gone, [0]);
  for (const row of [1, 2]) assert.equal(id(outputs.get(row) ?? ''), rows[row]?.outputId);
});

test('what is sent counts as used', async (t) => {
  const { store, clock, used, put, ask } = rig(t);
  await put([randomBytes(5)]);
  clock.pass(2 * HOUR_MS);
  await ask();
  await used.flush(clock.wallMs());
  const { action } = await store.getAction({ namespaces: [''], actionId: id('action 0'), body: 'none' });
  assert.equal(action?.usedAtMs, clock.wallMs());
});

test('a session that nobody put is a miss; on a full disk none is noted', async (t) => {
  const { store, sessions, ask } = rig(t);
  await assert.rejects(ask(), NotFound);
  store.full = 'full';
  const noted = sessions.put({ ...NAME, namespace: '', label: '', actions: new Uint8Array(0) });
  await assert.rejects(noted, Busy);
});

for (const encoding of ['identity', 'zstd', 'br'] as const) {
  test(`a client that goes in the middle ends the reading: ${encoding}`, async (t) => {
    const { store, sessions, put } = rig(t);
    await put(Array.from({ length: 40 }, () => randomBytes(CHUNK_BYTES)));
    const question = {
      ...NAME,
      namespaces: [''],
      held: new Uint8Array(0),
      bytesMax: 1e9,
      encoding,
      takesDeltas: false,
      takesPacked: false,
      takesApart: false,
    };
    const { body } = await sessions.stream(question);
    await body.at(0);
    body.close?.();
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(store.calls.filter((call) => call === 'getOutputChunk').length < 20);
  });
}

test('past the bound of streams a session is a miss, and the store is not asked, until others have ended', async (t) => {
  const { store, sessions, put, ask } = rig(t);
  await put([randomBytes(10)]);
  const question = {
    ...NAME,
    namespaces: [''],
    held: new Uint8Array(0),
    bytesMax: 1e9,
    takesDeltas: false,
    takesApart: false,
  };
  const plain = { encoding: 'identity', takesPacked: false } as const;
  const open = async () => (await sessions.stream({ ...question, ...plain })).body;
  const others = await Promise.all(Array.from({ length: SESSION_STREAMS_MAX }, open));
  for (const other of others) await other.at(0);
  const asked = store.calls.length;
  await assert.rejects(ask(), NotFound);
  assert.equal(store.calls.length, asked);
  for (const other of others) other.close?.();
  await new Promise(setImmediate);
  assert.equal(read(await ask()).outputs.size, 1);
});

for (const stream of ['ffffffff', '05000000aabbccddee', '000000000000000007000000000000']) {
  test(`garbage is told from a stream: ${stream}`, () => {
    assert.throws(() => read(Buffer.from(stream, 'hex')));
  });
}

test('of the encodings that a client takes, zstd comes first', () => {
  const encodingOf = (accepted: string) => streamEncodingOf(accepted);
  assert.deepEqual(['', 'gzip', 'gzip, br', 'br,zstd'].map(encodingOf), [
    'identity',
    'identity',
    'br',
    'zstd',
  ]);
});

const LIB = { path: 'example.com/lib' };

/** An output out of its deltas. */
function undo(deltas: readonly Buffer[], base: Buffer): Buffer {
  const parts = deltas.flatMap((delta, part) => [
    ...decodeDelta(delta, { at: part * CHUNK_BYTES, baseSize: base.length }),
  ]);
  return Buffer.concat(
    parts.map((piece) =>
      'bytes' in piece ? piece.bytes : base.subarray(piece.from, piece.from + piece.length),
    ),
  );
}

test('a new version of a package that the client has comes as a delta, packed or not', async (t) => {
  const { put, ask } = rig(t);
  const old = goArchive({ ...LIB, body: randomBytes(2 * CHUNK_BYTES) });
  const changed = withChange(old, 100_000);
  const held = await put([old]);
  await put([changed, goArchive({ path: 'example.com/other' })], { commit: 'next' });
  for (const { encoding, decode } of encodings) {
    const got = read(decode(await ask({ held, takesDeltas: true, encoding })));
    assert.deepEqual([...got.bases], [[0, id(old)]]);
    const deltas = got.deltas.get(0) ?? [];
    assert.ok(Buffer.concat(deltas).length < 200);
    assert.ok(undo(deltas, old).equals(changed));
    assert.equal(id(got.outputs.get(1) ?? ''), got.rows[1]?.outputId);
  }
});

test('a chunk that shares nothing with the old output comes plain between deltas', async (t) => {
  const { put, ask } = rig(t);
  const old = goArchive({ ...LIB, body: randomBytes(5 * CHUNK_BYTES) });
  const changed = Buffer.concat([
    old.subarray(0, CHUNK_BYTES),
    randomBytes(CHUNK_BYTES),
    old.subarray(2 * CHUNK_BYTES),
  ]);
  const held = await put([old]);
  await put([changed], { commit: 'next' });
  const got = read(await ask({ held, takesDeltas: true }));
  assert.ok(got.outputs.get(0)?.equals(changed.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES)));
  assert.equal(got.deltas.get(0)?.length, 5);
});

const OLD = goArchive(LIB);
const NO_DELTA: {
  why: string;
  old?: Buffer;
  changed: Buffer;
  namespace?: string;
  isHeld?: boolean;
  takesDeltas?: boolean;
}[] = [
  {
    why: 'who does not ask for deltas',
    changed: withChange(OLD, 9_000),
    takesDeltas: false,
  },
  { why: 'who does not have it', changed: withChange(OLD, 9_000), isHeld: false },
  { why: 'another package', changed: goArchive({ path: 'example.com/b' }) },
  { why: 'another target', changed: goArchive({ ...LIB, target: 'linux arm64 go1.26.8' }) },
  { why: 'no archive', old: randomBytes(50_000), changed: randomBytes(50_001) },
  { why: 'a small one', changed: goArchive({ ...LIB, body: randomBytes(1000) }) },
  { why: 'one that has grown a lot', changed: goArchive({ ...LIB, body: randomBytes(2_000_000) }) },
  { why: 'a namespace that the client does not read', changed: withChange(OLD, 9_000), namespace: 'theirs' },
];
for (const { why, old = OLD, changed, namespace = '', isHeld = true, takesDeltas = true } of NO_DELTA) {
  test(`an output comes whole: ${why}`, async (t) => {
    const { put, ask } = rig(t);
    const held = await put([old], { namespace });
    await put([changed], { commit: 'next' });
    const got = read(await ask({ held: isHeld ? held : [], takesDeltas }));
    assert.equal(got.bases.size + got.deltas.size, 0);
    const row = got.rows.findIndex(({ outputId }) => outputId === id(changed));
    assert.ok(got.outputs.get(row)?.equals(changed));
  });
}

test('an old output may be that of another namespace that the client reads', async (t) => {
  const { put, ask } = rig(t);
  const held = await put([OLD]);
  await put([withChange(OLD, 9_000)], { commit: 'next', namespace: 'branch' });
  const got = read(await ask({ held, takesDeltas: true, namespaces: ['branch', ''] }));
  assert.deepEqual([...got.bases], [[0, id(OLD)]]);
});

test('of several versions that the client has, the one of the nearest size serves', async (t) => {
  const { put, ask } = rig(t);
  const changed = withChange(OLD, 9_000);
  const versions = [OLD, withChange(OLD, 9_000, randomBytes(9)), withChange(OLD, 9_000, randomBytes(5_000))];
  const held = await put(versions);
  await put([changed], { commit: 'next' });
  const got = read(await ask({ held, takesDeltas: true }));
  assert.deepEqual([...got.bases], [[0, id(versions[1] ?? '')]]);
});

test('where the old output goes in the middle, the new one comes whole', async (t) => {
  const { store, put, ask } = rig(t);
  const held = await put([OLD]);
  const changed = withChange(OLD, 9_000);
  await put([changed], { commit: 'next' });
  const { getSession } = store;
  const dropping: Pick<typeof store, 'getSession'> = {
    getSession: async (request) => {
      const found = await getSession(request);
      await store.dropOutput({ blob: found.actions[0]?.base?.blob ?? 0 });
      return found;
    },
  };
  Object.assign(store, dropping);
  const got = read(await ask({ held, takesDeltas: true }));
  assert.equal(got.deltas.size, 0);
  assert.ok(got.outputs.get(0)?.equals(changed));
});

test('outputs that a session sends count as hits: clients do not ask for them again', async (t) => {
  const { put, ask, metrics } = rig(t);
  await put([randomBytes(10), randomBytes(2 * CHUNK_BYTES), Buffer.alloc(0)]);
  await ask();
  assert.equal((await metrics.totals()).buildHits, 2);
});
