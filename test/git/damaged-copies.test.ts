// Goal: whatever happens to the copies of a repository on the disk, an answer is right, or a clear error that is no 404, and
// the copy is mended where it can be.
// Method: each kind of damage, done to both copies after they were used, for a running process and for a new one.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreFailed } from '../../src/core/errors.ts';
import { gitWorld } from './git-world.ts';
import { gitIn } from './repository-maker.ts';

const MODULE = 'corp.example/x.git';
/** The second commit of main, which no ref leads to. */
const HIDDEN = 'main~1';

const damages: { what: string; how: (copy: string) => void }[] = [
  { what: 'all objects are cut', how: (copy) => eachObject(copy, (path) => truncateSync(path, 10)) },
  { what: 'all objects are empty', how: (copy) => eachObject(copy, (path) => truncateSync(path, 0)) },
  { what: 'all objects are gone', how: (copy) => eachObject(copy, (path) => rmSync(path)) },
  {
    what: 'the objects directory is gone',
    how: (copy) => rmSync(join(copy, 'objects'), { recursive: true }),
  },
  { what: 'HEAD is garbage', how: (copy) => writeFileSync(join(copy, 'HEAD'), 'garbage') },
  { what: 'HEAD is gone', how: (copy) => rmSync(join(copy, 'HEAD')) },
  { what: 'the config is garbage', how: (copy) => writeFileSync(join(copy, 'config'), '[garbage') },
  { what: 'the config is empty', how: (copy) => writeFileSync(join(copy, 'config'), '') },
  { what: 'packed-refs is garbage', how: (copy) => writeFileSync(join(copy, 'packed-refs'), 'garbage\n') },
  { what: 'a ref is garbage', how: (copy) => writeFileSync(join(copy, 'refs', 'broken'), 'x') },
  { what: 'the refs are gone', how: (copy) => rmSync(join(copy, 'refs'), { recursive: true }) },
  { what: 'shallow is garbage', how: (copy) => writeFileSync(join(copy, 'shallow'), 'garbage\n') },
  { what: 'all of it is gone', how: (copy) => rmSync(copy, { recursive: true }) },
  {
    what: 'a file is in its place',
    how: (copy) => {
      rmSync(copy, { recursive: true });
      writeFileSync(copy, 'x');
    },
  },
];

for (const { what, how } of damages) {
  test(`mended: ${what}`, async (t) => {
    const { rig, served, again } = gitWorld(t, [
      { files: { 'go.mod': `module ${MODULE}\n`, 'p.go': 'package p\n' }, tags: ['v1.0.0'] },
      { files: { 'p.go': 'package p // 2\n' } },
      { files: { 'p.go': 'package p // 3\n' } },
    ]);
    const hidden = gitIn(served, 'rev-parse', HIDDEN);
    const files = ['v1.0.0.info', 'v1.0.0.mod', 'main.info', `${hidden.slice(0, 12)}.info`];
    const ask = async (from: typeof rig) => ({
      texts: await Promise.all(files.map((file) => from.text(`${MODULE}/@v/${file}`))),
      zip: await from.zip(`${MODULE}/@v/v1.0.0.zip`),
    });
    const right = await ask(rig);
    const [copy = ''] = readdirSync(rig.directory);
    for (const name of ['files', 'history']) how(join(rig.directory, copy, name));
    assert.deepEqual(await ask(rig), right, 'the process that used it');
    for (const name of ['files', 'history']) how(join(rig.directory, copy, name));
    assert.deepEqual(await ask(again()), right, 'a new process');
  });
}

test('a zip whose objects are lost is made of a new copy', async (t) => {
  const { rig, directoryOf } = gitWorld(t, [
    { files: { 'go.mod': `module ${MODULE}\n`, 'p.go': 'package p\n' }, tags: ['v1.0.0'] },
  ]);
  const right = await rig.zip(`${MODULE}/@v/v1.0.0.zip`);
  const copy = directoryOf('files');
  const blob = gitIn(copy, 'rev-parse', 'refs/pins/76312e302e30:p.go');
  rmSync(join(copy, 'objects', blob.slice(0, 2), blob.slice(2)));
  assert.deepEqual(await rig.zip(`${MODULE}/@v/v1.0.0.zip`), right);
  assert.match(rig.warnings.join('\n'), /the copy of https:\/\/corp\.example\/x is damaged/);
});

test('a go.mod file whose object is lost is not made up', async (t) => {
  const { rig, directoryOf, served, again } = gitWorld(t, [
    { files: { 'go.mod': `module ${MODULE}\n\ngo 1.20\n` }, tags: ['v1.0.0'] },
  ]);
  const right = await rig.text(`${MODULE}/@v/v1.0.0.mod`);
  const copy = directoryOf('files');
  const blob = gitIn(copy, 'rev-parse', 'refs/pins/76312e302e30:go.mod');
  rmSync(join(copy, 'objects', blob.slice(0, 2), blob.slice(2)));
  renameSync(served, `${served}.gone`);
  await assert.rejects(again().text(`${MODULE}/@v/v1.0.0.mod`));
  renameSync(`${served}.gone`, served);
  assert.equal(await again().text(`${MODULE}/@v/v1.0.0.mod`), right);
});

test('a directory that no copy can be made in is said so, and is no 404', async (t) => {
  const { rig } = gitWorld(t, [{ files: { 'go.mod': `module ${MODULE}\n` }, tags: ['v1.0.0'] }]);
  writeFileSync(rig.directory, 'a file');
  for (const file of ['v1.0.0.info', 'main.info'])
    await assert.rejects(
      rig.text(`${MODULE}/@v/${file}`),
      (error) => error instanceof StoreFailed && /--git-dir/.test(error.message),
    );
  assert.equal(await rig.text(`${MODULE}/@v/list`), 'v1.0.0\n');
});

test('a disk without room is said so, and is no fault of the server', async (t) => {
  const commits = [
    { files: { 'go.mod': `module ${MODULE}\n`, big: randomBytes(1_000_000) }, tags: ['v1.0.0'] },
  ];
  // A bound on each file in place of a full disk: git gets the same kind of error.
  const { rig } = gitWorld(t, commits, { before: 'trap "" XFSZ; ulimit -f 500' });
  await assert.rejects(
    rig.text(`${MODULE}/@v/v1.0.0.info`),
    (error) => error instanceof StoreFailed && /--git-dir/.test(error.message),
  );
});

function eachObject(copy: string, change: (path: string) => void): void {
  const objects = join(copy, 'objects');
  for (const name of readdirSync(objects, { recursive: true, encoding: 'utf8' })) {
    if (!/^[0-9a-f]{2}\/|^pack\/.*\.(?:pack|idx)$/.test(name)) continue;
    chmodSync(join(objects, name), 0o600);
    change(join(objects, name));
  }
}
