// Goal: a machine that has nothing gets all that a command asks for in a few requests; whatever is wrong with a pack costs
// what it was to bring, and is written anew; two writers lose no more than a set's freshness.
// Method: a real S3 server, whose objects are files that the tests read and spoil; in front of it a door that counts and fails.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { findCredentials } from '../../src/bucket/credentials.ts';
import { PACK_CONTENT_BYTES, PACK_MISSED_MAX, PACK_SMALL_CHUNKS_MAX } from '../../src/packs/limits.ts';
import {
  decodePackIndex,
  encodePackIndex,
  PACK_FRAME_BYTES,
  PACK_INDEX_BYTES_MAX,
  type PackRow,
  packSetKey,
} from '../../src/packs/pack-index.ts';
import { BucketObjects } from '../../src/plugin/bucket-objects.ts';
import { BUCKET_WRONG_MAX, PLUGIN_PAUSE_MS } from '../../src/plugin/limits.ts';
import { LocalCache } from '../../src/plugin/local-cache.ts';
import { heldActions, openPrefetch } from '../../src/plugin/open-prefetch.ts';
import { PackIndexes } from '../../src/plugin/pack-indexes.ts';
import { Packs } from '../../src/plugin/packs.ts';
import { BucketDoor, type Fault, s3Error } from '../support/bucket-door.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { filesIn } from '../support/cached-build.ts';
import { NO_KEYS } from '../support/signing-keys.ts';
import { tempDir } from '../support/temp-dir.ts';

const NAME = { key: id('key'), project: id('project'), module: id('module'), label: 'go build' };
const CLOSE_MS = 60_000;
const TRUSTING = { accepts: () => true };

let server: BucketServer;
const disposers: (() => void)[] = [];
before(async () => {
  server = await BucketServer.start(tempDir({ after: (dispose) => disposers.push(dispose) }));
});
after(async () => {
  await server.stop();
  for (const dispose of disposers) dispose();
});

