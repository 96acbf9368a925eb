// Goal: one database's answers stay consistent while its tree grows, while clients of all kinds ask at the same time,
// and while its upstream is slow, gone or hostile. Nothing unproven is stored or held in memory.
// Method: SumdbProxy over a real store without threads, and x/mod's own database behind a line. Tests alter and delay
// the answers of the line. A second verifier that can only ask the proxy stands for an offline client.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, beforeEach, type TestContext, test } from 'node:test';
import {
  CheckFailed,
  isServeError,
  Loop,
  NotFound,
  type ServeError,
  UpstreamDown,
} from '../../src/core/errors.ts';
import { parseModulePath } from '../../src/core/module-path.ts';
import type { FetchRequest } from '../../src/core/ports.ts';
import { parseVersion } from '../../src/core/version.ts';
import { Memory } from '../../src/flight/memory.ts';
import { ReadThrough } from '../../src/flight/read-through.ts';
import { Singleflight } from '../../src/flight/singleflight.ts';
import { WeakCache } from '../../src/flight/weak-cache.ts';
import { SUMDB_LOOKUP_MS } from '../../src/sumdb/limits.ts';
import { parseVerifierKey } from '../../src/sumdb/note.ts';
import { ProofKeeper } from '../../src/sumdb/proof-keeper.ts';
import { parseSumdbPath } from '../../src/sumdb/sumdb-path.ts';
import { type AskOptions, SumdbProxy } from '../../src/sumdb/sumdb-proxy.ts';
import { SumdbRemote } from '../../src/sumdb/sumdb-remote.ts';
import { SumdbStore } from '../../src/sumdb/sumdb-store.ts';
import { parseTilePath, tilePath } from '../../src/sumdb/tile.ts';
import { type ModuleVersion, SumdbVerifier } from '../../src/sumdb/verifier.ts';
import {
  FakeClock,
  FakeUpstream,
  type LocalStore,
  openLocalStore,
  readAll,
  SeenEvents,
  settled,
} from '../support/fakes.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';
import { tempDir } from '../support/temp-dir.ts';

const RECORDS = 700;

let go: SumdbServer;
before(async () => {
  go = await startSumdbServer({ records: RECORDS });
});
beforeEach(() => go.ask({ Cmd: 'fork', At: 0, N: RECORDS }));
after(() => go.close());

/** The line to the database. It asks x/mod's server, unless the test says otherwise. */
class Line extends FakeUpstream {
  alter: (path: string, bytes: Uint8Array) => Uint8Array | Promise<Uint8Array> = (_, bytes) => bytes;
  isCut = false;
  readonly requests: FetchRequest[] = [];

  override async whole(request: FetchRequest) {
    this.requests.push(request);
    if (this.isCut) throw new UpstreamDown('cannot fetch: every upstream is down');
    const path = request.path.replace(`sumdb/${go.name}/`, '');
    const bytes = path === 'supported' ? new Uint8Array(0) : await go.fetch(path);
    return { bytes: await this.alter(path, bytes), upstream: 'proxy.example' };
  }
}

/** A private module. */
const SECRET = 'example.com/m7';

type Rig = {
  readonly proxy: SumdbProxy;
  readonly line: Line;
  readonly store: LocalStore;
  readonly clock: FakeClock;
  readonly events: SeenEvents;
  get(path: string, how?: AskOptions): Promise<Uint8Array>;
  /** The same store and line with an empty memory, as after a restart. */
  restarted(isOffline?: boolean): Rig;
};

function makeRig(t: TestContext): Rig {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  return rigOver({ store, line: new Line(), clock: new FakeClock() }, false);
}

