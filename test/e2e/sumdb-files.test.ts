// Goal: what a machine's `go` has verified is taken over from its download cache, and goes out again as
// files that verify everything, with nobody asked; what is not proven is named and not kept.
// Method: the real `go` fills a cache against x/mod's own database while that grows; import, export, and
// the real `go` again over file:// or a server that may not go out. Then the same with damaged files.

import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { query } from '../store/stores.ts';
import { Astera, runAstera } from '../support/astera.ts';
import { corpusFiles, ensureCorpus } from '../support/corpus.ts';
import { corpusRecords } from '../support/corpus-records.ts';
import { readTree, writeTree } from '../support/download-cache.ts';
import { GoClient } from '../support/go.ts';
import { type SumdbServer, startSumdbServer } from '../support/sumdb-server.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Modules fetched before, and after, the database has grown by a day. */
const EARLY = 6;
const LATE = 6;

let db: SumdbServer;
let modules: string[];
/** A download cache after the first day, and after the second. */
let early: string;
let late: string;
let machine: GoClient;

before(async () => {
  const root = await ensureCorpus();
  db = await startSumdbServer({ records: 700 });
  const records = corpusRecords(root);
  await db.ask({ Cmd: 'add', Texts: records.slice(0, records.length / 2) });
  modules = smallModules(root).slice(0, EARLY + LATE);
  machine = await GoClient.create(pathToFileURL(root).href, { sumdb: `${db.verifierKey} ${db.url}` });
  await download(machine, modules.slice(0, EARLY));
  early = join(machine.directory, 'early');
  cpSync(join(machine.directory, 'modcache/cache/download'), early, { recursive: true });
  // Past a full tile of the level above the records'.
  await db.ask({ Cmd: 'grow', N: 66_000 });
  await db.ask({ Cmd: 'add', Texts: records.slice(records.length / 2) });
  for (const module of modules.slice(EARLY)) {
    await db.ask({ Cmd: 'grow', N: 100 });
    await download(machine, [module]);
  }
  late = join(machine.directory, 'modcache/cache/download');
});
after(async () => {
  await machine.dispose();
  await db.close();
});

/** From both halves of the corpus, with all three files. */
function smallModules(root: string): string[] {
  const paths = new Map(corpusFiles(root).map(({ path, size }) => [path, size]));
  const stems = [...paths.keys()].filter((path) => path.endsWith('.zip')).map((path) => path.slice(0, -4));
  const whole = stems.filter(
    (stem) => paths.has(`${stem}.info`) && (paths.get(`${stem}.zip`) ?? 0) < 200_000,
  );
  const step = Math.floor(whole.length / (EARLY + LATE));
  return whole
    .filter((_, at) => at % step === 0)
    .map((stem) =>
      stem.replace('/@v/', '@').replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    );
}

async function download(client: GoClient, names: readonly string[]): Promise<void> {
  const { code, stderr } = await client.run('mod', 'download', ...names);
  assert.equal(code, 0, stderr);
}

async function clientOf(t: TestContext, proxy: string): Promise<GoClient> {
  const client = await GoClient.create(proxy, { sumdb: db.verifierKey });
  t.after(() => client.dispose());
  return client;
}

const importFlags = () => ['--sumdb', db.verifierKey];

const lookupsOf = (path: string) =>
  query(path, "SELECT count(*) FROM entry WHERE key GLOB 'sumdb/*/lookup/*'")[0];

test('in and out as files: a client without a head, then one with an older head, verifies all', async (t) => {
  const [store, out] = [join(tempDir(t), 'a.db'), join(tempDir(t), 'out')];
  const take = async (root: string) => {
    const imported = await runAstera(['import', '--db', store, ...importFlags(), root]);
    assert.deepEqual([imported.code, imported.stderr], [0, '']);
    const exported = await runAstera(['export', '--db', store, out]);
    assert.deepEqual([exported.code, exported.stderr], [0, '']);
    assert.doesNotMatch(exported.stdout, /left out/);
  };
  await take(early);
  assert.equal(lookupsOf(store), EARLY);
  const client = await clientOf(t, pathToFileURL(out).href);
  await download(client, modules.slice(0, EARLY));
  await take(late);
  assert.equal(lookupsOf(store), EARLY + LATE);
  await client.emptyModuleCache();
  await download(client, modules);
  await download(await clientOf(t, pathToFileURL(out).href), modules);
});

test('again it changes nothing, and a copy of an export is the same', async (t) => {
  const [store, other] = [join(tempDir(t), 'a.db'), join(tempDir(t), 'b.db')];
  const [one, two] = [join(tempDir(t), 'one'), join(tempDir(t), 'two')];
  await runAstera(['import', '--db', store, ...importFlags(), late]);
  const again = await runAstera(['import', '--db', store, ...importFlags(), late]);
  assert.match(again.stdout, /^imported 0 files/);
  await runAstera(['export', '--db', store, one]);
  const more = await runAstera(['export', '--db', store, one]);
  assert.match(more.stdout, /^exported 0 files/);
  const copied = await runAstera(['import', '--db', other, ...importFlags(), one]);
  assert.deepEqual([copied.code, copied.stderr], [0, '']);
  await runAstera(['export', '--db', other, two]);
  assert.deepEqual(readTree(two), readTree(one));
});