function id(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Outputs by the names of their actions. */
type Outputs = Readonly<Record<string, Buffer>>;

const ONE: Outputs = {
  small: Buffer.from('small'),
  empty: Buffer.alloc(0),
  twin: Buffer.from('small'),
  long: Buffer.alloc(PACK_FRAME_BYTES + 12_345, 'A line that is there many times.\n'),
  noise: randomBytes(300_000),
  last: Buffer.from('last'),
};

/** A bucket of the test's own, and what opens machines that share it. */
async function rig(t: TestContext) {
  const door = await BucketDoor.open(t, server.url);
  const prefix = id(t.name).slice(0, 12);
  const clock = { nowMs: 1_000 };
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  const machine = (directory = join(tempDir(t), 'cache'), options = {}) => {
    const local = new LocalCache({ directory, namespace: 'main', now: Date.now, warn });
    const objects = new BucketObjects({
      bucket: { name: 'bucket', region: 'us-east-1', endpoint: new URL(door.url), isPathStyle: true, prefix },
      findCredentials: () => findCredentials(BUCKET_KEYS),
      timeoutMs: 3_000,
      now: () => clock.nowMs,
      warn,
    });
    t.after(() => objects.server.close());
    const shared = {
      shareCgo: 'off',
      uploadBytesMin: 0,
      prefetchBytesMax: 1e9,
      deltas: true,
      signatures: NO_KEYS,
      ...options,
    } as const;
    return { directory, local, objects, options: shared, packs: new Packs({ ...shared, objects, local }) };
  };
  return { door, machine, clock, warnings, directory: join(server.directory, prefix) };
}

type Rig = Awaited<ReturnType<typeof rig>>;
type Machine = ReturnType<Rig['machine']>;

/** Puts outputs into a machine's own directory, as a build does. */
function keep({ local }: Machine, outputs: Outputs): string[] {
  return Object.entries(outputs).map(([name, bytes]) => {
    const put = local.beginPut({ outputId: id(bytes), size: bytes.length });
    if (bytes.length > 0) put.write(bytes);
    put.finish({ actionId: id(name) });
    return id(name);
  });
}

/** A command that builds all of it here, and its end. */
async function build(machine: Machine, outputs: Outputs): Promise<void> {
  machine.packs.note(NAME, keep(machine, outputs));
  await machine.packs.close(CLOSE_MS);
}

/** What a command gets that asks for all of it, by the names of its actions; those that come from packs alone. */
async function fetched(machine: Machine, outputs: Outputs): Promise<string[]> {
  const { local, packs, options } = machine;
  const prefetch = openPrefetch({ name: NAME, local, packs, signatures: TRUSTING, options, now: Date.now });
  const names: string[] = [];
  for (const [name, bytes] of Object.entries(outputs)) {
    const got = await prefetch.get(id(name));
    if (got === 'alone' || got.entry === undefined) continue;
    assert.equal(id(readFileSync(got.entry.path)), id(bytes));
    names.push(name);
  }
  prefetch.close();
  return names;
}

/** Fetches what there is, makes the rest, and ends. @returns what came */
async function rebuild(machine: Machine, outputs: Outputs): Promise<string[]> {
  const came = await fetched(machine, outputs);
  await build(machine, outputs);
  return came;
}

function chunksOf({ directory }: Rig): string[] {
  return filesIn(join(directory, 'pack/chunk'));
}

function indexOf({ directory }: Rig) {
  return decodePackIndex(readFileSync(join(directory, packSetKey(NAME.key))));
}

/** What was asked for through the door, such as `GET pack/set`. */
function askedOf({ door }: Rig): string[] {
  return door.asked.map((line) => line.replace(/^([A-Z]+) .*(pack\/[a-z]+)\/.*$/, '$1 $2'));
}

test('a machine that has nothing gets all of it in two requests, and then has nothing to write', async (t) => {
  const made = await rig(t);
  await build(made.machine(), ONE);
  const [chunk = ''] = chunksOf(made);
  assert.equal(chunksOf(made).length, 1);
  assert.equal(id(readFileSync(chunk)), chunk.slice(-64));
  assert.equal(
    id(readFileSync(join(made.directory, packSetKey(NAME.project)))),
    id(encodePackIndex(indexOf(made))),
  );
  made.door.asked.length = 0;
  assert.deepEqual(await rebuild(made.machine(), ONE), Object.keys(ONE));
  assert.deepEqual(askedOf(made), ['GET pack/set', 'GET pack/chunk']);
  assert.deepEqual(made.warnings, []);
});

test('the next commit sends its change alone, and a machine that has the last one fetches that alone', async (t) => {
  const made = await rig(t);
  const [first, second] = [made.machine(), made.machine()];
  await build(first, ONE);
  await rebuild(second, ONE);
  heldActions({ name: NAME, local: second.local, now: Date.now }).add(Object.keys(ONE).map(id));
  const next = { ...ONE, changed: randomBytes(5_000) };
  made.door.asked.length = 0;
  await rebuild(first, next);
  assert.deepEqual(askedOf(made), [
    'GET pack/set',
    'GET pack/set',
    'PUT pack/chunk',
    'PUT pack/set',
    'PUT pack/set',
  ]);
  const sizes = chunksOf(made).map((path) => readFileSync(path).length);
  assert.ok(Math.min(...sizes) < 6_000, `${sizes}`);
  made.door.asked.length = 0;
  assert.deepEqual(await fetched(second, next), ['changed']);
  assert.deepEqual(askedOf(made), ['GET pack/set', 'GET pack/chunk']);
  assert.deepEqual(await fetched(made.machine(), next), Object.keys(next));
});

test('a command that nobody has run before takes what one of its project left', async (t) => {
  const made = await rig(t);
  await build(made.machine(), ONE);
  const { local, packs, options } = made.machine();
  const name = { ...NAME, key: id('another key') };
  const prefetch = openPrefetch({ name, local, packs, signatures: TRUSTING, options, now: Date.now });
  assert.notEqual(await prefetch.get(id('last')), 'alone');
  prefetch.close();
});

/** Two chunks: `large` fills the first one. */
const TWO: Outputs = { first: Buffer.from('first'), large: Buffer.alloc(PACK_CONTENT_BYTES, 'x'), ...ONE };

test('a full chunk goes while the command runs, and the set names it before the rest is written', async (t) => {
  const made = await rig(t);
  const first = made.machine();
  const [hasFirst, isHeld] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  made.door.fault = ({ method, url = '' }, response) => {
    if (method !== 'PUT' || !url.includes('pack/chunk')) return false;
    const isSecond = chunksOf(made).length > 0;
    if (isSecond) isHeld.resolve();
    else response.once('finish', hasFirst.resolve);
    return isSecond;
  };
  const used = keep(first, TWO);
  for (const actionId of used) {
    const entry = first.local.getOwn(actionId);
    if (entry !== undefined) first.packs.put(NAME, actionId, entry);
  }
  await hasFirst.promise;
  assert.deepEqual(askedOf(made), ['PUT pack/chunk'], 'before the command has ended');
  first.packs.note(NAME, used);
  await isHeld.promise;
  await first.packs.close(0);
  made.door.fault = () => false;
  assert.deepEqual(await fetched(made.machine(), TWO), ['first', 'large', 'empty']);
  made.door.asked.length = 0;
  const next = made.machine(first.directory);
  next.packs.takeSpool();
  await next.packs.close(CLOSE_MS);
  assert.equal(made.door.count(/^PUT .*pack\/chunk/), 1, 'the rest alone');
  assert.deepEqual(await fetched(made.machine(), TWO), Object.keys(TWO));
});

for (const { why, spoil } of [
  { why: 'gone', spoil: (path: string) => rmSync(path) },
  { why: 'cut', spoil: (path: string) => truncateSync(path, readFileSync(path).length - 1) },
  { why: 'empty', spoil: (path: string) => truncateSync(path, 0) },
  {
    why: 'other bytes',
    spoil: (path: string) => writeFileSync(path, randomBytes(readFileSync(path).length)),
  },
  { why: 'longer', spoil: (path: string) => appendFileSync(path, 'and more') },
  { why: 'altered in its head', spoil: (path: string) => alter(path, 0) },
  { why: 'altered in its middle', spoil: (path: string) => alter(path, 150_000) },
]) {
  test(`a chunk that is ${why} costs what it was to bring, is told once and is written anew`, async (t) => {
    const made = await rig(t);
    await build(made.machine(), TWO);
    assert.equal(chunksOf(made).length, 2);
    const { chunk } = indexOf(made).rows.find(({ actionId }) => actionId === id('noise')) ?? {};
    spoil(chunksOf(made).find((path) => path.endsWith(chunk?.sha256 ?? '?')) ?? '');
    const machine = made.machine();
    const came = await rebuild(machine, TWO);
    assert.deepEqual(came.slice(0, 2), ['first', 'large']);
    assert.ok(!came.includes('noise'));
    assert.ok(machine.objects.wrong >= 1);
    assert.match(
      made.warnings.join(),
      /^an object that is wrong or cut counts as a miss, as all such do: \/[0-9a-f]+\/pack\/chunk\/[0-9a-f/]+$/,
    );
    assert.deepEqual(await fetched(made.machine(), TWO), Object.keys(TWO));
  });
}

function alter(path: string, at: number): void {
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.fill((bytes[at] ?? 0) ^ 0xff, at, at + 1));
}

