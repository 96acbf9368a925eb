// Goal: what clients of a server built comes into packs that cache programs and other servers read; each session adds what is new, and
// writes nothing where nothing is. Other namespaces stay here.
// Method: the real store and its queue, and the pump over an object store in memory.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { packedChunks, uploadOutput } from '../../src/buildcache/output-upload.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { shortIdsOf } from '../../src/core/session-wire.ts';
import { ChunkReading } from '../../src/packs/chunk-reading.ts';
import { decodePackIndex, packChunkKey, packSetKey, shortId } from '../../src/packs/pack-index.ts';
import { planReading } from '../../src/packs/reading-plan.ts';
import { ZstdUnpacker } from '../../src/packs/zstd-streams.ts';
import { SET_UPLOAD_AFTER_MS } from '../../src/store/limits.ts';
import { PACK_KNOWN_MS } from '../../src/tier/limits.ts';
import { PackIndexes } from '../../src/tier/pack-indexes.ts';
import { Pump } from '../../src/tier/pump.ts';
import { WrongObjects } from '../../src/tier/wrong-objects.ts';
import { FakeClock, openLocalStore } from '../support/fakes.ts';
import { MemoryObjectStore } from '../support/memory-object-store.ts';
import { idOf, laySet } from '../support/packed-bucket.ts';
import { tempDir } from '../support/temp-dir.ts';

const NAME = { key: idOf('key'), project: idOf('project'), label: 'go build' };
const SIGNATURE = (letter: string) => `v1:${letter.repeat(16)}:${letter.repeat(86)}`;

/** A server whose bucket is shared with others. */
async function node(
  t: TestContext,
  { bucket = new MemoryObjectStore(), outputBytesMin = 0, hasObjects = true } = {},
) {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  await store.keepUploads({ isOn: true });
  const clock = new FakeClock();
  const told: string[] = [];
  const wrong = new WrongObjects((key) => told.push(key));
  const indexes = new PackIndexes({ bucket, wrong, clock });
  const events = {
    uploaded: () => {},
    uploadFailed: (what: string, why: string) => told.push(`${what}: ${why}`),
    housekeepingFailed: (why: string) => told.push(why),
  };
  const pump = new Pump({
    ...{ store, bucket, wrong, clock, indexes, events, outputBytesMin, hasObjects },
    ...{ isAllowed: () => true, answers: () => 0, lanes: 2 },
  });
  pump.hurry();
  /** Puts actions, each with its output, and a session of them. */
  const session = async (outputs: Readonly<Record<string, Uint8Array>>, put: SessionPut = {}) => {
    const { namespace = '', apart = [], note, key = NAME.key } = put;
    for (const [name, bytes] of Object.entries(outputs)) {
      const outputId = idOf(bytes);
      await uploadOutput({ store, clock, outputId, chunks: packedChunks(pieces(bytes)) });
      const action = { namespace, actionId: idOf(name), outputId, time: '17', nowMs: clock.wallMs() };
      await store.putAction({ ...action, ...(note !== undefined && { note }) });
    }
    const actions = shortIdsOf([...Object.keys(outputs), ...apart].map(idOf));
    const counted = { actions, apart: apart.length, nowMs: clock.wallMs() };
    await store.putSession({ ...NAME, key, namespace, ...counted });
    clock.pass(SET_UPLOAD_AFTER_MS);
    await pump.drain();
  };
  return { store, bucket, clock, told, wrong, session, pump };
}

type SessionPut = {
  readonly namespace?: string;
  readonly apart?: readonly string[];
  readonly note?: string;
  readonly key?: string;
};

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** What the packs of a bucket hold of a set, as whoever reads it sees it: outputs by actions. */
async function packed(bucket: MemoryObjectStore, key = NAME.key) {
  const index = decodePackIndex(bucket.objects.get(packSetKey(key))?.bytes ?? Buffer.alloc(0));
  const parts = new Map<string, Buffer[]>();
  const unpacker = new ZstdUnpacker();
  const plan = planReading({ index, isHere: () => false, bytesMax: Infinity });
  for (const part of plan.parts) {
    const reading = new ChunkReading(part, unpacker, ({ outputId }, bytes) => {
      parts.set(outputId, [...(parts.get(outputId) ?? []), Buffer.from(bytes)]);
    });
    assert.ok(
      await reading.read(
        pieces(bucket.objects.get(packChunkKey(part.chunk.sha256))?.bytes ?? Buffer.alloc(0)),
      ),
    );
  }
  unpacker.close();
  for (const [outputId, all] of parts) assert.equal(idOf(Buffer.concat(all)), outputId);
  const rows = index.rows.map(({ actionId, outputId, note }) => ({ actionId, outputId, note }));
  return { rows, apart: index.apart };
}

function row([name, bytes]: readonly [string, Uint8Array], note?: string) {
  return { actionId: idOf(name), outputId: idOf(bytes), note };
}

function rowsOf(outputs: Readonly<Record<string, Uint8Array>>) {
  return Object.entries(outputs).map((one) => row(one));
}

function written(bucket: MemoryObjectStore): string[] {
  return bucket.asked.filter((line) => line.startsWith('put pack/'));
}

