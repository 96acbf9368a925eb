// Goal: what the `go` command trusts because of a checksum database it trusts through Astera, online
// and off, in any order; and no upstream that lies gets anything past it, or into the store.
// Method: a real `go` with a real checksum database (x/mod's own server, test/sumdb/testdb) behind an
// upstream that can be made to lie, to go, and to come back; the store's file is opened to look for traces.

import assert from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Astera, type AsteraOptions, runAstera } from '../support/astera.ts';
import { dumpStore } from '../support/dump-store.ts';
import { freePort } from '../support/free-port.ts';
import { GoClient } from '../support/go.ts';
import { type Alter, LyingUpstream, sumLines } from '../support/lying-upstream.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';

const module = (path: string, contentBytes = 1000): MadeUpModule => ({
  path,
  version: 'v1.0.0',
  contentBytes,
});
const a = module('made-up.example/a');
const b = module('made-up.example/Capital/b');
const c = module('made-up.example/c');
const large = module('made-up.example/large', 1_500_000);
const modules = [a, b, c, large];

/** The same module with another content: what a liar has in its place. */
const forged = (honest: MadeUpModule) =>
  madeUpFiles({ ...honest, contentBytes: honest.contentBytes + 1 }).zip;
const at = ({ path, version }: MadeUpModule) => `${path}@${version}`;
const fileOf = ({ path, version }: MadeUpModule, kind: string) =>
  `${path.replace('/C', '/!c')}/@v/${version}.${kind}`;

let db: SumdbServer;
before(async () => {
  db = await startSumdbServer({ records: 0 });
});
after(() => db.close());

/** Each test starts with the same tree: 700 records, the modules' own among them. */
beforeEach(async () => {
  await db.ask({ Cmd: 'fork', At: 0, N: 300 });
  const texts = await Promise.all(modules.map(sumLines));
  await db.ask({ Cmd: 'add', Texts: texts });
  await grow(396);
});
const grow = (records: number) => db.ask({ Cmd: 'grow', N: records });

type World = {
  readonly upstream: LyingUpstream;
  readonly astera: Astera;
  /** A new `go` that has nothing, and whose checksum database is ours. */
  client(url?: string): Promise<GoClient>;
};

async function makeWorld(
  t: TestContext,
  {
    isProxied = true,
    flags,
    env,
  }: Pick<AsteraOptions, 'flags' | 'env'> & { readonly isProxied?: boolean } = {},
): Promise<World> {
  const upstream = await LyingUpstream.start(modules, isProxied ? { database: db } : {});
  t.after(() => upstream.close());
  const astera = await Astera.start({
    upstream: upstream.url,
    flags: flags ?? ['--sumdb', db.verifierKey],
    ...(env && { env }),
  });
  t.after(() => astera.dispose());
  return { upstream, astera, client: (url = astera.url) => newClient(t, url) };
}

async function newClient(t: TestContext, url: string): Promise<GoClient> {
  const client = await GoClient.create(url, { sumdb: db.verifierKey });
  t.after(() => client.dispose());
  return client;
}

/** `go` downloads, checks against the database, and says what the database has. */
async function verifies(client: GoClient, wanted: readonly MadeUpModule[], state: string): Promise<void> {
  const { code, stdout, stderr } = await client.run('mod', 'download', '-json', ...wanted.map(at));
  assert.equal(code, 0, `${state}: ${stdout}${stderr}`);
  for (const one of wanted) {
    const [zip = '', mod = ''] = (await sumLines(one)).split('\n').map((line) => line.split(' ')[2] ?? '');
    assert.ok(stdout.includes(`"${zip}"`) && stdout.includes(`"${mod}"`), `${state}: ${stdout}`);
  }
  assert.match(await headOf(client), /^go\.sum database tree\n/, `${state}: nothing was verified`);
}

const headOf = (client: GoClient): Promise<string> =>
  readFile(join(client.directory, 'path/pkg/sumdb', db.name, 'latest'), 'utf8');

async function bodyOf(answer: Response): Promise<string> {
  return `${answer.status} ${await answer.text()}`;
}

// Online and off.