for (const { why, spoil } of [
  { why: 'of garbage', spoil: (path: string) => writeFileSync(path, randomBytes(2_000)) },
  { why: 'that is cut', spoil: (path: string) => truncateSync(path, 200) },
  { why: 'that is empty', spoil: (path: string) => truncateSync(path, 0) },
  { why: 'without end', spoil: (path: string) => truncateSync(path, PACK_INDEX_BYTES_MAX + 1) },
]) {
  test(`an index ${why} brings nothing, and is written anew`, async (t) => {
    const made = await rig(t);
    await build(made.machine(), ONE);
    const [own, projects] = [NAME.key, NAME.project].map((key) => join(made.directory, packSetKey(key)));
    rmSync(projects ?? '');
    spoil(own ?? '');
    assert.deepEqual(await rebuild(made.machine(), ONE), []);
    assert.deepEqual(await fetched(made.machine(), ONE), Object.keys(ONE));
  });
}

/** Exchanges rows of the index, as whoever writes to the bucket can. */
function forge(made: Rig, change: (row: PackRow) => PackRow): void {
  const index = indexOf(made);
  const bytes = encodePackIndex({ ...index, rows: index.rows.map(change) });
  for (const key of [NAME.key, NAME.project]) writeFileSync(join(made.directory, packSetKey(key)), bytes);
}

