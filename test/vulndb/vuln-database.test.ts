// Goal: files of the database are fetched once, again only when it has newer ones, and given from the store when it can't
// be reached; nothing malformed is kept.
// Method: a real store, an upstream and a clock that are the test's.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { NotFound, UpstreamDown, UpstreamFailed } from '../../src/core/errors.ts';
import { Singleflight } from '../../src/flight/singleflight.ts';
import { findConcerned } from '../../src/vulndb/concerned.ts';
import { VulnDatabase } from '../../src/vulndb/vuln-database.ts';
import { VulnKeeper } from '../../src/vulndb/vuln-keeper.ts';
import { parseVulnPath } from '../../src/vulndb/vuln-path.ts';
import { VulnRemote } from '../../src/vulndb/vuln-remote.ts';
import { VulnRenewal } from '../../src/vulndb/vuln-renewal.ts';
import { VulnStore } from '../../src/vulndb/vuln-store.ts';
import { FakeClock, FakeUpstream, openLocalStore, SeenEvents } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';
import { databaseFiles, type MadeUpReport } from '../support/vuln-server.ts';

const FRESH_MS = 60_000;
const DAY = (day: number) => `2024-01-0${day}T00:00:00Z`;
const one: MadeUpReport = { id: 'GO-2024-1', modified: DAY(1), module: 'example.com/m', fixed: '1.1.0' };
const two: MadeUpReport = { id: 'GO-2024-2', modified: DAY(2), module: 'example.com/other' };

/** A database in front of an upstream that has these reports. */
function world(t: TestContext, reports: readonly MadeUpReport[]) {
  const store = openLocalStore(join(tempDir(t), 'a.db'));
  t.after(() => store.close());
  const upstream = new FakeUpstream();
  const clock = new FakeClock();
  const events = new SeenEvents();
  const vulns = new VulnStore({ place: 'db.example', store, clock, events });
  const stopped: string[] = [];
  const keeper = new VulnKeeper({
    store,
    keep: (id) => database.keepReport(id),
    onStopped: (why) => stopped.push(why),
  });
  const open = (options: { isOffline?: boolean; hasKeeper?: boolean } = {}) =>
    new VulnDatabase({
      store: vulns,
      remote: new VulnRemote(upstream),
      flights: new Singleflight({ flightsMax: 10, waitersMax: 10 }),
      ...{ clock, events, freshMs: FRESH_MS, staleWaitMs: 1000, isOffline: options.isOffline ?? false },
      ...(options.hasKeeper && { onIndex: (modules) => keeper.start(modules) }),
    });
  const database: VulnDatabase = open({ hasKeeper: true });
  const publish = (now: readonly MadeUpReport[], ending = '.json.gz') => {
    upstream.says.clear();
    for (const [file, text] of databaseFiles(now)) {
      upstream.says.set(`${file}${ending}`, ending === '.json' ? text : gzipSync(text));
    }
  };
  publish(reports);
  const get = async (path: string, from: VulnDatabase = database, mayFetch = true) => {
    const ask = parseVulnPath(`vulndb/${path}`);
    assert.ok(ask !== undefined, path);
    const { body, origin } = await from.get(ask, { mayFetch });
    assert.ok(body instanceof Uint8Array);
    return { origin, text: (ask.isPacked ? gunzipSync(body) : Buffer.from(body)).toString() };
  };
  return { store, upstream, clock, database, vulns, keeper, stopped, open, publish, get };
}

test('an unchanged database is asked for its time alone, once for as long as a list is fresh', async (t) => {
  const { get, upstream, clock } = world(t, [one, two]);
  const first = await get('index/modules.json.gz');
  assert.equal(first.text, databaseFiles([one, two]).get('index/modules'));
  assert.deepEqual(upstream.paths, ['index/db.json.gz', 'index/modules.json.gz']);
  await get('index/db.json.gz');
  const report = await get('ID/GO-2024-1.json.gz');
  assert.equal(report.origin, 'upstream');
  assert.equal((await get('ID/GO-2024-1.json')).origin, 'store');
  assert.deepEqual(upstream.paths.slice(2), ['ID/GO-2024-1.json.gz']);
  clock.pass(FRESH_MS + 1);
  assert.equal((await get('ID/GO-2024-1.json.gz')).text, report.text);
  assert.deepEqual(upstream.paths.slice(3), ['index/db.json.gz']);
});

