// Goal: a repository is fetched as little as the question needs, one process at a time; what was served stays; damage,
// leftovers of killed processes, refused credentials and hanging servers end in a clear line, or are mended.
// Method: repositories on this disk, a wrapper that writes down what git is run for, and HTTP servers on loopback.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CheckFailed, Forbidden, NotFound, UpstreamDown } from '../../src/core/errors.ts';
import { GitHttpServer } from './git-http-server.ts';
import { gitRig } from './git-rig.ts';
import { gitWorld, serveHttp } from './git-world.ts';
import { writeInsteadOf } from './go-direct.ts';
import { gitIn, type MadeCommit } from './repository-maker.ts';

const MODULE = 'corp.example/x.git';
const COMMITS: readonly MadeCommit[] = [
  { files: { 'go.mod': `module ${MODULE}\n`, 'p.go': 'package p\n' }, tags: ['v1.0.0'] },
  { files: { 'p.go': 'package p // 2\n' }, tags: ['v1.1.0'] },
  { files: { 'p.go': 'package p // 3\n' } },
];

test('a list asks for the refs and nothing else; a version brings one commit', async (t) => {
  const { rig, ran, home } = world(t);
  assert.equal(await rig.text(`${MODULE}/@v/list`), 'v1.0.0\nv1.1.0\n');
  assert.equal(ran('fetch').length, 0);
  await rig.text(`${MODULE}/@v/v1.1.0.info`);
  await rig.text(`${MODULE}/@v/v1.1.0.mod`);
  await rig.zip(`${MODULE}/@v/v1.1.0.zip`);
  assert.equal(ran('fetch').length, 1);
  assert.match(ran('fetch')[0] ?? '', /--depth=1 /);
  const [copy = ''] = readdirSync(rig.directory);
  assert.equal(gitIn(join(home, 'repositories', copy, 'files'), 'rev-list', '--all', '--count'), '1');
});

test('ancestry brings commits and no files', async (t) => {
  const { rig, ran, home } = world(t);
  const { Version } = JSON.parse(await rig.text(`${MODULE}/@v/main.info`));
  assert.match(Version, /^v1\.1\.1-0\./);
  assert.equal(ran('--filter=tree:0').length, 1);
  const [copy = ''] = readdirSync(rig.directory);
  const history = join(home, 'repositories', copy, 'history');
  const types = gitIn(history, 'cat-file', '--batch-all-objects', '--batch-check=%(objecttype)');
  assert.deepEqual(new Set(types.split('\n')), new Set(['commit']));
});

test('a tag that moved leads to what was served, with a warning; a new process knows it too', async (t) => {
  const { rig, served, again } = world(t);
  const before = await rig.text(`${MODULE}/@v/v1.0.0.info`);
  gitIn(served, 'update-ref', 'refs/tags/v1.0.0', 'refs/heads/main');
  assert.equal(await rig.text(`${MODULE}/@v/v1.0.0.info`), before);
  await rig.text(`${MODULE}/@v/list`);
  assert.match(
    rig.warnings.join('\n'),
    /tag v1\.0\.0 of https:\/\/corp\.example\/x leads to [0-9a-f]{40} now/,
  );
  assert.equal(await again().text(`${MODULE}/@v/v1.0.0.info`), before);
});

test('a tag that is new is found at once, though the refs are known', async (t) => {
  const { rig, served } = world(t);
  await rig.text(`${MODULE}/@v/list`);
  gitIn(served, 'update-ref', 'refs/tags/v1.2.0', 'refs/heads/main');
  assert.equal(JSON.parse(await rig.text(`${MODULE}/@v/v1.2.0.info`)).Version, 'v1.2.0');
});

test('a version that was read needs no server', async (t) => {
  const { rig, served } = world(t);
  await rig.text(`${MODULE}/@v/v1.0.0.info`);
  renameSync(served, `${served}.gone`);
  assert.match(await rig.text(`${MODULE}/@v/v1.0.0.mod`), /^module/);
  assert.ok((await rig.zip(`${MODULE}/@v/v1.0.0.zip`)).length > 100);
});

test('a damaged copy is fetched again', async (t) => {
  const { rig, directoryOf, again } = world(t);
  const before = await rig.text(`${MODULE}/@v/v1.0.0.info`);
  const zip = await rig.zip(`${MODULE}/@v/v1.0.0.zip`);
  for (const name of readdirSync(join(directoryOf('files'), 'objects'), {
    recursive: true,
    encoding: 'utf8',
  })) {
    const path = join(directoryOf('files'), 'objects', name);
    if (!/^(?:[0-9a-f]{2}\/|pack\/.*\.pack$)/.test(name)) continue;
    chmodSync(path, 0o600);
    truncateSync(path, 10);
  }
  const other = again();
  assert.equal(await other.text(`${MODULE}/@v/v1.0.0.info`), before);
  assert.match(other.warnings.join('\n'), /damaged/);
  rmSync(join(directoryOf('files'), 'objects'), { recursive: true });
  assert.deepEqual(await rig.zip(`${MODULE}/@v/v1.0.0.zip`), zip);
  assert.match(rig.warnings.join('\n'), /damaged/);
});

test('copies may be deleted at any time', async (t) => {
  const { rig, again } = world(t);
  const remove = () => rmSync(rig.directory, { recursive: true });
  const before = await rig.text(`${MODULE}/@v/v1.0.0.info`);
  const branch = await rig.text(`${MODULE}/@v/main.info`);
  remove();
  assert.equal(await again().text(`${MODULE}/@v/v1.0.0.info`), before);
  remove();
  assert.ok((await rig.zip(`${MODULE}/@v/v1.0.0.zip`)).length > 100);
  remove();
  await rig.text(`${MODULE}/@v/main.info`).catch(() => {});
  assert.equal(await rig.text(`${MODULE}/@v/main.info`), branch);
});

