// Goal: nothing in a repository runs a program, leads out of it, fills memory or looks like another error than it is.
// Method: repositories made for it on this disk, a `.gitconfig` whose programs leave a mark when they run, and a git with
// little memory where the size counts. The comparison with the go command is in test/e2e/git-awkward.test.ts.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isServeError, NotFound } from '../../src/core/errors.ts';
import { bufferSource } from '../../src/modzip/byte-source.ts';
import { readZipDirectory } from '../../src/modzip/zip-directory.ts';
import { gitWorld } from './git-world.ts';
import { gitIn, type MadeFile } from './repository-maker.ts';

const MODULE = 'corp.example/x.git';
const GO_MOD = `module ${MODULE}\n`;

test('no program runs: not of hooks, filters, monitors, diff drivers, or of the served repository', async (t) => {
  const { rig, served, home, directoryOf } = gitWorld(t, [
    {
      files: {
        'go.mod': GO_MOD,
        '.gitattributes': '* filter=evil diff=evil merge=evil ident\n*.big filter=lfs\n',
        'a.big': 'version https://git-lfs.github.com/spec/v1\n',
        '.gitmodules': '[submodule "s"]\n\tpath = s\n\turl = file:///\n\tupdate = !evil\n',
        s: { module: 'a'.repeat(40) },
      },
      tags: ['v1.0.0'],
    },
    { files: { 'b.go': 'package b\n' }, branch: 'other', from: 'main' },
    { files: { 'c.go': 'package c\n' } },
  ]);
  const mark = join(home, 'mark');
  const evil = join(home, 'evil');
  writeFileSync(evil, `#!/bin/sh\necho "$0 $@" >> ${mark}\ncat\n`);
  chmodSync(evil, 0o755);
  const settings = [
    ...['core.hooksPath=HOOKS', 'core.fsmonitor=EVIL', 'filter.evil.smudge=EVIL', 'filter.evil.process=EVIL'],
    ...[
      'filter.evil.required=true',
      'filter.lfs.smudge=EVIL',
      'diff.evil.textconv=EVIL',
      'core.gitProxy=EVIL',
    ],
    ...[
      'uploadpack.packObjectsHook=EVIL',
      'core.pager=EVIL',
      'core.editor=EVIL',
      'fetch.recurseSubmodules=true',
    ],
    ...[
      'protocol.ext.allow=always',
      'gpg.program=EVIL',
      'log.showSignature=true',
      'core.alternateRefsCommand=EVIL',
    ],
  ];
  const hooks = join(home, 'hooks');
  const place = (text: string) => text.replace('EVIL', evil).replace('HOOKS', hooks);
  makeHooks(hooks, evil);
  makeHooks(join(served, 'hooks'), evil);
  // Programs to pack objects are the served side's own affair: git takes that one from no repository.
  for (const one of settings) gitIn(served, 'config', ...place(one).split(/=(.*)/s).slice(0, 2));
  for (const one of settings.filter((setting) => !setting.startsWith('uploadpack'))) {
    const [section = '', key = ''] = [one.slice(0, one.indexOf('=')), place(one.slice(one.indexOf('=') + 1))];
    const [, name = ''] = /\.([^.]+)$/.exec(section) ?? [];
    const parts = section.slice(0, -name.length - 1).split('.');
    const title = parts.length === 1 ? parts[0] : `${parts[0]} "${parts.slice(1).join('.')}"`;
    appendFileSync(join(home, '.gitconfig'), `[${title}]\n\t${name} = ${key}\n`);
  }
  await rig.text(`${MODULE}/@v/v1.0.0.info`);
  await rig.text(`${MODULE}/@v/main.info`);
  for (const copy of ['files', 'history'])
    if (existsSync(directoryOf(copy))) makeHooks(join(directoryOf(copy), 'hooks'), evil);
  const names = namesIn(await rig.zip(`${MODULE}/@v/v1.0.0.zip`));
  await rig.text(`${MODULE}/@v/other.info`);
  assert.ok(names.includes('a.big'));
  assert.ok(!existsSync(mark));
  assert.equal(spawnSync(evil, { input: '' }).status, 0);
  assert.ok(existsSync(mark), 'the program leaves a mark when it runs');
});