const FIRST = {
  large: randomBytes(2 * CHUNK_BYTES + 5),
  small: randomBytes(10),
  empty: Buffer.alloc(0),
  twin: Buffer.from('same'),
  other: Buffer.from('same'),
};

test("a session's set comes into packs, for its command and for its project", async (t) => {
  const { bucket, told, session } = await node(t);
  await session(FIRST, { apart: ['module index'] });
  for (const key of [NAME.key, NAME.project]) {
    const { rows, apart } = await packed(bucket, key);
    assert.deepEqual(rows, rowsOf(FIRST));
    assert.deepEqual(apart, [shortId(idOf('module index'))]);
  }
  assert.deepEqual(told, []);
  assert.equal(written(bucket).length, 3);
});

test('the same again writes nothing, and what is new is one chunk more', async (t) => {
  const { bucket, clock, session } = await node(t);
  await session(FIRST);
  const before = written(bucket).length;
  await session(FIRST);
  clock.pass(PACK_KNOWN_MS);
  await session(FIRST);
  assert.equal(written(bucket).length, before);
  const next = { ...FIRST, small: FIRST.small, more: randomBytes(100) };
  await session(next);
  assert.deepEqual((await packed(bucket)).rows, rowsOf(next));
  const chunks = written(bucket).filter((line) => line.includes('chunk'));
  assert.equal(chunks.length, 2);
});

test('two servers add to one set', async (t) => {
  const first = await node(t);
  const second = await node(t, first);
  const other = { theirs: randomBytes(50) };
  await first.session(FIRST);
  await second.session(other);
  const all = new Map((await packed(first.bucket)).rows.map((one) => [one.actionId, one]));
  assert.deepEqual(all, new Map([...rowsOf(FIRST), ...rowsOf(other)].map((one) => [one.actionId, one])));
  await second.session({ ...FIRST, ...other });
  const chunks = written(first.bucket).filter((line) => line.includes('chunk'));
  assert.equal(chunks.length, 2);
});

test('a session of another namespace stays here, and so do its actions', async (t) => {
  const { bucket, session } = await node(t);
  await session(FIRST, { namespace: 'mine' });
  assert.deepEqual(bucket.asked, []);
  await session({ public: randomBytes(9) });
  const { rows } = await packed(bucket);
  assert.deepEqual(
    rows.map(({ actionId }) => actionId),
    [idOf('public')],
  );
});

test('smaller outputs than --min-upload-size stay here', async (t) => {
  const { bucket, session } = await node(t, { outputBytesMin: 11 });
  await session(FIRST);
  const { rows } = await packed(bucket);
  assert.deepEqual(rows, rowsOf({ large: FIRST.large }));
});

test('with --layout=packs nothing else is written', async (t) => {
  const { bucket, session } = await node(t, { hasObjects: false });
  await session(FIRST);
  assert.deepEqual((await packed(bucket)).rows, rowsOf(FIRST));
  assert.deepEqual(
    [...bucket.objects.keys()].filter((key) => !key.startsWith('pack/')),
    [],
  );
});

test('signatures go along, and come to rows that lack them', async (t) => {
  const { bucket, session } = await node(t);
  const one = { signed: randomBytes(30) };
  const [a, b] = [SIGNATURE('a'), SIGNATURE('b')];
  await session(one);
  await session(one, { note: a });
  assert.deepEqual((await packed(bucket)).rows, [row(['signed', one.signed], a)]);
  const other = await node(t, { bucket });
  await other.session(one, { note: b });
  assert.deepEqual((await packed(bucket)).rows, [row(['signed', one.signed], `${b} ${a}`)]);
  const before = written(bucket).length;
  await session(one, { note: a });
  assert.equal(written(bucket).length, before);
});

test('a set that waited is there after a restart, and one that is stored no more needs nothing', async (t) => {
  const { store, bucket, clock, told, pump } = await node(t);
  await store.putSession({ ...NAME, namespace: '', actions: shortIdsOf([idOf('x')]), nowMs: clock.wallMs() });
  await pump.drain();
  assert.equal((await store.getUploadCounts({})).waiting, 1);
  await store.forgetActions({});
  clock.pass(SET_UPLOAD_AFTER_MS);
  await pump.drain();
  assert.deepEqual([(await store.getUploadCounts({})).waiting, written(bucket), told], [0, [], []]);
});

test('a chunk that is wrong in the bucket is replaced by whoever has its outputs', async (t) => {
  const { bucket, wrong, session } = await node(t);
  const outputs = [randomBytes(100), randomBytes(200)];
  const rows = await laySet(bucket, { key: NAME.key, chunks: [outputs] });
  const key = packChunkKey(rows[0]?.chunk?.sha256 ?? '');
  const right = bucket.objects.get(key)?.bytes;
  const mine = Object.fromEntries(outputs.map((bytes, at) => [`action ${at}`, bytes]));
  bucket.lay(key, 'altered');
  await session(mine);
  assert.deepEqual(written(bucket), []); // Nobody has read it yet.
  wrong.note(key, 'not what its name says');
  await session(mine);
  assert.deepEqual(bucket.objects.get(key)?.bytes, right);
  assert.deepEqual((await packed(bucket)).rows, rowsOf(mine));
});