function rigOver(
  world: { readonly store: LocalStore; readonly line: Line; readonly clock: FakeClock },
  isOffline: boolean,
): Rig {
  const { store, line, clock } = world;
  const events = new SeenEvents();
  const bounds = { flightsMax: 1000, waitersMax: 1000 };
  const cache = new WeakCache<never>({
    strongBytesMax: 2 ** 26,
    weakBytesMax: 0,
    strongMs: 60_000,
    now: () => clock.monotonic,
  });
  const proxy = new SumdbProxy({
    name: go.name,
    key: parseVerifierKey(go.verifierKey),
    store: new SumdbStore({ name: go.name, store, clock, events }),
    remote: new SumdbRemote({
      name: go.name,
      list: line,
      host: new FakeUpstream(),
      noProxyPatterns: '',
      clock,
    }),
    memory: new Memory({ cache, store, flights: new Singleflight(bounds) }),
    readThrough: new ReadThrough({ reads: new Singleflight(bounds), fetches: new Singleflight(bounds) }),
    clock,
    events,
    isOffline,
    visibilityOf: (module) => (module === SECRET ? 'private' : 'public'),
  });
  const get: Rig['get'] = async (path, how = { mayFetch: true }) => {
    const ask = parseSumdbPath(`sumdb/${go.name}/${path}`);
    assert.ok(ask !== undefined, path);
    return readAll((await proxy.get(ask, how)).body);
  };
  return { proxy, line, store, clock, events, get, restarted: (off = false) => rigOver(world, off) };
}

const recordOf = (id: number): ModuleVersion => {
  const version = parseVersion('v1.0.0');
  assert.ok(version !== undefined);
  return { module: parseModulePath(`example.com/m${id}`), version };
};
const lookup = (id: number) => `lookup/example.com/m${id}@v1.0.0`;
const grow = (n: number): Promise<unknown> => go.ask({ Cmd: 'grow', N: n });
const headIn = (answer: Uint8Array): Uint8Array => answer.subarray(Buffer.from(answer).indexOf('\n\n') + 2);
const sizeIn = (note: Uint8Array): number => Number(Buffer.from(note).toString().split('\n')[1]);
const kindOf = (error: ServeError['kind']) => (thrown: unknown) =>
  isServeError(thrown) && thrown.kind === error;

/** A client that knows only `head`. It verifies a record through the proxy alone. */
async function clientVerifies(rig: Rig, id: number, head?: Uint8Array): Promise<number> {
  const client = new SumdbVerifier(parseVerifierKey(go.verifierKey), {
    readRemote: (path) => rig.get(path),
    readCache: () => Promise.resolve(undefined),
    writeCache: () => Promise.resolve(),
    loadHead: () => Promise.resolve(head),
    saveHead: () => Promise.resolve(),
    securityEvent: (message) => assert.fail(message),
  });
  return (await client.verifyLookup(recordOf(id))).head.size;
}

// The tree head moves.

test('after concurrent lookups of many days, a client with any tree head verifies any record from the store', async (t) => {
  const rig = makeRig(t);
  const ids: number[] = [600];
  // One client is from before the first day. The verification that ends first decides which heads of a day go out.
  const heads: Uint8Array[] = [headIn(await rig.get(lookup(600)))];
  for (let day = 0; day < 12; day++) {
    // Some answers of each day come late, when the head has moved on.
    const [answered, late] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let answers = 0;
    rig.line.alter = (path, bytes) => {
      if (!path.startsWith('lookup/')) return bytes;
      if (++answers === 3) answered.resolve();
      return late.promise.then(() => bytes);
    };
    const slow = [0, 1, 2].map((n) => rig.get(lookup(day * 50 + n)));
    await answered.promise;
    rig.line.alter = (_, bytes) => bytes;
    await grow([1, 255, 256, 3, 700, 40][day % 6] ?? 1);
    const quick = [3, 4, 5].map((n) => rig.get(lookup(day * 50 + n)));
    late.resolve();
    for (const answer of await Promise.all([...slow, ...quick])) heads.push(headIn(answer));
    ids.push(...[0, 1, 2, 3, 4, 5].map((n) => day * 50 + n));
  }
  await rig.proxy.settled();
  assert.deepEqual(rig.events.seen, []);
  rig.line.isCut = true;
  rig.line.requests.length = 0;
  const again = rig.restarted();
  const newest = Math.max(...heads.map(sizeIn));
  const distinct = new Map(heads.map((head) => [sizeIn(head), head]));
  assert.ok(distinct.size > 12);
  for (const head of [undefined, ...distinct.values()]) {
    for (const id of ids.filter((_, at) => at % 7 === 0)) {
      assert.equal(await clientVerifies(again, id, head), newest);
    }
  }
  assert.deepEqual(again.line.requests, []);
});

