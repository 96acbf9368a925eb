// Goal: a download cache goes in whole, whatever lies in it and whenever the import is broken off.
// Method: the real command on made-up caches; killed at many moments; beside a real server.

import assert from 'node:assert/strict';
import { statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { assertWhole, query } from '../store/stores.ts';
import { Astera, runAstera } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { readTree, versionFiles, writeDownloadCache, writeTree } from '../support/download-cache.ts';
import { type MadeUpModule, madeUpFiles, storedZip } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';

const PSEUDO = 'v0.0.0-20240102030405-abcdefabcdef';

/** One of each kind and size: inline, one chunk, several; a capital; a pseudo-version. */
const few: readonly MadeUpModule[] = [
  { path: 'a.example/small', version: 'v1.0.0', contentBytes: 1_000 },
  { path: 'a.example/small', version: 'v1.2.0', contentBytes: 20_000 },
  { path: 'a.example/small', version: 'v1.1.0-rc.1', contentBytes: 1_500 },
  { path: 'a.example/Capital/v2', version: 'v2.0.0', contentBytes: 300_000 },
  { path: 'b.example/large', version: 'v1.0.0+incompatible', contentBytes: 1_000_000 },
  { path: 'c.example/pseudo', version: PSEUDO, contentBytes: 1_000 },
].map((module) => ({ ...module, version: module.version.replace('v1.0.0+', 'v3.0.0+') }));

function cacheOf(t: TestContext, modules: readonly MadeUpModule[]): string {
  const root = join(tempDir(t), 'cache/download');
  writeDownloadCache(root, modules);
  return root;
}

/** All 200s of a store, by key. */
function storedSizes(db: string): Map<string, number> {
  const rows = query(db, "SELECT key || ' ' || size FROM entry WHERE status = 200 ORDER BY key");
  return new Map(rows.map(String).map((row) => [row.split(' ')[0] ?? '', Number(row.split(' ')[1])]));
}

function sizesOf(root: string): Map<string, number> {
  const files = [...versionFiles(readTree(root))].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(files.map(([path, bytes]) => [path, bytes.byteLength]));
}

test('every file of a version goes in, and comes out byte for byte', async (t) => {
  const root = cacheOf(t, few);
  writeTree(root, { 'd.example/only-mod/@v/v1.0.0.mod': 'module d.example/only-mod\n' });
  const [db, out] = [join(tempDir(t), 'a.db'), join(tempDir(t), 'out')];
  const imported = await runAstera(['import', '--db', db, root]);
  assert.match(imported.stdout, /^imported 19 files \([^)]+\) in [0-9.]+s, 0 were stored before\n$/);
  assert.deepEqual([imported.code, imported.stderr], [0, '']);
  assertWhole(db);
  assert.deepEqual(query(db, 'SELECT DISTINCT source FROM entry'), ['import']);
  const exported = await runAstera(['export', '--db', db, out]);
  assert.deepEqual([exported.code, exported.stderr], [0, '']);
  assert.deepEqual(versionFiles(readTree(out)), versionFiles(readTree(root)));
});

test('a GOMODCACHE is as good as its cache/download, and twice changes nothing', async (t) => {
  const root = cacheOf(t, few);
  const db = join(tempDir(t), 'a.db');
  await runAstera(['import', '--db', db, join(root, '../..')]);
  const again = await runAstera(['import', '--db', db, root]);
  assert.match(again.stdout, /^imported 0 files \(0B\) in [0-9.]+s, 18 were stored before\n$/);
  assert.deepEqual(storedSizes(db), sizesOf(root));
});

test('what is stored stays: an upstream answer is not replaced', async (t) => {
  const [root, other] = [cacheOf(t, few), cacheOf(t, few)];
  writeTree(other, { 'a.example/small/@v/v1.0.0.mod': 'module other\n' });
  const db = join(tempDir(t), 'a.db');
  await runAstera(['import', '--db', db, root]);
  await runAstera(['import', '--db', db, other]);
  assert.deepEqual(storedSizes(db), sizesOf(root));
});

const good = madeUpFiles({ path: 'x.example/m', version: 'v1.0.0', contentBytes: 400_000 });
const base = 'x.example/m/@v';

