// Goal: an export is a GOPROXY that the real `go` command can use, whole whenever it was broken off.
// Method: made-up stores exported by the real command; killed at many moments; read by `go`.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreWriter } from '../../src/store/writer.ts';
import { put } from '../store/stores.ts';
import { Astera, runAstera } from '../support/astera.ts';
import { AsteraCommand } from '../support/astera-command.ts';
import { readTree, versionFiles, writeDownloadCache, writeTree } from '../support/download-cache.ts';
import { GoClient } from '../support/go.ts';
import { type MadeUpModule, madeUpFiles } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';

const PSEUDO = 'v0.0.0-20240102030405-abcdefabcdef';

const few: readonly MadeUpModule[] = [
  { path: 'a.example/m', version: 'v1.0.0', contentBytes: 1_000 },
  { path: 'a.example/m', version: 'v1.10.0', contentBytes: 600_000 },
  { path: 'a.example/m', version: 'v1.9.0', contentBytes: 1_000 },
  { path: 'a.example/m', version: 'v1.11.0-rc.1', contentBytes: 1_000 },
  { path: 'a.example/m/sub', version: 'v0.1.0', contentBytes: 1_000 },
  { path: 'b.example/Pseudo', version: PSEUDO, contentBytes: 1_000 },
];

/** A store of `modules` and of `more` files; where it is, and the tree it came from. */
async function storeOf(
  t: TestContext,
  modules: readonly MadeUpModule[],
  more: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<{ db: string; root: string }> {
  const [root, db] = [join(tempDir(t), 'in'), join(tempDir(t), 'a.db')];
  writeDownloadCache(root, modules);
  writeTree(root, more);
  const { code, stderr } = await runAstera(['import', '--db', db, root]);
  assert.deepEqual([code, stderr], [0, '']);
  return { db, root };
}

test('lists and @latest name what is there', async (t) => {
  const { db } = await storeOf(t, few, {
    'a.example/m/@v/v1.12.0.mod': 'module a.example/m\n',
    'c.example/graph/@v/v1.0.0.mod': 'module c.example/graph\n',
  });
  const out = join(tempDir(t), 'out');
  const { code, stdout } = await runAstera(['export', '--db', db, out]);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^exported 27 files \([^)]+\) in [0-9.]+s, 0 were there before; GOPROXY=file:\/\/\/\S+\n$/,
  );
  const tree = new Map([...readTree(out)].map(([path, bytes]) => [path, bytes.toString()]));
  // v1.12.0 has no zip: `go get a.example/m` would fail on it.
  assert.equal(tree.get('a.example/m/@v/list'), 'v1.0.0\nv1.9.0\nv1.10.0\nv1.11.0-rc.1\n');
  assert.match(tree.get('a.example/m/@latest') ?? '', /"v1\.10\.0"/);
  assert.equal(tree.get('a.example/m/sub/@v/list'), 'v0.1.0\n');
  assert.equal(tree.get('b.example/!pseudo/@v/list'), '', 'no pseudo-versions in a list');
  assert.match(tree.get('b.example/!pseudo/@latest') ?? '', new RegExp(PSEUDO));
  assert.equal(tree.get('c.example/graph/@v/list'), 'v1.0.0\n', 'better than nothing');
  assert.equal(tree.has('c.example/graph/@latest'), false, 'there is no .info to be it');
});