test('a narrower tile that is stored at the same time does not replace a wider one', async (t) => {
  const rig = makeRig(t);
  const events = new SeenEvents();
  const store = new SumdbStore({ name: go.name, store: rig.store, clock: rig.clock, events });
  const full = await go.fetch('tile/8/0/001');
  const place = parseTilePath('tile/8/0/001');
  for (const widths of [
    [7, 200],
    [200, 7],
    [7, 256, 200, 100],
  ]) {
    await Promise.all(widths.map((width) => store.putTile({ ...place, width }, full.slice(0, width * 32))));
    const stored = await store.tile(place);
    assert.ok((stored?.byteLength ?? 0) >= Math.max(...widths) * 32, widths.join());
  }
});

test('no tree head goes out before it is stored with all tiles that prove it', async (t) => {
  const rig = makeRig(t);
  await rig.get(lookup(1));
  await grow(300);
  const { promise, resolve } = Promise.withResolvers<void>();
  const putEntry: LocalStore['putEntry'] = async (request) => {
    if (!request.key.includes('/lookup/')) await promise;
    return rig.store.putEntry(request);
  };
  const again = rigOver({ ...rig, store: { ...rig.store, putEntry } }, false);
  const moving = [again.get(lookup(900)), again.get(lookup(901))];
  let isOut = false;
  const stillIn = () => assert.ok(!isOut, 'a head went out');
  for (const one of moving) void one.then(() => (isOut = true));
  for (let turn = 0; turn < 20; turn++) await settled();
  stillIn();
  assert.equal(sizeIn(headIn(await again.get(lookup(1)))), RECORDS);
  stillIn();
  resolve();
  for (const answer of await Promise.all(moving)) assert.equal(sizeIn(headIn(answer)), RECORDS + 300);
});

// Kinds of clients.

test('the answer about a private module is a private file in memory; all others are public', async (t) => {
  const rig = makeRig(t);
  const visibilityOf = (path: string) => rig.proxy.peek(`sumdb/${go.name}/${path}`)?.visibility;
  for (const made of [rig, rig.restarted()]) {
    assert.equal(made.proxy.peek(`sumdb/${go.name}/${lookup(7)}`), undefined);
    for (const path of [lookup(7), lookup(8), 'latest']) await made.get(path);
  }
  assert.deepEqual([lookup(7), lookup(8), 'latest'].map(visibilityOf), ['private', 'public', 'public']);
  rig.clock.pass(SUMDB_LOOKUP_MS);
  assert.equal(visibilityOf(lookup(7)), undefined, 'it is not fresh any more');
});

test('a client that may not use the network does not join one that may, and does not give it its own miss', async (t) => {
  for (const path of [lookup(3), 'tile/8/0/000', 'latest']) {
    const rig = makeRig(t);
    const held = Promise.withResolvers<void>();
    rig.line.alter = (_, bytes) => held.promise.then(() => bytes);
    const staying = rig.get(path, { mayFetch: false });
    const going = rig.get(path);
    const stayingToo = rig.get(path, { mayFetch: false });
    await assert.rejects(staying, NotFound, path);
    await assert.rejects(stayingToo, NotFound, path);
    held.resolve();
    assert.ok((await going).byteLength > 0, path);
    assert.ok((await rig.get(path, { mayFetch: false })).byteLength > 0, path);
  }
});

