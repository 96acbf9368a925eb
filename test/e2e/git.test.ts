// Goal: a team's own modules come out of Git through a real server: go get, forty clients at once with one fetch, no way
// out to an upstream, and what was served stays when the Git server is gone or a tag has moved.
// Method: repositories on this disk, mapped by --git; a wrapper around git writes down what is run; the real go command.

import assert from 'node:assert/strict';
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gitIn, makeRepository } from '../git/repository-maker.ts';
import { Astera } from '../support/astera.ts';
import { GoClient } from '../support/go.ts';
import { refusing } from '../support/gone-upstream.ts';
import { tempDir } from '../support/temp-dir.ts';

test('go get of private modules, by tag, branch and nested path', async (t) => {
  const { astera } = await rig(t);
  const go = await GoClient.create(astera.url);
  t.after(() => go.dispose());
  await go.takeFrom(projectIn(t));
  for (const module of [
    'team.corp.example/g/lib/pkg@v1.0.0',
    'team.corp.example/g/lib/sub@latest',
    'team.corp.example/g/lib@main',
  ]) {
    const got = await go.run('get', module);
    assert.equal(got.code, 0, got.stderr);
  }
  const { mod } = await go.moduleFiles();
  assert.match(mod, /team\.corp\.example\/g\/lib v1\.0\.1-0\.\d{14}-[0-9a-f]{12}/);
  assert.match(mod, /team\.corp\.example\/g\/lib\/sub v0\.2\.0/);
});

test('forty clients, one cold zip: one fetch, one archive, for nobody else to keep', async (t) => {
  const { astera, ran } = await rig(t);
  const url = `${astera.url}/team.corp.example/g/lib/@v/v1.0.0.zip`;
  const answers = await Promise.all(Array.from({ length: 40 }, () => fetch(url)));
  const sizes = await Promise.all(answers.map(async (answer) => (await answer.arrayBuffer()).byteLength));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(new Set(sizes).size, 1);
  assert.equal(answers[0]?.headers.get('cache-control'), 'private, no-store');
  assert.equal(ran('archive').length, 1);
  assert.equal(ran('fetch').length, 1);
  assert.match(ran('fetch')[0] ?? '', /--depth=1/);
});

test('a tag that moves later changes nothing, and the server may be gone', async (t) => {
  // Lists and branches are asked for each time, so that the stored ones are stale.
  const { astera, repository } = await rig(t, ['--list-ttl', '0s']);
  const get = async (file: string) => {
    const answer = await fetch(`${astera.url}/team.corp.example/g/lib/@v/${file}`);
    return { status: answer.status, text: await answer.text() };
  };
  const fresh = { list: await get('list'), branch: await get('main.info'), latest: await get('../@latest') };
  for (const { status, text } of Object.values(fresh)) assert.equal(status, 200, text);
  const before = await get('v1.0.0.info');
  assert.equal(before.status, 200, before.text);
  gitIn(repository, 'update-ref', 'refs/tags/v1.0.0', 'refs/heads/main');
  assert.equal((await get('v1.0.0.mod')).status, 200);
  assert.deepEqual(await get('v1.0.0.info'), before);
  renameSync(repository, `${repository}.gone`);
  assert.deepEqual(await get('v1.0.0.info'), before);
  const stale = { list: await get('list'), branch: await get('main.info'), latest: await get('../@latest') };
  assert.deepEqual(stale, fresh);
  const missing = await get('v9.0.0.info');
  assert.equal(missing.status, 404, missing.text);
});

async function rig(t: { after(dispose: () => unknown): void }, flags: readonly string[] = []) {
  const directory = tempDir(t);
  const repository = join(directory, 'served', 'g', 'lib');
  const mod = 'module team.corp.example/g/lib';
  makeRepository(repository, [
    { files: { 'go.mod': `${mod}\n`, 'pkg/p.go': 'package pkg\n' }, tags: ['v1.0.0'] },
    { files: { 'sub/go.mod': `${mod}/sub\n`, 'sub/s.go': 'package sub\n' }, tags: ['sub/v0.2.0'] },
  ]);
  const log = join(directory, 'log');
  const bin = join(directory, 'git');
  writeFileSync(log, '');
  writeFileSync(bin, `#!/bin/sh\nprintf '%s ' "$@" >> ${log}; echo >> ${log}\nexec ${realGit()} "$@"\n`);
  chmodSync(bin, 0o755);
  const { url: upstream } = await refusing();
  const astera = await Astera.start({
    upstream,
    flags: [
      ...flags,
      '--private',
      'team.corp.example',
      '--git',
      `team.corp.example/*=file://${directory}/served/*`,
    ],
    env: { PATH: `${directory}:${process.env.PATH}` },
  });
  t.after(() => astera.dispose());
  const ran = (command: string) =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes(` ${command} `));
  return { astera, ran, repository };
}

function realGit(): string {
  const { PATH = '' } = process.env;
  const found = PATH.split(':').find((one) => one !== '' && readable(join(one, 'git')));
  return join(found ?? '/usr/bin', 'git');
}

function readable(path: string): boolean {
  try {
    return readFileSync(path).length > 0;
  } catch {
    return false;
  }
}

function projectIn(t: { after(dispose: () => void): void }): string {
  const directory = tempDir(t);
  writeFileSync(join(directory, 'go.mod'), 'module example.com/x\n\ngo 1.26\n');
  return directory;
}