test('a changed database gives its new index, and only the reports that it names anew', async (t) => {
  const { get, upstream, clock, publish } = world(t, [one, two]);
  for (const { id } of [one, two]) await get(`ID/${id}.json`);
  await get('index/vulns.json');
  const newer = { ...two, modified: DAY(3), fixed: '9.0.0' };
  publish([one, newer]);
  clock.pass(FRESH_MS + 1);
  upstream.asked.length = 0;
  assert.match((await get('ID/GO-2024-2.json')).text, /9\.0\.0/);
  assert.match((await get('ID/GO-2024-1.json')).text, /1\.1\.0/);
  assert.match((await get('index/vulns.json')).text, /2024-01-03/);
  assert.deepEqual(upstream.paths, [
    ...['index/db.json.gz', 'index/modules.json.gz', 'index/vulns.json.gz'],
    'ID/GO-2024-2.json.gz',
  ]);
});

test('after a restart the stored files count, and offline nothing is asked', async (t) => {
  const { get, upstream, open } = world(t, [one]);
  await get('ID/GO-2024-1.json.gz');
  upstream.asked.length = 0;
  assert.equal((await get('ID/GO-2024-1.json.gz', open())).origin, 'store');
  assert.deepEqual(upstream.paths, ['index/db.json.gz']);
  const offline = open({ isOffline: true });
  assert.equal((await get('ID/GO-2024-1.json.gz', offline)).origin, 'store');
  await assert.rejects(get('ID/GO-2024-9.json.gz', offline), NotFound);
  await assert.rejects(get('ID/GO-2024-9.json.gz', open(), false), NotFound);
  assert.deepEqual(upstream.paths, ['index/db.json.gz']);
});

test('a database that is down is answered for from the store; without it the client is told', async (t) => {
  const { get, upstream, clock } = world(t, [one]);
  const before = await get('index/modules.json.gz');
  const down = new UpstreamDown('no route to db.example');
  for (const path of [...upstream.says.keys()]) upstream.says.set(path, down);
  clock.pass(FRESH_MS + 1);
  assert.deepEqual(await get('index/modules.json.gz'), { ...before, origin: 'stale' });
  await assert.rejects(get('ID/GO-2024-1.json.gz'), UpstreamDown);
});

test('a database that fails while the store is read is told to the client alone', async (t) => {
  const { get, upstream, store } = world(t, [one]);
  const getEntry = store.getEntry.bind(store);
  Object.assign(store, {
    getEntry: async (request: { key: string }) => {
      await new Promise(setImmediate); // As through a thread. Meanwhile all else that can happen does.
      return getEntry(request);
    },
  });
  for (const path of [...upstream.says.keys()]) upstream.says.set(path, new UpstreamDown('no such host'));
  for (const path of ['index/db.json', 'ID/GO-2024-1.json', 'index/modules.json.gz']) {
    await assert.rejects(get(path), UpstreamDown, path);
  }
});

test('a database with plain files alone is given packed too', async (t) => {
  const { get, publish, upstream } = world(t, []);
  publish([one], '.json');
  assert.equal((await get('index/modules.json.gz')).text, databaseFiles([one]).get('index/modules'));
  assert.equal((await get('ID/GO-2024-1.json.gz')).text, databaseFiles([one]).get('ID/GO-2024-1'));
  assert.ok(upstream.paths.includes('ID/GO-2024-1.json'));
});

const lies: { why: string; bytes: Uint8Array }[] = [
  { why: 'a page', bytes: Buffer.from('<html>pay here</html>') },
  { why: 'a cut file', bytes: gzipSync('{"id":"GO-2024-1"}').subarray(0, 20) },
  { why: 'a bomb', bytes: gzipSync(Buffer.alloc(40 * 1024 * 1024)) },
  { why: 'another report', bytes: gzipSync(databaseFiles([two]).get('ID/GO-2024-2') ?? '') },
];

for (const { why, bytes } of lies) {
  test(`not kept: ${why} in a report's place`, async (t) => {
    const { get, upstream, publish } = world(t, [one]);
    upstream.says.set('ID/GO-2024-1.json.gz', bytes);
    await assert.rejects(get('ID/GO-2024-1.json.gz'), UpstreamFailed);
    publish([one]);
    assert.match((await get('ID/GO-2024-1.json')).text, /"GO-2024-1"/);
  });

  test(`not kept: ${why} in the index's place`, async (t) => {
    const { get, upstream, clock, publish } = world(t, [one]);
    const right = await get('index/modules.json');
    publish([{ ...one, modified: DAY(2) }]);
    upstream.says.set('index/modules.json.gz', bytes);
    clock.pass(FRESH_MS + 1);
    assert.deepEqual(await get('index/modules.json'), { ...right, origin: 'stale' });
  });
}

test('a damaged stored file is fetched anew', async (t) => {
  const { get, vulns, open } = world(t, [one]);
  const right = await get('ID/GO-2024-1.json');
  await vulns.put('ID/GO-2024-1', Buffer.from('damaged'));
  assert.equal((await get('ID/GO-2024-1.json')).text, right.text);
  const index = await get('index/modules.json');
  await vulns.put('index/modules', Buffer.from('damaged'));
  assert.equal((await get('index/modules.json', open())).text, index.text);
});