test('a request carries the Via of its client, so that loops are seen', async (t) => {
  for (const path of [lookup(3), 'tile/8/0/000', 'latest']) {
    const rig = makeRig(t);
    await rig.get(path, { mayFetch: true, via: '1.1 other' });
    const [request] = rig.line.requests.filter((one) => one.path.endsWith(path));
    assert.equal(request?.via, '1.1 other', path);
  }
});

test('an Astera that asks for a file that we ask it for gets a loop error, and does not wait for us', async (t) => {
  const rig = makeRig(t);
  const held = Promise.withResolvers<void>();
  rig.line.alter = (path, bytes) => (path === 'supported' ? bytes : held.promise.then(() => bytes));
  rig.line.head = async ({ path, via }) => {
    assert.equal(path, `sumdb/${go.name}/${lookup(3)}`, 'no node answers it by itself');
    if (via === '1.1 astera-loop') throw new Loop('it has been there');
    return { size: undefined, upstream: 'proxy.example' };
  };
  const asking = rig.get(lookup(3));
  await settled();
  await assert.rejects(rig.get(lookup(3), { mayFetch: true, via: '1.1 astera-loop' }), Loop);
  const joining = rig.get(lookup(3), { mayFetch: true, via: '1.1 astera-below' });
  await settled();
  held.resolve();
  assert.deepEqual(await joining, await asking, 'one that is only below us joins');
});

test('the claim of an answer is there before its proof, and only as long as the lookup runs', async (t) => {
  const rig = makeRig(t);
  const [answered, proven] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  rig.line.alter = async (path, bytes) => {
    if (path.includes('lookup')) await answered.promise;
    if (path.includes('tile')) await proven.promise;
    return bytes;
  };
  assert.deepEqual(await rig.proxy.claimed(recordOf(3)), [], 'none is under way');
  const looking = rig.get(lookup(3));
  const claimed = rig.proxy.claimed(recordOf(3)); // From the very begin: the store is not read yet.
  await settled();
  assert.deepEqual(await rig.proxy.claimed(recordOf(4)), [], 'of another version');
  answered.resolve();
  const lines = await claimed;
  assert.match(lines.join('\n'), /^example\.com\/m3 v1\.0\.0 h1:/);
  assert.equal(await rig.proxy.log.record(recordOf(3)), undefined, 'nothing is kept by it');
  proven.resolve();
  await looking;
  assert.deepEqual(await rig.proxy.claimed(recordOf(3)), [], 'the lookup itself is there now');
});

test('a lookup without an answer, or with a malformed one, claims nothing', async (t) => {
  for (const answer of [new UpstreamDown('gone'), Buffer.from('<html>log in</html>')]) {
    const rig = makeRig(t);
    const held = Promise.withResolvers<void>();
    rig.line.alter = async (path, bytes) => {
      if (!path.includes('lookup')) return bytes;
      await held.promise;
      if (answer instanceof Error) throw answer;
      return answer;
    };
    const looking = assert.rejects(rig.get(lookup(3)));
    await settled();
    const claimed = rig.proxy.claimed(recordOf(3));
    held.resolve();
    await looking;
    assert.deepEqual(await claimed, []);
  }
});

test('concurrent requests for one file ask the upstream once', async (t) => {
  const rig = makeRig(t);
  await Promise.all(Array.from({ length: 50 }, () => rig.get(lookup(3))));
  await rig.proxy.settled();
  const paths = rig.line.requests.map(({ path }) => path);
  assert.equal(new Set(paths).size, paths.length);
});

test('a lookup in memory goes out with its tree head for a minute, then with the newest one', async (t) => {
  const rig = makeRig(t);
  await rig.get(lookup(3));
  await grow(10);
  await rig.get(lookup(4));
  assert.equal(sizeIn(headIn(await rig.get(lookup(3)))), RECORDS);
  rig.clock.pass(60_000);
  assert.equal(sizeIn(headIn(await rig.get(lookup(3)))), RECORDS + 10);
});