const bad: { path: string; content: string | Uint8Array; line: RegExp; why: string }[] = [
  { path: `${base}/v1.0.1.zip`, content: good.zip, line: /outside/, why: 'the zip of another version' },
  {
    path: `${base}/v1.0.0.zip`,
    content: good.zip.subarray(0, 300_000),
    line: /cannot read zip/,
    why: 'half a zip',
  },
  { path: `${base}/v1.0.0.zip`, content: '', line: /cannot read zip/, why: 'an empty zip' },
  { path: `${base}/v1.0.0.zip`, content: 'PK', line: /cannot read zip/, why: 'two bytes of a zip' },
  {
    path: `${base}/v1.0.0.zip`,
    content: storedZip([{ name: 'x.example/m@v1.0.0/../../etc/passwd', bytes: Buffer.from('x') }]),
    line: /etc\/passwd/,
    why: 'a zip that climbs out',
  },
  { path: `${base}/v1.0.0.info`, content: '{"Version":', line: /not JSON/, why: 'half an .info' },
  {
    path: `${base}/v1.0.0.info`,
    content: '{"Version":"v9.9.9"}',
    line: /of version "v9\.9\.9"/,
    why: "another version's .info",
  },
  {
    path: `${base}/v1.0.0.mod`,
    content: '<html>moved</html>',
    line: /markup/,
    why: 'a web page for a go.mod',
  },
  { path: `${base}/v1.zip`, content: good.zip, line: /not a canonical version/, why: 'a short version' },
  { path: `${base}/main.info`, content: '{}', line: /not the file of a version/, why: 'a branch' },
  { path: 'x.example/M/@v/v1.0.0.mod', content: '', line: /^$/, why: 'no escaped path: passed by' },
  {
    path: 'x.example/con/@v/v1.0.0.mod',
    content: '',
    line: /malformed module path/,
    why: 'a reserved name',
  },
];

for (const { path, content, line, why } of bad) {
  test(`left out and named: ${why}`, async (t) => {
    const root = cacheOf(t, few.slice(0, 1));
    const before = sizesOf(root);
    writeTree(root, { [path]: content });
    const db = join(tempDir(t), 'a.db');
    const { code, stdout, stderr } = await runAstera(['import', '--db', db, root]);
    assert.equal(code, 0);
    if (line.source === '^$') assert.equal(stderr, '');
    else assert.match(stderr, /^left out: [^\n]+\n$/);
    assert.match(stderr, line);
    assert.ok(line.source === '^$' || stderr.includes(join(root, path)), stderr);
    assert.match(stdout, line.source === '^$' ? /before\n$/ : /, 1 left out\n$/);
    assert.deepEqual(storedSizes(db), before);
  });
}

test('names from elsewhere cannot steer the terminal: of files, of directories, in zips, in answers', async (t) => {
  const above = tempDir(t);
  const root = join(above, 'evil\u009b2J\u202e');
  writeDownloadCache(root, few.slice(0, 1));
  const versions = 'a.example/small/@v';
  writeTree(root, {
    [`${versions}/v1.0.1\u001b[2J.mod`]: 'module x\n',
    [`${versions}/v1.0.2\u009b31m.info`]: '{}',
    [`${versions}/v1.0.3\u202egpj.zip`]: 'PK',
    [`${versions}/v1.0.4\nall is well.mod`]: '',
    [`${versions}/v1.0.5.zip`]: storedZip([{ name: 'x\u001b]0;y\u0007\u009b', bytes: Buffer.from('x') }]),
    [`${versions}/v1.0.6.info`]: '{"Version":"\\u001b[2J\u009b\u202e"}',
  });
  const { code, stdout, stderr } = await runAstera(['import', '--db', join(above, 'a.db'), root]);
  assert.equal(code, 0, stderr);
  for (const said of [stdout, stderr]) {
    assert.doesNotMatch(said.replaceAll('\n', ''), /[\p{C}\p{Zl}\p{Zp}]/u);
  }
  assert.equal(stderr.split('\n').length, 6 + 1, stderr);
  assert.match(stdout, /, 6 left out\n$/);
});