test('malformed rows of checksum databases are left out, and end no export', async (t) => {
  const { db } = await storeOf(t, few.slice(0, 1));
  const head = `go.sum database tree\n1\n${Buffer.alloc(32).toString('base64')}\n\n— y.example AAAA\n`;
  const writer = new StoreWriter(db);
  const rows = {
    'x.example/latest': 'no head',
    'x.example/lookup/a.example/m@v1.0.0': 'no record',
    'y.example/latest': head,
    'y.example/lookup/a.example/m@v1.0.0': 'no record',
    'y.example/lookup/A.example/UPPER@v1.0.0': '0\nmalformed key\n\n',
    'y.example/lookup/nothing': '0\nmalformed key\n\n',
    'y.example/lookup/../../../escaped@v1.0.0': '0\na.example/m v1.0.0 h1:x\n\n',
    'y.example/tile/9/0/000': 'another height',
    'y.example/tile/8/x/000': 'no level',
    'y.example/tile/8/0/000': 'short',
    '.hidden/latest': head,
  };
  for (const [file, text] of Object.entries(rows)) {
    put(writer, { key: `sumdb/${file}`, bytes: Buffer.from(text) });
  }
  writer.close();
  const out = join(tempDir(t), 'out');
  const { code, stdout, stderr } = await runAstera(['export', '--db', db, out]);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /5 checksums left out that the store can't prove/);
  assert.deepEqual(
    [...readTree(out).keys()].filter((path) => path.startsWith('sumdb/')),
    ['sumdb/y.example/latest', 'sumdb/y.example/supported'],
  );
  assert.ok(existsSync(join(out, 'a.example/m/@v/v1.0.0.zip')));
});

test('go takes it as its only proxy', async (t) => {
  const { db } = await storeOf(t, few);
  const out = join(tempDir(t), 'out dir');
  const { stdout } = await runAstera(['export', '--db', db, out]);
  const go = await GoClient.create(/GOPROXY=(\S+)/.exec(stdout)?.[1] ?? '');
  t.after(() => go.dispose());
  const listed = await go.run('list', '-m', '-versions', 'a.example/m');
  assert.equal(listed.stdout, 'a.example/m v1.0.0 v1.9.0 v1.10.0 v1.11.0-rc.1\n', listed.stderr);
  const got = await go.run('get', 'a.example/m', 'a.example/m/sub/noise', 'b.example/Pseudo@latest');
  assert.equal(got.code, 1, 'a package that is not there');
  for (const args of [
    ['get', 'a.example/m'],
    ['mod', 'download', '-x', `b.example/Pseudo@latest`],
  ]) {
    const { code, stderr } = await go.run(...args);
    assert.equal(code, 0, stderr);
  }
  assert.match((await go.moduleFiles()).mod, /a\.example\/m v1\.10\.0/);
});

test('again it writes only what is new, and mends what is not whole', async (t) => {
  const { db, root } = await storeOf(t, few);
  const out = join(tempDir(t), 'out');
  await runAstera(['export', '--db', db, out]);
  const zip = join(out, 'a.example/m/@v/v1.10.0.zip');
  const [kept, before] = [join(out, 'a.example/m/@v/v1.9.0.zip'), readTree(out)];
  const inode = statSync(kept).ino;
  writeFileSync(zip, readFileSync(zip).subarray(0, 1000));
  writeFileSync(join(out, 'a.example/m/@v/list'), 'v1.0.1\nv1.9.0\nv1.10.0\nv1.11.0-rc.1\n');
  const { stdout } = await runAstera(['export', '--db', db, out]);
  assert.match(stdout, /^exported 2 files \([^)]+\) in [0-9.]+s, 22 were there before/);
  assert.deepEqual(readTree(out), before);
  assert.equal(statSync(kept).ino, inode, 'not written again');
  assert.deepEqual(versionFiles(before), versionFiles(readTree(root)));
});

test('what comes into the store later comes into the lists', async (t) => {
  const { db } = await storeOf(t, few.slice(0, 1));
  const [out, more] = [join(tempDir(t), 'out'), join(tempDir(t), 'more')];
  await runAstera(['export', '--db', db, out]);
  writeDownloadCache(more, few.slice(1, 2));
  await runAstera(['import', '--db', db, more]);
  const { stdout } = await runAstera(['export', '--db', db, out]);
  assert.match(stdout, /^exported 5 files/, 'three files of the version, the list, @latest');
  assert.equal(readFileSync(join(out, 'a.example/m/@v/list'), 'utf8'), 'v1.0.0\nv1.10.0\n');
});

const many: readonly MadeUpModule[] = Array.from({ length: 12 }, (_, i) => ({
  path: `m${i}.example/many`,
  version: 'v1.0.0',
  contentBytes: i % 3 === 0 ? 3_000_000 : 40_000,
}));