// Slow, gone and hostile upstreams.

test('a tile past every tree head goes out, but is not held: the next request asks again', async (t) => {
  const rig = makeRig(t);
  await rig.get(lookup(3));
  const old = await go.fetch('latest');
  await grow(1000);
  const path = 'tile/8/0/005';
  const truth = await go.fetch(path);
  let isLying = true;
  rig.line.alter = (asked, bytes) => {
    if (asked === 'latest') return isLying ? old : bytes;
    return asked === path && isLying ? bytes.with(0, (bytes[0] ?? 0) ^ 1) : bytes;
  };
  assert.notDeepEqual([...(await rig.get(path))], [...truth]);
  isLying = false;
  assert.deepEqual([...(await rig.get(path))], [...truth]);
  const before = rig.line.requests.length;
  assert.deepEqual([...(await rig.get(path))], [...truth]);
  assert.equal(rig.line.requests.length, before, 'proven, and so held');
});

test('a missing proof is no 404 of the module', async (t) => {
  const rig = makeRig(t);
  rig.line.alter = (path, bytes) => {
    if (path.startsWith('tile/')) throw new NotFound('no such tile');
    return bytes;
  };
  await assert.rejects(rig.get(lookup(3)), kindOf('upstream-failed'));
  await assert.rejects(rig.get('lookup/example.com/unknown@v1.0.0'), NotFound);
});

test('an upstream that is gone is upstream-down for every file, and each error names its own file', async (t) => {
  const rig = makeRig(t);
  await rig.get(lookup(3));
  const again = rig.restarted();
  rig.line.isCut = true;
  const paths = [lookup(4), lookup(5), 'tile/8/0/x001/001', 'tile/8/0/x002/002', 'tile/8/1/000.p/200'];
  for (const path of paths) {
    await assert.rejects(again.get(path), (error: unknown) => {
      assert.ok(error instanceof UpstreamDown, String(error));
      assert.equal(error.message.split('cannot give').length, path.startsWith('tile') ? 2 : 1, error.message);
      return true;
    });
  }
  const both = await Promise.allSettled([again.get('tile/8/0/x003/003'), again.get('tile/8/0/x004/004')]);
  for (const [at, one] of both.entries()) {
    const message = one.status === 'rejected' ? String(one.reason.message) : '';
    assert.ok(message.includes(`x00${at + 3}`) && !message.includes(`x00${4 - at}/`), message);
  }
  assert.ok((await again.get('latest')).byteLength > 0, 'the last head');
});

test('a tile of a larger tree is refused with the sizes of both trees; one within the known tree is only missing', async (t) => {
  const rig = makeRig(t);
  await rig.get(lookup(3));
  await rig.proxy.settled();
  const off = rig.restarted(true);
  await assert.rejects(
    off.get('tile/8/0/004.p/76'),
    /of a tree of at least 1100 records, .*newest known here has 700/,
  );
  await assert.rejects(
    off.get('tile/8/1/000.p/4'),
    /of a tree of at least 1024 records, .*newest known here has 700/,
  );
  await assert.rejects(off.get('tile/8/0/001'), /^NotFound: cannot find "tile\/8\/0\/001": not stored/);
});

test('a file that is damaged on the disk is fetched again; offline it is refused, not served as proven', async (t) => {
  const rig = makeRig(t);
  await rig.get(lookup(3));
  await rig.proxy.settled();
  const key = `sumdb/${go.name}/tile/8/0/000`;
  const { bytes } = await rig.store.getEntry({ key });
  assert.ok(bytes !== undefined);
  const put = { key, status: 200, source: 'upstream', nowMs: 0, blob: rig.store.nextBlob() } as const;
  await rig.store.putEntry({ ...put, bytes: bytes.with(9, (bytes[9] ?? 0) ^ 1) });
  const again = rig.restarted();
  await again.get(lookup(4));
  assert.deepEqual((await rig.store.getEntry({ key })).bytes, bytes);
});