test('a symbolic link is left out and named', async (t) => {
  const root = cacheOf(t, few.slice(0, 1));
  symlinkSync('v1.0.0.mod', join(root, 'a.example/small/@v/v1.9.0.mod'));
  const { code, stderr } = await runAstera(['import', '--db', join(tempDir(t), 'a.db'), root]);
  assert.match(stderr, /^left out: [^\n]+v1\.9\.0\.mod: a symbolic link\n$/);
  assert.equal(code, 0);
});

const nothing: { make: (root: string) => string; line: RegExp; why: string }[] = [
  { make: (root) => join(root, 'none'), line: /cannot import "[^"]+none": ENOENT/, why: 'no directory' },
  {
    make: (root) => {
      writeFileSync(join(root, 'f'), '');
      return join(root, 'f');
    },
    line: /not a directory/,
    why: 'a file',
  },
  { make: (root) => root, line: /no module in it; name a Go download cache/, why: 'an empty directory' },
  {
    make: (root) => {
      writeTree(root, { 'x.example/m/@v/v1.0.0.zip': 'x' });
      return root;
    },
    line: /none of its 1 files can be taken/,
    why: 'nothing but bad files',
  },
];

for (const { make, line, why } of nothing) {
  test(`exit 1 and a line: ${why}`, async (t) => {
    const { code, stdout, stderr } = await runAstera([
      'import',
      '--db',
      join(tempDir(t), 'a.db'),
      make(tempDir(t)),
    ]);
    assert.match(stderr, line);
    assert.match(stderr, /(^|\n)astera: [^\n]+\n$/);
    assert.deepEqual([code, stdout], [1, '']);
  });
}

/** Enough for an import to be met in the middle of. */
const many: readonly MadeUpModule[] = Array.from({ length: 12 }, (_, i) => ({
  path: `m${i}.example/many`,
  version: 'v1.0.0',
  contentBytes: i % 3 === 0 ? 3_000_000 : 40_000,
}));

function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** More than an import that has the store to itself commits at one time. */
const much: readonly MadeUpModule[] = Array.from({ length: 30 }, (_, i) => ({
  path: `m${i}.example/much`,
  version: 'v1.0.0',
  contentBytes: i % 3 === 0 ? 40_000 : 5_000_000,
}));

test('killed at any moment it goes on, and ends whole', async (t) => {
  const root = cacheOf(t, much);
  const db = join(tempDir(t), 'a.db');
  const kills = times({ short: 5, long: 10 });
  let killed = 0;
  for (let moment = 1; moment <= kills; moment++) {
    const command = new AsteraCommand(['import', '--db', db, root]);
    // In the middle of a transaction, and just after one was begun to be written into the file.
    const before = bytesOf(db);
    const isTime =
      moment % 4 === 0 ? () => bytesOf(db) > before + 1_000_000 : () => bytesOf(`${db}-journal`) > 0;
    const { code } = await command.stopWhen(isTime, 'SIGKILL');
    if (code === null) killed++;
  }
  assert.ok(killed >= kills / 4, `met in the middle only ${killed} times`);
  const last = await runAstera(['import', '--db', db, root]);
  assert.deepEqual([last.code, last.stderr], [0, '']);
  assert.deepEqual(storedSizes(db), sizesOf(root));
  const out = join(tempDir(t), 'out');
  assert.equal((await runAstera(['export', '--db', db, out])).code, 0);
  assert.deepEqual(versionFiles(readTree(out)), versionFiles(readTree(root)));
  assert.deepEqual(query(db, 'SELECT growing_key FROM blob WHERE growing_key IS NOT NULL'), []);
  assertWhole(db);
});

test('told to stop it ends with a whole store and exit 0, and goes on when run again', async (t) => {
  const root = cacheOf(t, much);
  // On a machine that is busy the signal may come when all is under way: then anew.
  for (let tries = 1; ; tries++) {
    const db = join(tempDir(t), 'a.db');
    const command = new AsteraCommand(['import', '--db', db, root]);
    const { code, stdout } = await command.stopWhen(() => bytesOf(db) > 1_000_000, 'SIGINT');
    assert.equal(code, 0);
    assertWhole(db);
    if (storedSizes(db).size === 90 && tries < 10) continue;
    assert.ok(storedSizes(db).size < 90, 'it was met in the middle');
    assert.match(stdout, /stopped: run it again to go on\n$/);
    await runAstera(['import', '--db', db, root]);
    assert.deepEqual(storedSizes(db), sizesOf(root));
    return;
  }
});