for (const { why, change, alsoLost } of [
  { why: "another output's bytes", change: (row: PackRow) => ({ ...row, outputId: id('no such bytes') }) },
  { why: 'a part of its bytes', change: (row: PackRow) => ({ ...row, size: row.size - 1 }) },
  {
    why: 'bytes of the row behind it',
    change: (row: PackRow) => ({ ...row, size: row.size + 2 }),
    alsoLost: 'last',
  },
  { why: 'bytes of the row before it', change: (row: PackRow) => ({ ...row, offset: row.offset - 1 }) },
]) {
  test(`a row that names ${why} is dropped, and is written anew`, async (t) => {
    const made = await rig(t);
    await build(made.machine(), ONE);
    forge(made, (row) => (row.actionId === id('noise') ? change(row) : row));
    const came = await rebuild(made.machine(), ONE);
    const lost = ['noise', alsoLost];
    assert.deepEqual(
      came,
      Object.keys(ONE).filter((name) => !lost.includes(name)),
    );
    assert.deepEqual(await fetched(made.machine(), ONE), Object.keys(ONE));
  });
}

test('what is remembered as wrong is bounded, however many indexes name it', async (t) => {
  const indexes = new PackIndexes((await rig(t)).machine().objects);
  const row = (outputId: string): PackRow => ({
    ...{ actionId: id('action'), outputId, size: 1, time: '1', note: undefined, offset: 0, missed: 0 },
    chunk: { sha256: outputId, storedBytes: 1, contentBytes: 1 },
  });
  const wrong = Array.from({ length: BUCKET_WRONG_MAX + 1 }, (_, at) =>
    row(at.toString(16).padStart(64, '0')),
  );
  for (const one of wrong) {
    indexes.noteWrongRow(one);
    if (one.chunk !== undefined) indexes.noteWrongChunk(one.chunk);
  }
  assert.equal(wrong.filter((one) => indexes.isWrong(one)).length, BUCKET_WRONG_MAX);
});

test('two that write at the same moment lose no more than what the other one added, until the next build', async (t) => {
  const made = await rig(t);
  const [here, there]: [Outputs, Outputs] = [
    { ...ONE, here: randomBytes(99) },
    { ...ONE, there: randomBytes(99) },
  ];
  await Promise.all([build(made.machine(), here), build(made.machine(), there)]);
  const [cameHere, cameThere] = [await fetched(made.machine(), here), await fetched(made.machine(), there)];
  for (const came of [cameHere, cameThere]) assert.deepEqual(came.slice(0, 6), Object.keys(ONE));
  await rebuild(made.machine(), here);
  await rebuild(made.machine(), there);
  assert.deepEqual(await fetched(made.machine(), { ...here, ...there }), [
    ...Object.keys(ONE),
    'here',
    'there',
  ]);
});

