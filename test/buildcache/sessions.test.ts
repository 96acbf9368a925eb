// Goal: what a session put together comes back in one stream that any client can read, and what can't be read costs one row.
// Method: the real service over a real store; the stream is read by the client's own reader, in pieces of any size.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { brotliDecompressSync, zstdDecompressSync } from 'node:zlib';
import { lastUseOfActions } from '../../src/buildcache/last-use-of-actions.ts';
import { SESSION_STREAMS_MAX } from '../../src/buildcache/limits.ts';
import { packedChunks, uploadOutput } from '../../src/buildcache/output-upload.ts';
import { Sessions } from '../../src/buildcache/sessions.ts';
import { type StreamEncoding, streamEncodingOf } from '../../src/buildcache/stream-encoding.ts';
import { Busy, NotFound, StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { type IndexRow, shortIdsOf } from '../../src/core/session-wire.ts';
import { SessionStream } from '../../src/plugin/session-stream.ts';
import { FakeClock, openLocalStore, readAll, SeenEvents } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

const NAME = { key: id('key'), project: id('project') };
const HOUR_MS = 3_600_000;

function id(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function rig(t: TestContext) {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const clock = new FakeClock();
  const used = lastUseOfActions(store);
  const sessions = new Sessions({ store, used, clock, events: new SeenEvents() });
  const put = async (outputs: readonly Uint8Array[]) => {
    const actionIds: string[] = [];
    for (const [at, bytes] of outputs.entries()) {
      const [actionId, outputId] = [id(`action ${at}`), id(bytes)];
      await uploadOutput({ store, clock, outputId, chunks: packedChunks(pieces(bytes)) });
      await store.putAction({ namespace: '', actionId, outputId, time: `${at}`, nowMs: clock.wallMs() });
      actionIds.push(actionId);
    }
    await sessions.put({ ...NAME, namespace: '', label: 'go build', actions: shortIdsOf(actionIds) });
    return actionIds;
  };
  const ask = async ({
    held = [] as string[],
    bytesMax = 1e9,
    encoding = 'identity' as StreamEncoding,
  } = {}) => {
    const question = { ...NAME, namespaces: [''], held: shortIdsOf(held), bytesMax, encoding };
    return Buffer.from(await readAll(await sessions.stream(question)));
  };
  return { store, clock, used, sessions, put, ask };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** What a client has of a stream: the index, and each row's bytes. */
function read(stream: Buffer, pieceBytes = 1009) {
  let rows: readonly IndexRow[] = [];
  const parts = new Map<number, Buffer[]>();
  const gone: number[] = [];
  const reader = new SessionStream({
    onIndex: (index) => {
      rows = index;
    },
    onBytes: (row, bytes) => {
      const all = parts.get(row) ?? [];
      parts.set(row, all);
      all.push(Buffer.from(bytes));
    },
    onGone: (row) => gone.push(row),
  });
  for (let at = 0; at < stream.length; at += pieceBytes) reader.push(stream.subarray(at, at + pieceBytes));
  const outputs = new Map([...parts].map(([row, all]) => [row, Buffer.concat(all)]));
  return { rows, outputs, gone };
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
    const question = { ...NAME, namespaces: [''], held: new Uint8Array(0), bytesMax: 1e9, encoding };
    const body = await sessions.stream(question);
    await body.at(0);
    body.close?.();
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(store.calls.filter((call) => call === 'getOutputChunk').length < 20);
  });
}

test('past the bound of streams a session is a miss, and the store is not asked, until others have ended', async (t) => {
  const { store, sessions, put, ask } = rig(t);
  await put([randomBytes(10)]);
  const question = { ...NAME, namespaces: [''], held: new Uint8Array(0), bytesMax: 1e9 };
  const open = () => sessions.stream({ ...question, encoding: 'identity' });
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