test('killed at any moment no file is half, and again it is complete', async (t) => {
  const { db, root } = await storeOf(t, many);
  const whole = versionFiles(readTree(root));
  const kills = times({ short: 4, long: 10 });
  let killed = 0;
  for (let kill = 1; kill <= kills; kill++) {
    const out = join(tempDir(t), 'out');
    const command = new AsteraCommand(['export', '--db', db, out]);
    const { code } = await command.stopWhen(
      () => existsSync(out) && readdirSync(out).length >= (10 * kill) / kills,
      'SIGKILL',
    );
    if (code === null) killed++;
    for (const [path, bytes] of versionFiles(readTree(out))) {
      assert.ok(whole.get(path)?.equals(bytes), `${path} is half`);
    }
    assert.equal((await runAstera(['export', '--db', db, out])).code, 0);
    assert.deepEqual(versionFiles(readTree(out)), whole);
    const names = readdirSync(out, { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      names.filter((name) => name.includes('.astera-')),
      [],
      'nothing is left behind',
    );
  }
  assert.ok(killed >= kills / 4, `met in the middle only ${killed} times`);
});

test('told to stop it exits with 0 and goes on when run again', async (t) => {
  const { db, root } = await storeOf(t, many);
  const out = join(tempDir(t), 'out');
  const command = new AsteraCommand(['export', '--db', db, out]);
  const { code, stdout } = await command.stopWhen(
    () => existsSync(out) && readdirSync(out).length >= 2,
    'SIGTERM',
  );
  assert.equal(code, 0);
  assert.match(stdout, /stopped: run it again to go on\n$/);
  await runAstera(['export', '--db', db, out]);
  assert.deepEqual(versionFiles(readTree(out)), versionFiles(readTree(root)));
});

test('beside a server that answers all the while', async (t) => {
  const { db, root } = await storeOf(t, many);
  const server = await Astera.start({ upstream: 'off', db, flags: ['--offline', '--verify', 'off'] });
  t.after(() => server.dispose());
  const out = join(tempDir(t), 'out');
  const exporting = runAstera(['export', '--db', db, out]);
  const files = [...versionFiles(readTree(root)).keys()];
  const answers = await Promise.all(files.map(async (file) => (await server.get(file)).status));
  assert.deepEqual(new Set(answers), new Set([200]));
  assert.equal((await exporting).code, 0);
  assert.deepEqual(versionFiles(readTree(out)), versionFiles(readTree(root)));
  await server.stop();
});

test('a directory that can not be written to is one line and exit 1', async (t) => {
  const { db } = await storeOf(t, few.slice(0, 1));
  const directory = tempDir(t);
  writeFileSync(join(directory, 'f'), 'mine');
  symlinkSync('/nowhere', join(directory, 'a.example'));
  for (const [out, line] of [
    [join(directory, 'f'), /cannot write to "[^"]+f": not a directory/],
    [directory, /cannot write to "[^"]+a\.example": not a directory/],
  ] as const) {
    const { code, stdout, stderr } = await runAstera(['export', '--db', db, out]);
    assert.match(stderr, line);
    assert.match(stderr, /^astera: [^\n]+\n$/);
    assert.deepEqual([code, stdout], [1, '']);
  }
  assert.equal(readFileSync(join(directory, 'f'), 'utf8'), 'mine');
});

test('an export of an export is the same', async (t) => {
  const { db } = await storeOf(t, few);
  const [one, two, other] = [join(tempDir(t), 'one'), join(tempDir(t), 'two'), join(tempDir(t), 'b.db')];
  await runAstera(['export', '--db', db, one]);
  await runAstera(['import', '--db', other, one]);
  await runAstera(['export', '--db', other, two]);
  assert.deepEqual(readTree(two), readTree(one));
  assert.ok(
    madeUpFiles(few[0] as MadeUpModule).zip.equals(readFileSync(join(two, 'a.example/m/@v/v1.0.0.zip'))),
  );
});