test('links lead nowhere, and neither does a go.mod, go.sum or LICENSE that is one', async (t) => {
  const { rig } = world(t, {
    'up.go': { link: '../../../../../../etc/passwd' },
    'abs.go': { link: '/etc/passwd' },
    'go.sum': { link: '/etc/passwd' },
    LICENSE: { link: '/etc/passwd' },
    dir: { link: '/etc' },
  });
  assert.deepEqual(namesIn(await rig.zip(`${MODULE}/@v/v1.0.0.zip`)), ['go.mod']);
});

const refused: { why: string; files: Record<string, MadeFile>; says: RegExp }[] = [
  { why: 'a file named .git', files: { '.git': 'gitdir: /' }, says: /invalid path '\.git'/ },
  { why: 'a directory named .git', files: { '.git/hooks/x': 'x' }, says: /invalid path '\.git\/hooks\/x'/ },
  { why: 'a file named .GIT', files: { 'a/.GIT': 'x' }, says: /invalid path 'a\/\.GIT'/ },
  { why: 'a short name of .git on Windows', files: { 'git~1': 'x' }, says: /invalid path 'git~1'/ },
  { why: 'names that differ in case', files: { 'A.go': 'x', 'a.go': 'x' }, says: /differs by case only/ },
  { why: 'a line break in a name', files: { 'a\nb.go': 'x' }, says: /malformed file path "a b\.go"/ },
  { why: 'a name like an option', files: { 'x/--output=y*': 'x' }, says: /malformed file path/ },
  {
    why: 'a go.mod file of 20 MB',
    files: { 'go.mod': `${GO_MOD}${'// x\n'.repeat(4e6)}` },
    says: /go\.mod is larger than/,
  },
  { why: 'a LICENSE of 20 MB', files: { LICENSE: 'x'.repeat(2e7) }, says: /LICENSE.*too large/ },
];

for (const { why, files, says } of refused) {
  test(`no zip, and a 404 with the reason: ${why}`, async (t) => {
    const { rig } = world(t, files);
    await assert.rejects(rig.zip(`${MODULE}/@v/v1.0.0.zip`), (error) => {
      assert.ok(error instanceof NotFound, String(error));
      assert.match(error.message, says);
      return true;
    });
  });
}

test('a file with a name like an option, or with shell characters, is a file', async (t) => {
  const names = ['--upload-pack=x', '-o', '$(touch x)', 'a&b', '@', '{1}'];
  const { rig } = world(t, Object.fromEntries(names.map((name) => [name, 'x'])));
  assert.deepEqual(new Set(namesIn(await rig.zip(`${MODULE}/@v/v1.0.0.zip`))), new Set([...names, 'go.mod']));
});

test('a file larger than a zip may be is refused, and at no time held in memory', async (t) => {
  const { rig, served } = gitWorld(t, [{ files: { 'go.mod': GO_MOD } }], { before: 'ulimit -v 300000' });
  const bytes = 540_000_000;
  const head = `commit refs/heads/main\ncommitter T <t@x> 1700000000 +0000\ndata 0\nfrom refs/heads/main^0\nM 100644 inline big\ndata ${bytes}\n`;
  const shell = `{ printf %s "$0"; head -c ${bytes} /dev/zero; echo; } | git -c core.compression=1 fast-import --quiet`;
  execFileSync('sh', ['-c', shell, head], { env: { PATH: process.env.PATH, GIT_DIR: served } });
  gitIn(served, 'update-ref', 'refs/tags/v1.0.0', 'main');
  assert.equal(await rig.text(`${MODULE}/@v/v1.0.0.mod`), GO_MOD);
  await assert.rejects(
    rig.zip(`${MODULE}/@v/v1.0.0.zip`),
    (error) => error instanceof NotFound && /source tree too large/.test(error.message),
  );
});