test('what several builds in a row did without leaves the set, unless they were of another kind', async (t) => {
  const made = await rig(t);
  const machine = made.machine();
  await build(machine, { ...ONE, gone: Buffer.from('gone') });
  const has = (name: string) => indexOf(made).rows.some(({ actionId }) => actionId === id(name));
  for (let at = 0; at <= PACK_MISSED_MAX; at++)
    await build(machine, { [`part ${at % 2}`]: Buffer.from(`${at % 2}`) });
  for (let at = 0; at <= PACK_MISSED_MAX; at++) {
    assert.ok(has('gone'), `${at}`);
    await build(machine, { ...ONE, [`commit ${at}`]: Buffer.from(`commit ${at}`) });
  }
  assert.ok(!has('gone') && has('last'));
});

test('small chunks are joined before they are many, and a chunk of mostly dead weight is packed anew', async (t) => {
  const made = await rig(t);
  const machine = made.machine();
  const commits = PACK_SMALL_CHUNKS_MAX + 3;
  for (let at = 0; at < commits; at++)
    await build(machine, { ...ONE, [`commit ${at}`]: Buffer.from(`${at}`) });
  const inUse = () =>
    new Set(
      indexOf(made)
        .rows.map(({ chunk }) => chunk?.sha256)
        .filter((one) => one !== undefined),
    );
  assert.ok(inUse().size <= PACK_SMALL_CHUNKS_MAX, `${inUse().size}`);
  assert.ok(chunksOf(made).length > inUse().size); // Old ones stay.
  const heavy = Array.from({ length: PACK_MISSED_MAX + 2 }, (_, at) => ({
    ...ONE,
    [`heavy ${at}`]: randomBytes(2e6),
  }));
  await build(machine, { ...ONE, dead: randomBytes(6e6), alive: randomBytes(1e6) });
  for (const one of heavy)
    await build(machine, { ...one, alive: readFileSync(machine.local.get(id('alive'))?.path ?? '') });
  const bytes = [...inUse()].map(
    (name) => readFileSync(join(made.directory, 'pack/chunk', name.slice(0, 2), name)).length,
  );
  assert.ok(bytes.reduce((sum, one) => sum + one, 0) < 6e6 + heavy.length * 2e6, `${bytes}`);
  const last = { ...heavy.at(-1), alive: readFileSync(machine.local.get(id('alive'))?.path ?? '') };
  assert.deepEqual(await fetched(made.machine(), last), Object.keys(last));
});

test('what no machine takes from another one is in no chunk, and need not be asked for', async (t) => {
  const made = await rig(t);
  const own: Outputs = {
    index: Buffer.from('go index v2\nand more'),
    cgo: Buffer.from('// Code generated by cmd/cgo; DO NOT EDIT.\n'),
  };
  await build(made.machine(), { ...ONE, ...own });
  assert.deepEqual(
    indexOf(made).rows.map(({ actionId }) => actionId),
    Object.keys(ONE).map(id),
  );
  const { local, packs, options } = made.machine();
  const prefetch = openPrefetch({ name: NAME, local, packs, signatures: TRUSTING, options, now: Date.now });
  for (const name of ['index', 'cgo', 'unknown']) assert.equal(await prefetch.get(id(name)), 'alone');
  // With --share-cgo=on a machine would take it.
  assert.deepEqual(
    ['index', 'cgo', 'unknown'].map((name) => prefetch.rulesOut(id(name))),
    [true, false, false],
  );
  prefetch.close();
});

test('an output that is damaged here is not packed, and all others are at the next try', async (t) => {
  const made = await rig(t);
  const machine = made.machine();
  const used = keep(machine, ONE);
  writeFileSync(machine.local.get(id('noise'))?.path ?? '', Buffer.alloc(300_000));
  machine.packs.note(NAME, used);
  await machine.packs.close(CLOSE_MS);
  const next = made.machine(machine.directory);
  next.packs.takeSpool();
  await next.packs.close(CLOSE_MS);
  const { noise, ...others } = ONE;
  assert.deepEqual(await fetched(made.machine(), ONE), Object.keys(others));
  assert.deepEqual(filesIn(join(machine.directory, 'pack-spool')), []);
});