const NOWHERE = 'off';

test('beside a server it goes through it: what was a 404 is there at once', async (t) => {
  const root = cacheOf(t, [...few, ...many]);
  const server = await Astera.start({ upstream: NOWHERE, flags: ['--offline', '--verify', 'off'] });
  t.after(() => server.dispose());
  const path = 'b.example/large/@v/v3.0.0+incompatible.zip';
  assert.equal((await server.get(path)).status, 404);
  const { code, stdout, stderr } = await runAstera(['import', '--db', server.db, root]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^imported 54 files/);
  const answers = await Promise.all(
    [...versionFiles(readTree(root))].map(async ([file, bytes]) => {
      const answer = await server.get(file);
      return answer.status === 200 && Buffer.from(await answer.arrayBuffer()).equals(bytes);
    }),
  );
  assert.ok(
    answers.every((isSame) => isSame),
    'every file is served',
  );
  const list = await server.get('a.example/small/@v/list');
  assert.equal(await list.text(), 'v1.0.0\nv1.1.0-rc.1\nv1.2.0\n');
  const latest = await server.get('c.example/pseudo/@latest');
  assert.equal(((await latest.json()) as { Version: string }).Version, PSEUDO);
  await server.stop();
  assertWhole(server.db);
});

test('killed beside a server it leaves nothing growing, and goes on', async (t) => {
  const root = cacheOf(t, many);
  const server = await Astera.start({ upstream: NOWHERE, flags: ['--offline', '--verify', 'off'] });
  t.after(() => server.dispose());
  const before = bytesOf(`${server.db}-wal`);
  const command = new AsteraCommand(['import', '--db', server.db, root]);
  await command.stopWhen(() => bytesOf(`${server.db}-wal`) > before + 600_000, 'SIGKILL');
  await runAstera(['import', '--db', server.db, root]);
  await server.stop();
  assert.deepEqual(storedSizes(server.db), sizesOf(root));
  assert.deepEqual(query(server.db, 'SELECT growing_key FROM blob WHERE growing_key IS NOT NULL'), []);
  assertWhole(server.db);
});

test('a server that ends under it is one line and exit 1; run again it ends the work alone', async (t) => {
  const root = cacheOf(t, much);
  const server = await Astera.start({ upstream: NOWHERE, flags: ['--offline', '--verify', 'off'] });
  t.after(() => server.dispose());
  const before = bytesOf(`${server.db}-wal`); // It has the schema.
  const command = new AsteraCommand(['import', '--db', server.db, root]);
  while (bytesOf(`${server.db}-wal`) < before + 600_000)
    await new Promise((resolve) => setImmediate(resolve));
  await server.kill();
  const { code, stderr } = await command.exited;
  assert.match(
    stderr,
    /^astera: cannot go on: lost the running server: [^\n]+; run the same command again\n$/,
  );
  assert.equal(code, 1);
  assert.equal((await runAstera(['import', '--db', server.db, root])).code, 0);
  assert.deepEqual(storedSizes(server.db), sizesOf(root));
  assertWhole(server.db);
});

test('serve --import-local-cache answers with it from the first request on', async (t) => {
  const root = cacheOf(t, few);
  const flags = ['--offline', '--verify', 'off', '--import-local-cache', '--local-cache-dir', root];
  const server = await Astera.start({ upstream: NOWHERE, flags });
  t.after(() => server.dispose());
  for (const [file, bytes] of versionFiles(readTree(root))) {
    const answer = await server.get(file);
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes), file);
  }
  await server.stop();
});

test('serve --import-local-cache with a directory that is none does not start', async (t) => {
  const db = join(tempDir(t), 'a.db');
  const flags = ['--offline', '--import-local-cache', '--local-cache-dir', '/nowhere/at/all'];
  const { code, stdout, stderr } = await runAstera(['serve', '--addr', '127.0.0.1:0', '--db', db, ...flags]);
  assert.match(stderr, /^astera: cannot import "\/nowhere\/at\/all": ENOENT[^\n]+\n$/m);
  assert.deepEqual([code, stdout], [1, '']);
});