test('an ID that the database does not have is asked for once, until it changes', async (t) => {
  const { get, upstream, clock, publish } = world(t, [one]);
  await get('index/db.json');
  upstream.asked.length = 0;
  for (let times = 0; times < 3; times++) await assert.rejects(get('ID/GO-2024-2.json'), NotFound);
  assert.deepEqual(upstream.paths, ['ID/GO-2024-2.json.gz', 'ID/GO-2024-2.json']);
  publish([one, two]);
  clock.pass(FRESH_MS + 1);
  assert.match((await get('ID/GO-2024-2.json')).text, /"GO-2024-2"/);
});

test('clients that ask at once share a fetch', async (t) => {
  const { get, upstream } = world(t, [one]);
  await Promise.all(Array.from({ length: 8 }, () => get('ID/GO-2024-1.json.gz')));
  assert.deepEqual(upstream.paths.toSorted(), [
    'ID/GO-2024-1.json.gz',
    'index/db.json.gz',
    'index/modules.json.gz',
  ]);
});

test('reports about stored modules and Go itself are fetched ahead, and name the versions concerned', async (t) => {
  const go: MadeUpReport = { id: 'GO-2024-3', modified: DAY(1), module: 'stdlib', fixed: '1.21.0' };
  const { get, keeper, stopped, store, vulns, open } = world(t, [one, two, go]);
  const put = (key: string) =>
    store.putEntry({
      ...{ key, status: 200, source: 'upstream', nowMs: 1, blob: store.nextBlob() },
      bytes: Buffer.from('x'),
    });
  for (const version of ['v1.0.0', 'v1.1.0']) await put(`example.com/m/@v/${version}.zip`);
  await put('example.com/m/@v/v1.0.5.mod'); // Looked at, never downloaded.
  await get('index/modules.json.gz');
  await keeper.settled();
  assert.deepEqual(stopped, []);
  const offline = open({ isOffline: true });
  for (const id of ['GO-2024-1', 'GO-2024-3'])
    assert.equal((await get(`ID/${id}.json`, offline)).origin, 'store');
  await assert.rejects(get('ID/GO-2024-2.json', offline), NotFound);
  assert.deepEqual(await findConcerned({ vulns, store }), {
    modified: DAY(2),
    rows: [
      {
        ...{
          module: 'example.com/m',
          version: 'v1.0.0',
          id: 'GO-2024-1',
          summary: 'Trouble in example.com/m',
        },
        fixed: 'v1.1.0',
      },
    ],
  });
});

test('one report that is none keeps no other from being fetched ahead', async (t) => {
  const { get, keeper, stopped, upstream, open } = world(t, [
    { ...one, module: 'stdlib' },
    { ...two, module: 'toolchain' },
  ]);
  upstream.says.set('ID/GO-2024-1.json.gz', '<html>pay here</html>');
  await get('index/modules.json.gz');
  await keeper.settled();
  assert.deepEqual(stopped, []);
  assert.equal((await get('ID/GO-2024-2.json', open({ isOffline: true }))).origin, 'store');
});

test('work ahead ends where the database fails, and says why', async (t) => {
  const { get, keeper, stopped, upstream } = world(t, [
    { ...one, module: 'stdlib' },
    { ...two, module: 'toolchain' },
  ]);
  upstream.says.set('ID/GO-2024-1.json.gz', new UpstreamDown('no route'));
  upstream.says.set('ID/GO-2024-2.json.gz', new NotFound('gone missing'));
  await get('index/modules.json.gz');
  await keeper.settled();
  assert.deepEqual(stopped, ['no route']);
});

test('a stored database is renewed after a day, and one that nobody asked for never', async (t) => {
  const { get, upstream, clock, vulns, open } = world(t, [one]);
  const renewal = () => new VulnRenewal({ vulns, clock, refresh: () => open().refresh() });
  await renewal().look();
  assert.deepEqual(upstream.paths, []);
  await get('index/db.json');
  upstream.asked.length = 0;
  const kept = renewal();
  await kept.look();
  clock.pass(86_400_000);
  await kept.look();
  await kept.look(); // It looks once an hour.
  assert.deepEqual(upstream.paths, ['index/db.json.gz']);
});

test('a refresh fetches the reports about modules that came since the index', async (t) => {
  const { get, keeper, store, database, open } = world(t, [one]);
  await get('index/modules.json');
  await keeper.settled();
  const entry = { key: 'example.com/m/@v/v1.0.0.zip', status: 200, source: 'upstream', nowMs: 1 } as const;
  await store.putEntry({ ...entry, blob: store.nextBlob(), bytes: Buffer.from('x') });
  await database.refresh();
  await keeper.settled();
  assert.equal((await get('ID/GO-2024-1.json', open({ isOffline: true }))).origin, 'store');
});
