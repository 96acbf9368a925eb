// Goal: all copies together stay below a bound, the least recently used ones go and nothing in use does; copies in many
// pieces are joined in the background, for which nobody waits.
// Method: sweeps by hand over real copies, with bounds of a few kilobytes.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ZIP_BYTES_MAX } from '../../src/core/limits.ts';
import { type GitRigOptions, gitRig, request } from './git-rig.ts';
import { gitWorld } from './git-world.ts';
import { gitIn, makeRepository } from './repository-maker.ts';

/** Enough for a pack of its own, and for a zip that is not read to its end at once. */
const FILES: Record<string, string | Buffer> = { 'big.bin': randomBytes(4_000_000) };
for (let at = 0; at < 120; at++) FILES[`f${at}.go`] = `package p // ${at}\n`;

test('the least recently used copies go, those of an earlier process too', async (t) => {
  const { home, environment, rig } = world(t);
  for (const name of ['a', 'b', 'c']) await rig.text(`corp.example/${name}.git/@v/v1.0.0.info`);
  await rig.sweep();
  const { copies, bytes } = rig.copies();
  assert.equal(copies, 3);
  const all = readdirSync(rig.directory);
  const [oldest = '', ...others] = all;
  utimesSync(join(rig.directory, oldest), 1_000_000, 1_000_000);
  const later = gitRig({ home, environment, bounds: { copiesBytesMax: bytes - 1 } });
  await later.sweep();
  assert.ok(!existsSync(join(rig.directory, oldest, 'files')));
  for (const name of others) assert.ok(existsSync(join(rig.directory, name, 'files')), name);
  assert.equal(later.copies().removed, 1);
  assert.ok(later.copies().bytes < bytes);
  for (const name of ['a', 'b', 'c'])
    assert.equal(JSON.parse(await later.text(`corp.example/${name}.git/@v/v1.0.0.info`)).Version, 'v1.0.0');
  assert.deepEqual(later.warnings, []);
});

test('a tag that moved after its copy went leads to what was served', async (t) => {
  const { home, environment, served } = world(t);
  const rig = gitRig({ home, environment, bounds: { copiesBytesMax: 0 } });
  const before = await rig.text('corp.example/a.git/@v/v1.0.0.info');
  await rig.sweep();
  assert.equal(rig.copies().copies, 0);
  gitIn(join(served, 'a'), 'update-ref', 'refs/tags/v1.0.0', 'refs/heads/next');
  for (const one of [rig, gitRig({ home, environment })])
    assert.equal(await one.text('corp.example/a.git/@v/v1.0.0.info'), before);
});

test('a copy out of which a zip is made stays until that is done', async (t) => {
  const { home, environment } = world(t);
  const rig = gitRig({ home, environment, bounds: { copiesBytesMax: 0 } });
  const zip = rig.source.stream({ ...request('corp.example/a.git/@v/v1.0.0.zip'), bytesMax: ZIP_BYTES_MAX });
  const events = zip[Symbol.asyncIterator]();
  await events.next();
  await rig.sweep();
  assert.equal(rig.copies().removed, 0);
  while (!(await events.next()).done);
  await rig.sweep();
  assert.equal(rig.copies().removed, 1);
});

test('a copy of many packs becomes one of few', async (t) => {
  const { rig } = world(t);
  const before = await rig.zip('corp.example/a.git/@v/v1.0.0.zip');
  const packs = breakUp(rig.directory);
  assert.ok(readdirSync(packs).length > 100);
  await rig.sweep();
  assert.ok(readdirSync(packs).filter((name) => name.endsWith('.pack')).length <= 2);
  assert.equal(rig.copies().tidied, 1);
  assert.deepEqual(await rig.zip('corp.example/a.git/@v/v1.0.0.zip'), before);
});

test('nobody waits for packs to be joined', async (t) => {
  const { rig, ran } = world(t, 'case " $* " in *" gc "*) sleep 600 ;; esac');
  await rig.text('corp.example/a.git/@v/v1.0.0.info');
  breakUp(rig.directory);
  const swept = rig.sweep();
  while (ran('gc').length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(JSON.parse(await rig.text('corp.example/a.git/@v/v1.1.0.info')).Version, 'v1.1.0');
  await swept;
  assert.equal(rig.copies().tidied, 0);
});

/** Three repositories with two versions each. */
function world(t: TestContext, before = ':') {
  const commits = [
    { files: FILES, tags: ['v1.0.0'] },
    { files: { 'more.go': 'package p\n' }, branch: 'next', from: 'main', tags: ['v1.1.0'] },
  ];
  const { home, environment, ran } = gitWorld(t, [], { before });
  const served = join(home, 'served');
  for (const name of ['a', 'b', 'c']) makeRepository(join(served, name), commits);
  return { home, environment, served, ran, rig: gitRig({ home, environment } satisfies GitRigOptions) };
}

/** Fifty-five packs in place of one; its directory. */
function breakUp(directory: string): string {
  const packs = join(directory, readdirSync(directory)[0] ?? '', 'files', 'objects', 'pack');
  const [pack = ''] = readdirSync(packs).filter((name) => name.endsWith('.pack'));
  for (let at = 10; at < 65; at++)
    for (const ending of ['.pack', '.idx'])
      copyFileSync(
        join(packs, pack.replace('.pack', ending)),
        join(packs, `pack-${String(at).repeat(20)}${ending}`),
      );
  return packs;
}
