// Goal: a team's own modules come out of Git through a real server: go get, forty clients at once with one fetch, no way
// out to an upstream, and what was served stays when the Git server is gone or a tag has moved.
// Method: repositories on this disk, mapped by --git; a wrapper around git writes down what is run; the real go command.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
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
  const { astera, repository } = await rig(t, { flags: ['--list-ttl', '0s'] });
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

// Each is met by what can be seen from outside: git has begun, or the body has.
const kills: { why: string; meet: (rig: Rig) => Promise<void> }[] = [
  { why: 'git fetches', meet: ({ ran }) => until(() => ran('fetch').length > 0) },
  {
    why: 'a zip is made',
    meet: async ({ astera }) => {
      const { body } = await fetch(astera.url + BIG);
      await body?.getReader().read();
    },
  },
];

for (const { why, meet } of kills) {
  test(`killed while ${why}, the server leaves no git running, and the next one answers`, async (t) => {
    const first = await rig(t, { isBig: true });
    const met = meet(first);
    const cut = assert.rejects(fetch(first.astera.url + BIG).then((answer) => answer.arrayBuffer()));
    await met;
    await first.astera.kill();
    await cut;
    await until(() => running(first.directory).length === 0);
    const next = await first.again();
    const answer = await fetch(next.url + BIG);
    const text = Buffer.from(await answer.arrayBuffer());
    assert.equal(answer.status, 200, text.toString('utf8', 0, 300));
    const other = await rig(t, { isBig: true });
    const expected = await fetch(other.astera.url + BIG);
    assert.ok(
      text.equals(Buffer.from(await expected.arrayBuffer())),
      'the zip of a server that nobody killed',
    );
  });
}

/** It does not compress. */
const NOISE = randomBytes(6_000_000);

const BIG = '/team.corp.example/g/lib/@v/v1.1.0.zip';

/** Asks all the time: what it waits for tells nobody. */
async function until(isTime: () => boolean): Promise<void> {
  while (!isTime()) await setImmediate();
}

/** Command lines that name the directory. */
function running(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandLine(pid))
    .filter((line) => line.includes(directory));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // It has ended meanwhile.
  }
}

type Rig = Awaited<ReturnType<typeof rig>>;

type RigOptions = {
  readonly flags?: readonly string[];
  /** With a v1.1.0 that has a large file. */
  readonly isBig?: boolean;
};

async function rig(
  t: { after(dispose: () => unknown): void },
  { flags = [], isBig = false }: RigOptions = {},
) {
  const directory = tempDir(t);
  const repository = join(directory, 'served', 'g', 'lib');
  const mod = 'module team.corp.example/g/lib';
  makeRepository(repository, [
    { files: { 'go.mod': `${mod}\n`, 'pkg/p.go': 'package pkg\n' }, tags: ['v1.0.0'] },
    { files: { 'sub/go.mod': `${mod}/sub\n`, 'sub/s.go': 'package sub\n' }, tags: ['sub/v0.2.0'] },
    ...(isBig ? [{ files: { big: NOISE }, tags: ['v1.1.0'] }] : []),
  ]);
  const log = join(directory, 'log');
  const bin = join(directory, 'git');
  writeFileSync(log, '');
  writeFileSync(bin, `#!/bin/sh\nprintf '%s ' "$@" >> ${log}; echo >> ${log}\nexec ${realGit()} "$@"\n`);
  chmodSync(bin, 0o755);
  const { url: upstream } = await refusing();
  const options = {
    upstream,
    db: join(directory, 'a.db'),
    flags: [
      ...flags,
      '--private',
      'team.corp.example',
      '--git',
      `team.corp.example/*=file://${directory}/served/*`,
    ],
    env: { PATH: `${directory}:${process.env.PATH}` },
  };
  const start = async () => {
    const astera = await Astera.start(options);
    t.after(() => astera.dispose());
    return astera;
  };
  const astera = await start();
  const ran = (command: string) =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes(` ${command} `));
  return { astera, again: start, directory, ran, repository };
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