const times: { year: string; seconds: number }[] = [
  { year: '1901', seconds: -2_177_452_800 },
  { year: '10000', seconds: 253_402_300_800 },
  { year: '3168808', seconds: 99_999_999_999_999 },
];

for (const { year, seconds } of times) {
  test(`a commit of the year ${year} is no version, and costs one fetch`, async (t) => {
    const { rig, ran } = world(t, {}, seconds);
    for (const file of ['v1.0.0.info', 'v1.0.0.mod', 'main.info'])
      await assert.rejects(
        rig.text(`${MODULE}/@v/${file}`),
        (error) => error instanceof NotFound && /has no time/.test(error.message),
      );
    assert.equal(ran('fetch').length, 1);
  });
}

const queries = [
  ...[
    '-x',
    '--upload-pack=touch',
    '--output=x',
    '--',
    '..',
    'a..b',
    '@{-1}',
    '^v1.0.0',
    'HEAD~1',
    'main^{tree}',
  ],
  ...[
    '$(touch x)',
    '`x`',
    'main;x',
    'refs/heads/main',
    'ext::sh -c x',
    'file:///etc',
    ':/x',
    'main:go.mod',
    '*',
  ],
];

test('queries that look like options, paths or other revisions name nothing', async (t) => {
  const { rig, ran } = world(t);
  for (const query of queries)
    await assert.rejects(async () => await rig.text(`${MODULE}/@v/${query}.info`), /./, query);
  assert.equal(ran('fetch').length, 0);
});

test('refs whose names look like options or hold shell characters are read as names', async (t) => {
  const { rig, served, home } = world(t);
  const names = ['-x', '--upload-pack=touch', '$(touch$IFS)', '`x`', 'a;b', 'a|b', "a'b", 'a"b', 'ö'];
  for (const name of names) {
    gitIn(served, 'update-ref', `refs/heads/${name}`, 'main');
    gitIn(served, 'update-ref', `refs/tags/${name}`, 'main');
  }
  const before = readdirSync(home);
  const { Version } = JSON.parse(await rig.text(`${MODULE}/@v/main.info`));
  assert.equal(Version, 'v1.0.0');
  assert.equal(await rig.text(`${MODULE}/@v/list`), 'v1.0.0\n');
  for (const name of names) {
    const asked = await rig.text(`${MODULE}/@v/${name}.info`).catch((error) => error);
    assert.ok(typeof asked === 'string' || isServeError(asked) || asked instanceof Error, name);
  }
  assert.deepEqual(
    readdirSync(home).filter((name) => !before.includes(name)),
    ['repositories'],
  );
});

test('a tree of 100,000 files is a zip', async (t) => {
  const files = Object.fromEntries(
    Array.from({ length: 100_000 }, (_, at) => [`d${at % 100}/f${at}.go`, 'package d\n']),
  );
  const { rig } = world(t, files);
  assert.equal(namesIn(await rig.zip(`${MODULE}/@v/v1.0.0.zip`)).length, 100_001);
});

function world(t: TestContext, files: Readonly<Record<string, MadeFile>> = {}, time?: number) {
  return gitWorld(t, [
    { files: { 'go.mod': GO_MOD, ...files }, tags: ['v1.0.0'], ...(time === undefined ? {} : { time }) },
  ]);
}

function makeHooks(directory: string, program: string): void {
  mkdirSync(directory, { recursive: true });
  for (const name of ['reference-transaction', 'post-checkout', 'pre-auto-gc', 'post-rewrite', 'update'])
    writeFileSync(join(directory, name), `#!/bin/sh\nexec ${program} ${name}\n`, { mode: 0o755 });
}

function namesIn(zip: Buffer): string[] {
  return readZipDirectory(bufferSource(zip)).map(({ name }) => name.slice(name.indexOf('@v1.0.0/') + 8));
}