test('locks and half packs of a killed process stop nobody', async (t) => {
  const { rig, directoryOf, again } = world(t);
  await rig.text(`${MODULE}/@v/v1.0.0.info`);
  for (const name of ['shallow.lock', 'config.lock', 'packed-refs.lock', 'objects/pack/tmp_pack_abc'])
    writeFileSync(join(directoryOf('files'), name), 'half');
  assert.equal(JSON.parse(await again().text(`${MODULE}/@v/v1.1.0.info`)).Version, 'v1.1.0');
  assert.ok(!existsSync(join(directoryOf('files'), 'objects/pack/tmp_pack_abc')));
});

test('a half-made copy is made anew', async (t) => {
  const { rig, directoryOf, again } = world(t);
  await rig.text(`${MODULE}/@v/v1.0.0.info`);
  rmSync(join(directoryOf('files'), 'config'));
  assert.equal(JSON.parse(await again().text(`${MODULE}/@v/v1.1.0.info`)).Version, 'v1.1.0');
});

test('a repository with a hook and a submodule runs and asks nothing', async (t) => {
  const { rig, served, home } = world(t, [
    {
      files: {
        'go.mod': `module ${MODULE}\n`,
        '.gitmodules': '[submodule "s"]\npath = s\nurl = http://127.0.0.1:1/\n',
        s: { module: 'a'.repeat(40) },
      },
      tags: ['v1.0.0'],
    },
  ]);
  writeFileSync(join(served, 'hooks-made'), '');
  await rig.zip(`${MODULE}/@v/v1.0.0.zip`);
  assert.ok(!existsSync(join(home, 'pwned')));
});

test('forty at once: one fetch, and one answer for all', async (t) => {
  const { rig, ran } = world(t);
  const all = await Promise.all(Array.from({ length: 40 }, () => rig.text(`${MODULE}/@v/v1.0.0.info`)));
  assert.equal(new Set(all).size, 1);
  assert.equal(ran('fetch').length, 1);
});

test('a go.mod file that is too large is refused', async (t) => {
  const { rig } = world(t, [
    { files: { 'go.mod': `module ${MODULE}\n${'// x\n'.repeat(8_000_000)}` }, tags: ['v1.0.0'] },
  ]);
  await assert.rejects(
    rig.text(`${MODULE}/@v/v1.0.0.mod`),
    (error) => error instanceof NotFound && /go\.mod is larger than/.test(error.message),
  );
});

test('over HTTP with Basic auth: right, wrong and missing credentials', async (t) => {
  const asked: (string | undefined)[] = [];
  const { home, served } = world(t);
  const server = await GitHttpServer.start({
    root: join(served, '..'),
    isAllowed: ({ headers }) => {
      asked.push(headers.authorization);
      return headers.authorization === `Basic ${Buffer.from('me:s3cret').toString('base64')}`;
    },
  });
  t.after(() => server.stop());
  writeInsteadOf(home, { 'https://corp.example/': `${server.url}/` });
  const bare = gitRig({ home });
  await assert.rejects(
    bare.text(`${MODULE}/@v/list`),
    (error) =>
      error instanceof Forbidden &&
      /corp\.example\/x.*could not read Username.*credential helper/.test(error.message),
  );
  writeFileSync(join(home, '.netrc'), 'machine 127.0.0.1 login me password wrong\n');
  await assert.rejects(
    gitRig({ home }).text(`${MODULE}/@v/list`),
    (error) => error instanceof Forbidden && !/wrong|s3cret/.test(error.message),
  );
  writeFileSync(join(home, '.netrc'), 'machine 127.0.0.1 login me password s3cret\n');
  const right = gitRig({ home });
  assert.equal(await right.text(`${MODULE}/@v/list`), 'v1.0.0\nv1.1.0\n');
  assert.ok((await right.zip(`${MODULE}/@v/v1.0.0.zip`)).length > 100);
  assert.ok(asked.length > 3);
});

test('a server that drops the connection is down, one that says 404 has no repository', async (t) => {
  const { home } = world(t);
  const dropping = await serveHttp(t, (request) => request.socket.destroy());
  writeInsteadOf(home, { 'https://corp.example/': `${dropping}/` });
  await assert.rejects(gitRig({ home }).text(`${MODULE}/@v/list`), UpstreamDown);
  const missing = await serveHttp(t, (_, response) => response.writeHead(404).end());
  writeInsteadOf(home, { 'https://corp.example/': `${missing}/` });
  await assert.rejects(gitRig({ home }).text(`${MODULE}/@v/list`), NotFound);
});

test('queries that look like options or lead elsewhere are refused before git sees them, or name nothing', async (t) => {
  const { rig } = world(t);
  for (const query of [
    '-x',
    '--upload-pack=touch',
    '--output=x',
    '..',
    'a..b',
    '@{-1}',
    '^v1.0.0',
    'HEAD~1',
    '$(touch x)',
    '`x`',
  ])
    await assert.rejects(
      (async () => await rig.text(`${MODULE}/@v/${query}.info`))(),
      (error) => !(error instanceof CheckFailed),
      query,
    );
});

function world(t: TestContext, commits: readonly MadeCommit[] = COMMITS) {
  return gitWorld(t, commits);
}