test('a stored record that is malformed is fetched again, and replaced', async (t) => {
  const rig = makeRig(t);
  const answer = await rig.get(lookup(3));
  await rig.proxy.settled();
  const key = `sumdb/${go.name}/${lookup(3)}`;
  const { bytes } = await rig.store.getEntry({ key });
  const put = { key, status: 200, source: 'upstream', nowMs: 0, blob: rig.store.nextBlob() } as const;
  await rig.store.putEntry({ ...put, bytes: Buffer.from('no record') });
  assert.deepEqual(await rig.restarted().get(lookup(3)), answer);
  assert.deepEqual((await rig.store.getEntry({ key })).bytes, bytes);
});

test('data tiles are proven, kept, and cut from wider ones', async (t) => {
  const rig = makeRig(t);
  await rig.get(lookup(3));
  const wide = await rig.get('tile/8/data/002.p/188');
  assert.deepEqual([...wide], [...(await go.fetch('tile/8/data/002.p/188'))]);
  rig.line.isCut = true;
  const again = rig.restarted();
  assert.deepEqual(
    [...(await again.get('tile/8/data/002.p/20'))],
    [...(await go.fetch('tile/8/data/002.p/20'))],
  );
  rig.line.isCut = false;
  rig.line.alter = (path, bytes) =>
    path.startsWith('tile/8/data')
      ? Buffer.from(Buffer.from(bytes).toString().replace('h1:A', 'h1:B'))
      : bytes;
  await assert.rejects(again.get('tile/8/data/001'), CheckFailed);
  rig.line.isCut = true;
  await assert.rejects(rig.restarted().get('tile/8/data/001'), UpstreamDown);
});

test('the upstream is asked every ten minutes whether it proxies the database, and sooner if that failed', async (t) => {
  const rig = makeRig(t);
  rig.line.isCut = true;
  for (let times = 0; times < 2; times++) await assert.rejects(rig.get(lookup(1)), UpstreamDown);
  rig.line.isCut = false;
  for (const id of [1, 2, 3]) await rig.get(lookup(id));
  await rig.proxy.settled();
  const probes = () => rig.line.requests.filter(({ path }) => path.endsWith('/supported')).length;
  assert.equal(probes(), 3);
  rig.clock.pass(600_000);
  await rig.get(lookup(4));
  assert.equal(probes(), 4);
});

// The proof keeper.

test('the keeper fetches the tiles that prove each tree head over the last one, and each record, once', async () => {
  const ensured: string[] = [];
  const keeper = new ProofKeeper({
    ensure: async (tile) => void ensured.push(tilePath(tile)),
    events: new SeenEvents(),
  });
  keeper.note(700, undefined);
  keeper.note(700, undefined);
  keeper.note(1000, 5);
  await keeper.settled();
  assert.deepEqual(ensured, [
    ...['tile/8/1/000.p/2', 'tile/8/0/002.p/188'],
    ...['tile/8/1/000.p/3', 'tile/8/0/003.p/232', 'tile/8/0/002'],
    ...['tile/8/1/000.p/3', 'tile/8/0/003.p/232', 'tile/8/0/000'],
  ]);
});

test('while tiles cannot be fetched, the keeper holds a bounded number of steps, and goes on', async () => {
  const held = Promise.withResolvers<void>();
  let ensured = 0;
  const keeper = new ProofKeeper({
    ensure: async () => {
      await held.promise;
      ensured++;
      throw new UpstreamDown('down');
    },
    events: new SeenEvents(),
  });
  keeper.note(3, undefined);
  for (let id = 0; id < 30_000; id++) keeper.note(3, 1);
  held.resolve();
  await keeper.settled();
  assert.equal(ensured, 10_001, 'the one under way, and those that waited');
  keeper.note(4, undefined);
  await keeper.settled();
  assert.equal(ensured, 10_002);
});