test('go verifies everything through Astera: cold, warm, with the upstream gone, in another order, anew', async (t) => {
  const { upstream, astera, client } = await makeWorld(t);
  const first = await client();
  await verifies(first, modules, 'cold');
  assert.equal(upstream.count(/\/lookup\//), modules.length, 'one lookup each');
  const tiles = upstream.asked.filter((path) => path.includes('/tile/'));
  assert.equal(new Set(tiles).size, tiles.length, 'no tile twice');

  upstream.asked = [];
  await verifies(await client(), modules, 'warm');
  assert.deepEqual(upstream.asked, [], 'warm asks nothing');

  await upstream.close();
  await first.emptyModuleCache();
  await verifies(first, modules, 'upstream gone');
  await verifies(await client(), modules.toReversed(), 'another order');
  for (const one of [c, a]) await verifies(await client(), [one], 'alone');

  await astera.stop();
  for (const flags of [[], ['--offline']]) {
    const again = await Astera.start({
      upstream: upstream.url,
      db: astera.db,
      flags: ['--sumdb', db.verifierKey, ...flags],
    });
    t.after(() => again.dispose());
    await verifies(await client(again.url), [large, b], `restarted ${flags}`);
    await verifies(await client(`${again.url}/mod`), [c, a], `restarted, /mod ${flags}`);
    await again.stop();
  }
});

test('with the upstream gone clients with heads of other days verify what other clients brought', async (t) => {
  const { upstream, client } = await makeWorld(t);
  const monday = await client();
  await verifies(monday, [a], 'monday');
  await grow(1000);
  const tuesday = await client();
  await verifies(tuesday, [b], 'tuesday');
  await grow(70_000);
  const wednesday = await client();
  await verifies(wednesday, [c], 'wednesday');
  await grow(3);
  await verifies(await client(), [large], 'thursday');
  const heads = await Promise.all([monday, tuesday, wednesday].map(headOf));
  assert.deepEqual(
    heads.map((head) => head.split('\n')[1]),
    ['700', '1700', '71700'],
  );

  await upstream.close();
  for (const [who, wanted] of [
    [monday, [c, large, b]],
    [tuesday, [large, a]],
    [wednesday, [b, a, large]],
    [await client(), modules],
  ] as const) {
    await who.emptyModuleCache();
    await verifies(who, wanted, 'upstream gone');
  }
});

test('with the upstream gone a head that nobody here saw is an error that names both sizes', async (t) => {
  const { upstream, client } = await makeWorld(t);
  await verifies(await client(), [a, b], 'here');
  await grow(2600);
  const traveller = await client(upstream.url);
  await verifies(traveller, [c], 'elsewhere');
  await upstream.close();
  const guest = await client();
  await cp(join(traveller.directory, 'path'), join(guest.directory, 'path'), { recursive: true });
  const { code, stderr } = await guest.run('mod', 'download', at(a));
  assert.notEqual(code, 0);
  assert.match(stderr, /of a tree of at least 3\d\d\d records, where the newest known here has 700/);
});

test('online a head that nobody here saw brings Astera forward', async (t) => {
  const { upstream, client } = await makeWorld(t);
  await verifies(await client(), [a, b], 'here');
  await grow(2600);
  const traveller = await client(upstream.url);
  await verifies(traveller, [c], 'elsewhere');
  const guest = await client();
  await cp(join(traveller.directory, 'path'), join(guest.directory, 'path'), { recursive: true });
  await verifies(guest, [a], 'here again');
  await upstream.close();
  await guest.emptyModuleCache();
  await verifies(guest, [a, b], 'and off the line');
});

test('all that was answered before kill -9 is verified after it, with the upstream gone', async (t) => {
  const { upstream, astera, client } = await makeWorld(t);
  const old = await client();
  await verifies(old, [a], 'before');
  await grow(900);
  // Raw lookups, all at one time, and the kill in the turn in which the last is answered.
  const paths = Array.from({ length: 30 }, (_, n) => `sumdb/${db.name}/lookup/example.com/m${n * 9}@v1.0.0`);
  const answers = await Promise.all(
    [...paths, `sumdb/${db.name}/lookup/made-up.example/c@v1.0.0`].map(async (path) =>
      bodyOf(await astera.get(path)),
    ),
  );
  await astera.kill();
  for (const answer of answers) assert.match(answer, /^200 \d+\n[\s\S]*\ngo\.sum database tree\n1600\n/);
  const again = await Astera.start({
    upstream: upstream.url,
    db: astera.db,
    flags: ['--sumdb', db.verifierKey],
  });
  t.after(() => again.dispose());
  upstream.isDown = /^sumdb\//;
  const fresh = await client(again.url);
  await verifies(fresh, [c], 'a fresh client');
  assert.equal((await headOf(fresh)).split('\n')[1], '1600');
  upstream.asked = [];
  for (const path of paths) assert.match(await bodyOf(await again.get(path)), /^200 /);
  const guest = await client(again.url);
  await cp(join(old.directory, 'path'), join(guest.directory, 'path'), { recursive: true });
  await verifies(guest, [c, a], 'a client with the older head');
  assert.equal(upstream.count(/^sumdb\//), 0);
});

// Settings.

test('where the upstream does not proxy the database its own host is asked', async (t) => {
  const { upstream, client } = await makeWorld(t, {
    isProxied: false,
    flags: ['--sumdb', `${db.verifierKey} ${db.url}`],
  });
  await verifies(await client(), modules, 'by its own host');
  assert.equal(upstream.count(/^sumdb\/.*\/supported$/), 1);
  assert.equal(upstream.count(/lookup|tile/), 0);
});

test('the setting may come from GOSUMDB', async (t) => {
  const { client } = await makeWorld(t, { flags: [], env: { GOSUMDB: db.verifierKey } });
  await verifies(await client(), [a], 'GOSUMDB of the server');
});

test('a database that was given another key is begun anew, with one line in the log', async (t) => {
  const { upstream, astera, client } = await makeWorld(t);
  await verifies(await client(), modules, 'by the old key');
  await astera.stop();
  await upstream.close();
  const other = await startSumdbServer({ records: 500 });
  t.after(() => other.close());
  assert.equal(other.name, db.name);
  await other.ask({ Cmd: 'add', Texts: await Promise.all(modules.map(sumLines)) });
  const another = await LyingUpstream.start(modules, { database: other });
  t.after(() => another.close());
  const start = () =>
    Astera.start({ upstream: another.url, db: astera.db, flags: ['--sumdb', other.verifierKey] });
  const renewed = await start();
  t.after(() => renewed.dispose());
  // A tile first: it must not come out of the old tree.
  const tile = Buffer.from(await (await renewed.get(`sumdb/${db.name}/tile/8/0/000`)).arrayBuffer());
  assert.ok(tile.equals(await other.fetch('tile/8/0/000')));
  const make = async (url: string) => {
    const made = await GoClient.create(url, { sumdb: other.verifierKey });
    t.after(() => made.dispose());
    return made;
  };
  await verifies(await make(renewed.url), modules, 'by the new key');
  assert.equal(renewed.log.split('has another key now').length, 2, renewed.log);
  assert.equal((await renewed.metrics()).get('astera_sumdb_security_events_total'), 0);
  await renewed.stop();
  await another.close();
  const again = await start();
  t.after(() => again.dispose());
  await verifies(await make(again.url), modules, 'upstream gone');
  assert.doesNotMatch(again.log, /has another key now/);
});

test('no database, or another one, is 404: clients go on by themselves', async (t) => {
  for (const [flags, env] of [
    [['--sumdb', 'off'], {}],
    [[], { GOSUMDB: 'off' }],
    [['--sumdb', db.verifierKey], {}],
  ] as const) {
    const { upstream, astera } = await makeWorld(t, { flags, env });
    const name = flags[1] === db.verifierKey ? 'other.example' : db.name;
    for (const path of ['supported', 'latest', 'lookup/made-up.example/a@v1.0.0', 'tile/8/0/000']) {
      assert.match(await bodyOf(await astera.get(`sumdb/${name}/${path}`)), /^404 /);
      assert.match(await bodyOf(await astera.get(`mod/sumdb/${name}/${path}`)), /^404 /);
    }
    assert.deepEqual(upstream.asked, []);
    if (name === db.name) {
      // And nothing is checked.
      upstream.alter = (path, bytes) => (path === fileOf(a, 'zip') ? forged(a) : bytes);
      assert.equal((await astera.get(fileOf(a, 'zip'))).status, 200);
    }
  }
});

test('what has not the form of a request is refused without asking', async (t) => {
  const { upstream, astera } = await makeWorld(t);
  const refused: { path: string; status: number; why: string }[] = [
    { path: 'lookup/', status: 400, why: 'nothing' },
    { path: 'lookup/made-up.example/a', status: 400, why: 'no version' },
    { path: 'lookup/made-up.example/a@latest', status: 400, why: 'no canonical version' },
    { path: 'lookup/made-up.example/Capital@v1.0.0', status: 400, why: 'a raw capital' },
    { path: 'lookup/../a@v1.0.0', status: 404, why: 'fetch itself takes the dots out' },
    { path: 'lookup/..%2fa@v1.0.0', status: 400, why: 'a dotted element' },
    { path: 'tile/8/0/0', status: 400, why: 'not three digits' },
    { path: 'tile/8/0/000.p/0', status: 400, why: 'no hash in it' },
    { path: 'tile/8/0/000.p/256', status: 400, why: 'a full tile by another name' },
    { path: 'tile/9/0/000', status: 400, why: 'another height' },
    { path: 'tile/8/64/000', status: 400, why: 'a level no tree has' },
    { path: 'tile/8/0/x999/x999/x999/x999/x999/999', status: 400, why: 'past any tree' },
    { path: 'tile', status: 404, why: 'no request' },
    { path: 'other', status: 404, why: 'no request' },
    { path: '', status: 404, why: 'no request' },
  ];
  for (const { path, status, why } of refused) {
    const answer = await fetch(`${astera.url}/sumdb/${db.name}/${path}`);
    assert.equal(answer.status, status, `${why}: ${await answer.text()}`);
  }
  assert.deepEqual(upstream.asked, []);
});

test('what is private is looked up nowhere; its client is told why and what to set', async (t) => {
  for (const how of [
    { flags: ['--sumdb', db.verifierKey, '--private', 'made-up.example/a'] },
    { flags: ['--sumdb', db.verifierKey], env: { GOPRIVATE: 'made-up.example/a' } },
    { flags: ['--sumdb', db.verifierKey], env: { GONOSUMDB: 'made-up.example/a' } },
  ]) {
    const { upstream, astera, client } = await makeWorld(t, how);
    const said = await bodyOf(await astera.get(`sumdb/${db.name}/lookup/made-up.example/a@v1.0.0`));
    assert.match(said, /^403 .*made-up\.example\/a.*private here.*GONOSUMDB=made-up\.example\/a/);
    if (how.env?.GONOSUMDB !== undefined) {
      const { code, stderr } = await (await client()).run('mod', 'download', at(a));
      assert.notEqual(code, 0);
      assert.match(stderr, /private here.*set GONOSUMDB=made-up\.example\/a/);
    }
    await verifies(await client(), [c], 'what is not private');
    assert.equal(upstream.count(/lookup\/made-up\.example\/a@/), 0);
  }
});

test('two Asteras that are each upstream of the other refuse at once', async (t) => {
  const port = await freePort();
  const flags = ['--sumdb', db.verifierKey];
  const near = await Astera.start({ upstream: `http://127.0.0.1:${port}`, flags });
  t.after(() => near.dispose());
  const far = await Astera.start({ upstream: near.url, addr: `127.0.0.1:${port}`, flags });
  t.after(() => far.dispose());
  for (const path of ['lookup/made-up.example/a@v1.0.0', 'latest', 'tile/8/0/000']) {
    assert.match(await bodyOf(await near.get(`sumdb/${db.name}/${path}`)), /^508 /, path);
    const both = [near, far, near, far].map((one) => one.get(`sumdb/${db.name}/${path}`));
    for (const answer of await Promise.all(both)) assert.match(await bodyOf(answer), /^508 /, path);
  }
});

// Lies of the database, or of who stands before it.

const isLookup = (path: string) => path.includes('/lookup/');
const isTile = (path: string) => path.includes('/tile/');
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const changed = (bytes: Uint8Array, what: string | RegExp, by: string): Uint8Array => {
  const text = textOf(bytes).replace(what, by);
  assert.notEqual(text, textOf(bytes), 'the lie changes nothing');
  return Buffer.from(text);
};
const lie =
  (where: (path: string) => boolean, how: (bytes: Uint8Array) => ReturnType<Alter>): Alter =>
  (path, bytes) =>
    bytes !== undefined && where(path) ? how(bytes) : bytes;
const resigned = async (
  answer: Uint8Array,
  { others, isOurs }: { others: number; isOurs: boolean },
): Promise<Uint8Array> => {
  const [record = '', text = ''] = textOf(answer).split('\n\n');
  const Bytes = Buffer.from(`${text}\n`).toString('base64');
  const note = (await db.ask({ Cmd: 'sign', Bytes, N: others, Skip: !isOurs })) as string;
  return Buffer.concat([Buffer.from(`${record}\n\n`), Buffer.from(note, 'base64')]);
};

type Lie = {
  why: string;
  isEvent: boolean;
  isRefused?: boolean;
  alter?: Alter;
  server?: () => Promise<unknown>;
};
const lies: Lie[] = [
  { why: 'altered lookup text', isEvent: false, alter: lie(isLookup, (x) => changed(x, 'h1:', 'h1:B')) },
  {
    why: 'a record under the number of another',
    isEvent: false,
    alter: lie(isLookup, (x) => changed(x, /^\d+/, '5')),
  },
  {
    why: 'a record past the tree',
    isEvent: false,
    alter: lie(isLookup, (x) => changed(x, /^\d+/, '800')),
  },
  { why: 'an altered tile', isEvent: false, alter: lie(isTile, (x) => x.with(3, (x[3] ?? 0) ^ 1)) },
  { why: 'a truncated tile', isEvent: false, alter: lie(isTile, (x) => x.subarray(0, -32)) },
  { why: 'a tile cut within a hash', isEvent: false, alter: lie(isTile, (x) => x.subarray(0, -1)) },
  {
    why: 'a signature by another key',
    isEvent: true,
    alter: lie(isLookup, (x) => resigned(x, { others: 1, isOurs: false })),
  },
  {
    why: 'a head that was not signed so',
    isEvent: true,
    alter: lie(isLookup, (x) => changed(x, '\n800\n', '\n900\n')),
  },
  {
    why: 'more signatures than a note may have',
    isEvent: false,
    alter: lie(isLookup, (x) => resigned(x, { others: 100, isOurs: true })),
  },
  {
    why: 'a fork: a larger tree with another past',
    isEvent: true,
    server: async () => {
      await db.ask({ Cmd: 'fork', At: 0, N: 900, Salt: 'x' });
      await db.ask({ Cmd: 'add', Texts: [await sumLines(c)] });
    },
  },
  {
    why: 'a fork: a smaller tree with another past',
    isEvent: true,
    server: async () => {
      await db.ask({ Cmd: 'fork', At: 90, N: 300, Salt: 'x' });
      await db.ask({ Cmd: 'add', Texts: [await sumLines(c)] });
    },
  },
  {
    why: 'a tree that shrank, with another past',
    isEvent: true,
    server: async () => {
      await db.ask({ Cmd: 'fork', At: 0, N: 90, Salt: 'x' });
      await db.ask({ Cmd: 'add', Texts: [await sumLines(c)] });
    },
  },
  {
    why: 'a web page',
    isEvent: false,
    isRefused: false, // It is told from an answer by its first bytes: there is nothing to check.
    alter: lie(isLookup, () => Buffer.from('<html>log in</html>')),
  },
  {
    why: 'far too much',
    isEvent: false,
    isRefused: false,
    alter: lie(isLookup, () => Buffer.alloc(3_000_000, 'a\n')),
  },
];

for (const { why, isEvent, isRefused = true, alter, server } of lies) {
  test(`refused without a trace: ${why}`, async (t) => {
    const { upstream, astera, client } = await makeWorld(t);
    await verifies(await client(), [a], 'honest');
    assert.match(await bodyOf(await astera.get(`sumdb/${db.name}/lookup/example.com/m5@v1.0.0`)), /^200 /);
    const before = dumpStore(astera.db);
    await (server?.() ?? grow(100));
    if (alter !== undefined) upstream.alter = alter;

    const { code, stderr } = await (await client()).run('mod', 'download', at(c));
    assert.notEqual(code, 0);
    assert.match(stderr, /made-up\.example\/c@v1\.0\.0/);
    const said = await astera.get(`sumdb/${db.name}/lookup/made-up.example/c@v1.0.0`);
    assert.equal(said.status, 502, await said.text());
    const metrics = await astera.metrics();
    assert.equal((metrics.get('astera_sumdb_security_events_total') ?? 0) > 0, isEvent);
    if (isRefused) assert.ok((metrics.get('astera_check_failures_total') ?? 0) > 0);
    assert.equal((await astera.get('readyz')).status, 200);
    if (isEvent) await astera.logged(/SECURITY/);
    await astera.stop();
    const sumdb = (dump: ReturnType<typeof dumpStore>) =>
      dump.entries.filter(({ key }) => key.startsWith('sumdb/'));
    assert.deepEqual(sumdb(dumpStore(astera.db)), sumdb(before));
    for (const { key, trust } of dumpStore(astera.db).entries) {
      if (key.includes('/c/@v/')) assert.notEqual(trust, 'confirmed', key);
    }

    // It is the lie that was refused: the truth goes through.
    upstream.alter = (_, bytes) => bytes;
    if (server !== undefined) return;
    const honest = await Astera.start({
      upstream: upstream.url,
      db: astera.db,
      flags: ['--sumdb', db.verifierKey],
    });
    t.after(() => honest.dispose());
    await verifies(await client(honest.url), [c], 'honest again');
  });
}

/** The same records in a tree with another past, signed by the same key. */
async function rebuild(): Promise<void> {
  await db.ask({ Cmd: 'fork', At: 0, N: 900, Salt: 'rebuilt' });
  await db.ask({ Cmd: 'add', Texts: await Promise.all(modules.map(sumLines)) });
  await grow(100);
}

for (const how of ['beside the server', 'alone']) {
  test(`a database that was rebuilt under its key is trusted again once it is forgotten, ${how}`, async (t) => {
    const { upstream, astera, client } = await makeWorld(t);
    await verifies(await client(), [a, b], 'before');
    await rebuild();
    const { code, stderr } = await (await client()).run('mod', 'download', at(c));
    assert.notEqual(code, 0, 'a fork is refused');
    assert.match(stderr, /fork/);
    assert.ok(!stderr.includes('astera forget'), "the way out is the operator's");
    await astera.logged(new RegExp(`fork.*run: astera forget --sumdb ${db.name}`));

    // One for each lookup that met the fork: the client's and the server's own are one or two.
    const told = (await astera.metrics()).get('astera_sumdb_security_events_total') ?? 0;
    assert.ok(told > 0);
    if (how === 'alone') await astera.stop();
    const forgotten = await runAstera(['forget', '--db', astera.db, '--sumdb', db.name, '--yes']);
    assert.equal(forgotten.code, 0, forgotten.stderr);
    assert.match(
      forgotten.stdout,
      new RegExp(`^${db.name}: forgot [1-9]\\d* files; [45] zips and go.mod files are unchecked again\\n$`),
    );
    const flags = ['--sumdb', db.verifierKey];
    const server =
      how === 'alone' ? await Astera.start({ upstream: upstream.url, db: astera.db, flags }) : astera;
    t.after(() => server.dispose());
    await verifies(await client(server.url), [c, a, b], 'after');
    const head = await server.get(`sumdb/${db.name}/latest`);
    assert.match(await head.text(), /^go\.sum database tree\n1004\n/);
    const metrics = await server.metrics();
    assert.equal(metrics.get('astera_sumdb_security_events_total'), how === 'alone' ? 0 : told, 'no more');
    await server.stop();
    assert.equal(dumpStore(server.db).entries.filter(({ key }) => key.endsWith('/latest')).length, 1);
  });
}

test('a signature by a key nobody knows goes no further: neither to clients nor into the store', async (t) => {
  const { upstream, astera, client } = await makeWorld(t);
  upstream.alter = lie(isLookup, (x) => resigned(x, { others: 3, isOurs: true }));
  await verifies(await client(), [a], 'beside the right one');
  const said = await bodyOf(await astera.get(`sumdb/${db.name}/lookup/made-up.example/a@v1.0.0`));
  assert.equal(said.split('\n— ').length, 2, said);
  await astera.stop();
  for (const { body } of dumpStore(astera.db).entries) assert.doesNotMatch(body, /other\d\.example/);
});

test('a tree that only shrank is an older head: refused nowhere, and ours does not go back', async (t) => {
  const { astera, client } = await makeWorld(t);
  await grow(50);
  await verifies(await client(), [a], 'at 750');
  await db.ask({ Cmd: 'fork', At: 310, N: 0 });
  const client2 = await client();
  await verifies(client2, [c], 'at 310');
  assert.equal((await headOf(client2)).split('\n')[1], '750');
  assert.equal((await astera.metrics()).get('astera_sumdb_security_events_total'), 0);
});

// Lies of the module's own files.

test('an altered zip reaches nobody whole, is not kept, and is told of by both hashes', async (t) => {
  for (const one of [a, large]) {
    const { upstream, astera, client } = await makeWorld(t, {
      flags: ['--sumdb', db.verifierKey, '--negative-ttl', '1h'],
    });
    upstream.alter = (path, bytes) => (path === fileOf(one, 'zip') ? forged(one) : bytes);
    const before = (await client()).run('mod', 'download', at(one));
    assert.notEqual((await before).code, 0);
    const { stderr } = await before;
    const h1 = (await sumLines(one)).split(/\s/)[2] ?? '';
    // The first one saw its connection cut, or joined late enough for the reason.
    const said = await bodyOf(await astera.get(fileOf(one, 'zip')));
    assert.ok(said.startsWith('502 ') && said.includes(h1), said);
    assert.equal(said.match(/h1:[\w+/]{43}=/g)?.length, 2, said);
    assert.equal(upstream.count(fileOf(one, 'zip')), 1, `asked once: ${stderr}`);
    const again = await (await client()).run('mod', 'download', at(one));
    assert.ok(again.stderr.includes(h1), again.stderr);
    assert.equal((await astera.get('readyz')).status, 200);
    const metrics = await astera.metrics();
    assert.equal(metrics.get('astera_check_failures_total'), 1);
    assert.equal(metrics.get('astera_tampered_total'), 0);
    await astera.stop();
    const { entries, blobs, chunks } = dumpStore(astera.db);
    assert.deepEqual(
      entries.filter(({ key }) => key === fileOf(one, 'zip')),
      [],
    );
    assert.deepEqual([blobs, chunks], [[], 0]);
  }
});

test('a client that is being sent an altered zip gets a cut connection, not an end', async (t) => {
  const { upstream, astera } = await makeWorld(t);
  upstream.alter = (path, bytes) => (path === fileOf(large, 'zip') ? forged(large) : bytes);
  const clients = Array.from({ length: 5 }, async () => {
    const answer = await astera.get(fileOf(large, 'zip'));
    return answer.status === 200 ? answer.arrayBuffer() : Promise.reject(new Error(await answer.text()));
  });
  for (const { status } of await Promise.allSettled(clients)) assert.equal(status, 'rejected');
});

test('an altered go.mod is refused with both hashes and not kept', async (t) => {
  const { upstream, astera, client } = await makeWorld(t);
  const lieOf = Buffer.from(`module ${a.path}\n\ngo 1.22\n`);
  upstream.alter = (path, bytes) => (path === fileOf(a, 'mod') ? lieOf : bytes);
  const { code, stderr } = await (await client()).run('mod', 'download', at(a));
  assert.notEqual(code, 0);
  const h1 = (await sumLines(a)).split(/\s/)[5] ?? '';
  assert.ok(stderr.includes(h1), stderr);
  assert.match(await bodyOf(await astera.get(fileOf(a, 'mod'))), /^502 .*h1:.*h1:/);
  await astera.stop();
  assert.ok(!dumpStore(astera.db).entries.some(({ key }) => key === fileOf(a, 'mod')));
});

test('after its time a refused file is fetched anew, from the upstream behind a bar first', async (t) => {
  const liar = await LyingUpstream.start(modules, { database: db });
  t.after(() => liar.close());
  for (const kind of ['zip', 'mod']) {
    const wrong = kind === 'zip' ? forged(a) : Buffer.from(`module ${a.path}\n`);
    liar.alter = (path, bytes) => (path === fileOf(a, kind) ? wrong : bytes);
    liar.asked = [];
    const honest = await LyingUpstream.start(modules);
    t.after(() => honest.close());
    const astera = await Astera.start({
      upstream: `${liar.url}|${honest.url}`,
      flags: ['--sumdb', db.verifierKey, '--negative-ttl', '0s'],
    });
    t.after(() => astera.dispose());
    await assert.rejects(
      astera.get(fileOf(a, kind)).then(async (answer) => {
        const text = await answer.text();
        if (answer.status !== 200) throw new Error(text);
      }),
    );
    const answer = await astera.get(fileOf(a, kind));
    const bytes = Buffer.from(await answer.arrayBuffer());
    assert.equal(answer.status, 200);
    assert.ok(bytes.equals(madeUpFiles(a)[kind as 'zip' | 'mod']));
    assert.deepEqual([liar.count(fileOf(a, kind)), honest.count(fileOf(a, kind))], [1, 1]);
    assert.equal((await astera.metrics()).get('astera_tampered_total'), 0);
    await verifies(await newClient(t, astera.url), [a], 'from the honest one');
  }
});

test('the same wrong content twice is no accident: a loud line and a metric', async (t) => {
  const { upstream, astera } = await makeWorld(t, {
    flags: ['--sumdb', db.verifierKey, '--negative-ttl', '0s'],
  });
  upstream.alter = (path, bytes) => (path === fileOf(a, 'mod') ? Buffer.from('module other\n') : bytes);
  for (const times of [0, 1]) {
    assert.equal((await astera.get(fileOf(a, 'mod'))).status, 502);
    assert.equal((await astera.metrics()).get('astera_tampered_total'), times);
  }
  await astera.logged(/TAMPERED/);
});

test('with --verify=strict no byte of an altered zip goes out, and the truth does', async (t) => {
  const { upstream, astera, client } = await makeWorld(t, {
    flags: ['--sumdb', db.verifierKey, '--verify', 'strict'],
  });
  upstream.alter = (path, bytes) => (path === fileOf(large, 'zip') ? forged(large) : bytes);
  assert.match(await bodyOf(await astera.get(fileOf(large, 'zip'))), /^502 .*h1:.*h1:/);
  await verifies(await client(), [a, c], 'strict');
});

test('with --verify=strict and no database nothing is served that it has to confirm', async (t) => {
  const { astera } = await makeWorld(t, {
    isProxied: false,
    flags: ['--sumdb', `${db.verifierKey} http://127.0.0.1:1`, '--verify', 'strict'],
  });
  for (const kind of ['mod', 'zip']) assert.match(await bodyOf(await astera.get(fileOf(a, kind))), /^504 /);
  assert.match(await bodyOf(await astera.get(fileOf(a, 'info'))), /^200 /);
  await astera.stop();
  assert.deepEqual(
    dumpStore(astera.db).entries.map(({ key }) => key),
    [fileOf(a, 'info')],
  );
});

test('without the database what is new is served and kept as unconfirmed, and counted', async (t) => {
  const { upstream, astera } = await makeWorld(t, {
    isProxied: false,
    flags: ['--sumdb', `${db.verifierKey} http://127.0.0.1:1`],
  });
  for (const one of [a, large]) {
    for (const kind of ['mod', 'zip'] as const) {
      const answer = await astera.get(fileOf(one, kind));
      assert.ok(madeUpFiles(one)[kind].equals(Buffer.from(await answer.arrayBuffer())));
    }
  }
  // The last answer may be out before it is committed.
  while ((await astera.metrics()).get('astera_unconfirmed') !== 4) await setImmediate();
  await upstream.close();
  assert.equal((await astera.get(fileOf(large, 'zip'))).status, 200);
  await astera.stop();
  const trusts = dumpStore(astera.db).entries.map(({ trust }) => trust);
  assert.deepEqual(trusts, ['unconfirmed', 'unconfirmed', 'unconfirmed', 'unconfirmed']);
});