test('a server that may not go out confirms what was imported by the records that came with it', async (t) => {
  const store = join(tempDir(t), 'a.db');
  await runAstera(['import', '--db', store, ...importFlags(), late]);
  const server = await Astera.start({
    ...{ upstream: 'off', db: store },
    flags: ['--offline', ...importFlags()],
  });
  t.after(() => server.dispose());
  while ((await server.metrics()).get('astera_unchecked') !== 0) await setTimeout(50);
  assert.equal((await server.metrics()).get('astera_unconfirmed'), 0);
  await server.stop();
  const sql = "SELECT count(*) FROM entry WHERE trust = 'confirmed' AND kind = 'zip'";
  assert.equal(query(store, sql)[0], EARLY + LATE);
});

test('beside a server that may not go out: its clients verify at once', async (t) => {
  const server = await Astera.start({ upstream: 'off', flags: ['--offline', ...importFlags()] });
  t.after(() => server.dispose());
  for (const root of [early, late]) {
    const { code, stderr } = await runAstera(['import', '--db', server.db, root]);
    assert.deepEqual([code, stderr], [0, '']);
  }
  await download(await clientOf(t, server.url), modules);
  await server.stop();
  assert.doesNotMatch(server.log, /SECURITY/);
});

test('without checksum databases the folder is passed by', async (t) => {
  const store = join(tempDir(t), 'a.db');
  const { code, stderr } = await runAstera(['import', '--db', store, '--sumdb', 'off', late]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(lookupsOf(store), 0);
});

test('a database that is not among --sumdb is named once', async (t) => {
  const store = join(tempDir(t), 'a.db');
  const { code, stderr } = await runAstera(['import', '--db', store, '--sumdb', 'sum.golang.org', late]);
  assert.match(stderr, /^left out: [^\n]+: a checksum database that is not among --sumdb\n$/);
  assert.deepEqual([code, lookupsOf(store)], [0, 0]);
});

/** A copy of the cache, and where its database's files are. */
function copyOf(t: TestContext): { root: string; base: string } {
  const root = join(tempDir(t), 'copy');
  cpSync(late, root, { recursive: true });
  return { root, base: join(root, 'sumdb', db.name) };
}

const lookupFiles = (base: string) =>
  readdirSync(join(base, 'lookup'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.includes('@'))
    .map((path) => join(base, 'lookup', path));

test('a lookup that was changed is named and not kept', async (t) => {
  const { root, base } = copyOf(t);
  const [changed = '', cut = '', signed = ''] = lookupFiles(base);
  const text = readFileSync(changed, 'utf8');
  writeFileSync(
    changed,
    text.replace(/h1:./, (start) => (start === 'h1:A' ? 'h1:B' : 'h1:A')),
  );
  writeFileSync(cut, readFileSync(cut).subarray(0, 20));
  writeFileSync(signed, readFileSync(signed, 'utf8').replace(/.{8}=*\n$/, 'AAAAAAA=\n'));
  const store = join(tempDir(t), 'a.db');
  const { code, stderr } = await runAstera(['import', '--db', store, ...importFlags(), root]);
  assert.equal(code, 0);
  for (const file of [changed, cut, signed]) assert.ok(stderr.includes(`left out: ${file}: `), stderr);
  // Beside them only tiles that the newest head, were it among these, would have proven.
  const others = stderr.split('\n').filter((line) => !/^$|\/lookup\/|past the newest head/.test(line));
  assert.deepEqual(others, []);
  assert.equal(lookupsOf(store), EARLY + LATE - 3);
});

test('a tile that was changed is named, and proves nothing', async (t) => {
  const { root, base } = copyOf(t);
  const full = readdirSync(join(base, 'tile/8/0')).find((name) => /^\d{3}$/.test(name)) ?? '';
  writeTree(base, {
    [`tile/8/0/${full}`]: Buffer.alloc(8192, 1),
    'tile/8/0/x777/777': Buffer.alloc(8192, 2),
  });
  const [store, out] = [join(tempDir(t), 'a.db'), join(tempDir(t), 'out')];
  const { code, stderr } = await runAstera(['import', '--db', store, ...importFlags(), root]);
  assert.equal(code, 0);
  for (const name of [full, 'x777/777']) {
    assert.ok(stderr.includes(`left out: ${join(base, 'tile/8/0', name)}: `), stderr);
  }
  await runAstera(['export', '--db', store, out]);
  const kept = readTree(join(out, 'sumdb', db.name));
  for (const [path, bytes] of kept) {
    if (!path.startsWith('tile/')) continue;
    assert.ok(bytes.equals(await db.fetch(path)), `${path} is not the database's`);
  }
});