test('outputs past --prefetch do not come, and small ones stay here as --min-upload-size says', async (t) => {
  const made = await rig(t);
  await build(made.machine(undefined, { uploadBytesMin: 5 }), TWO);
  assert.ok(!indexOf(made).rows.some(({ actionId }) => actionId === id('last') || actionId === id('empty')));
  made.door.asked.length = 0;
  assert.deepEqual(await fetched(made.machine(undefined, { prefetchBytesMax: 5e6 }), TWO), [
    'first',
    'small',
    'twin',
    'long',
    'noise',
  ]);
});

for (const { why, fail } of [
  { why: 'that puts off', fail: s3Error(503, 'SlowDown') },
  { why: 'that fails', fail: s3Error(500, 'InternalError') },
  { why: 'whose keys ran out', fail: s3Error(400, 'ExpiredToken') },
  {
    why: 'that takes no puts',
    fail: ((request, response) =>
      request.method === 'PUT' && s3Error(403, 'AccessDenied')(request, response)) satisfies Fault,
  },
  {
    why: 'that takes no index',
    fail: ((request, response) =>
      request.method === 'PUT' &&
      /pack\/set/.test(request.url ?? '') &&
      s3Error(503, 'SlowDown')(request, response)) satisfies Fault,
  },
]) {
  test(`a bucket ${why} costs one line, and the next run writes what is left`, async (t) => {
    const made = await rig(t);
    const machine = made.machine();
    made.door.fault = fail;
    assert.deepEqual(await rebuild(machine, ONE), []);
    assert.deepEqual(await fetched(made.machine(), ONE), []);
    assert.ok(made.warnings.length >= 1 && made.warnings.length <= 2, `${made.warnings}`);
    made.door.fault = () => false;
    const next = made.machine(machine.directory);
    next.packs.takeSpool();
    await next.packs.close(CLOSE_MS);
    assert.deepEqual(await fetched(made.machine(), ONE), Object.keys(ONE));
    assert.deepEqual(filesIn(join(machine.directory, 'pack-spool')), []);
  });
}

test('a bucket that is gone and comes back gets what it missed', async (t) => {
  const made = await rig(t);
  const machine = made.machine();
  await made.door.shut();
  assert.deepEqual(await rebuild(machine, ONE), []);
  await made.door.reopen();
  made.clock.nowMs += PLUGIN_PAUSE_MS;
  const next = made.machine(machine.directory);
  next.packs.takeSpool();
  await next.packs.close(CLOSE_MS);
  assert.deepEqual(await fetched(made.machine(), ONE), Object.keys(ONE));
});

/** Sends a part of each chunk, as a real server does, and then what `end` does. */
function cutting(made: Rig, end: (response: ServerResponse) => void, times = Infinity): Fault {
  let left = times;
  return (request, response) => {
    const path = chunksOf(made).find((one) => request.url?.endsWith(one.slice(-64)));
    if (path === undefined || left-- <= 0) return false;
    const bytes = readFileSync(path);
    response.writeHead(200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, bytes.length / 2), () => end(response));
    return true;
  };
}

test('a chunk whose body breaks goes on where it broke', async (t) => {
  const made = await rig(t);
  await build(made.machine(), ONE);
  made.door.fault = cutting(made, (response) => response.destroy(), 1);
  made.door.asked.length = 0;
  assert.deepEqual(await fetched(made.machine(), ONE), Object.keys(ONE));
  assert.deepEqual(askedOf(made), ['GET pack/set', 'GET pack/chunk', 'GET pack/chunk']);
});

for (const { why, end } of [
  { why: 'breaks again and again', end: (response: ServerResponse) => void response.destroy() },
  { why: 'stops', end: () => {} },
]) {
  test(`a chunk whose body ${why} lets go of what waits for it`, async (t) => {
    const made = await rig(t);
    await build(made.machine(), ONE);
    made.door.fault = cutting(made, end);
    const machine = made.machine();
    const came = await fetched(machine, ONE);
    assert.ok(!came.includes('last'), `${came}`);
    assert.equal(machine.objects.wrong, 0);
    assert.ok(made.warnings.length <= 1, `${made.warnings}`);
  });
}
