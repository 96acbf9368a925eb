// Goal: no more is asked of a repository's server than a question needs, nothing twice, and few git processes are run for it.
// Method: a repository whose history is much larger than one commit, behind a server that counts; git's own trace.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { tempDir } from '../support/temp-dir.ts';
import { GitHttpServer } from './git-http-server.ts';
import { gitRig } from './git-rig.ts';
import { GitTrace } from './git-trace.ts';
import { writeInsteadOf } from './go-direct.ts';
import { gitIn, type MadeCommit, makeRepository } from './repository-maker.ts';

const MODULE = 'corp.example/x.git';
const FILES = 20;
const FILE_BYTES = 10_000;
/** A commit's files and a little: trees, the protocol. */
const COMMIT_BYTES = 1.1 * FILES * FILE_BYTES;
/** A commit changes one file. */
const CHANGE_BYTES = 1.5 * FILE_BYTES;
/** `git`, `git remote-http`, `git-remote-http`. */
const LIST = ['ls-remote', 'remote-curl', 'remote-http'];

test('a list: one ls-remote', async (t) => {
  const { rig, server, trace } = await world(t);
  assert.equal((await rig.text(`${MODULE}/@v/list`)).split('\n').length, 7);
  const { lists, fetches, bytes } = server.takeCounts();
  assert.deepEqual([lists, fetches], [1, 0]);
  assert.ok(bytes < 2_000, `${bytes}`);
  // The first asks where insteadOf leads.
  assert.deepEqual(trace.take(), ['ls-remote', ...LIST]);
  await rig.text(`${MODULE}/@v/list`);
  assert.deepEqual(trace.take(), LIST);
});

test('a version: one commit, once for its three files', async (t) => {
  const { rig, server, trace, copy } = await world(t);
  const files = async () => {
    await rig.text(`${MODULE}/@v/v1.3.0.info`);
    await rig.text(`${MODULE}/@v/v1.3.0.mod`);
    assert.ok((await rig.zip(`${MODULE}/@v/v1.3.0.zip`)).length > FILES * FILE_BYTES);
  };
  await files();
  const { lists, fetches, bytes } = server.takeCounts();
  assert.deepEqual([lists, fetches], [1, 1]);
  assert.ok(bytes < COMMIT_BYTES, `${bytes}`);
  const objects = gitIn(copy('files'), 'cat-file', '--batch-all-objects', '--batch-check=%(objecttype)');
  assert.equal(objects.split('\n').filter((type) => type === 'commit').length, 1);
  const fetch = ['fetch', 'remote-curl', 'remote-http', 'rev-list', 'unpack-objects'];
  const local = ['archive', 'cat-file', 'ls-tree'];
  assert.deepEqual(trace.take(), ['ls-remote', ...LIST, ...fetch, ...local].toSorted());
  await files();
  assert.deepEqual(trace.take(), ['archive', 'ls-tree']);
});

test('a second version: only what differs', async (t) => {
  const { rig, server } = await world(t);
  await rig.zip(`${MODULE}/@v/v1.3.0.zip`);
  server.takeCounts();
  await rig.zip(`${MODULE}/@v/v1.4.0.zip`);
  const { lists, fetches, bytes } = server.takeCounts();
  assert.deepEqual([lists, fetches > 0], [0, true]);
  assert.ok(bytes < 7 * CHANGE_BYTES, `${bytes}`);
});

test('a new process: nothing is asked for again', async (t) => {
  const { rig, server, again } = await world(t);
  const before = await rig.zip(`${MODULE}/@v/v1.3.0.zip`);
  const query = await rig.text(`${MODULE}/@v/main.info`);
  const { Version } = JSON.parse(query);
  await rig.text(`${MODULE}/@v/${Version}.mod`);
  server.takeCounts();
  const next = again();
  assert.deepEqual(await next.zip(`${MODULE}/@v/v1.3.0.zip`), before);
  await next.text(`${MODULE}/@v/v1.3.0.info`);
  assert.deepEqual(server.takeCounts(), { lists: 0, fetches: 0, bytes: 0 });
  // A branch may have moved, and its refs say that it has not.
  assert.equal(await next.text(`${MODULE}/@v/main.info`), query);
  const { lists, fetches, bytes } = server.takeCounts();
  assert.deepEqual([lists, fetches], [1, 0]);
  assert.ok(bytes < 2_000, `${bytes}`);
});

test('a branch: its commit, and the commits of the history without files', async (t) => {
  const { rig, server, copy } = await world(t);
  await rig.text(`${MODULE}/@v/main.info`);
  const { fetches, bytes } = server.takeCounts();
  // Its files, the history, and the go.mod file of the highest version, which may retract others.
  assert.ok(fetches >= 3, `${fetches}`);
  assert.ok(bytes < COMMIT_BYTES + 7 * CHANGE_BYTES, `${bytes}`);
  const types = gitIn(copy('history'), 'cat-file', '--batch-all-objects', '--batch-check=%(objecttype)');
  assert.deepEqual(new Set(types.split('\n')), new Set(['commit']));
});

test('a pseudo-version without a base asks for no history where a ref leads to its commit', async (t) => {
  const { rig, server, served, copies } = await world(t, (at) => (at === 0 ? [] : undefined));
  const hash = gitIn(served, 'rev-parse', 'main');
  const time = gitIn(served, 'log', '-1', '--format=%cd', '--date=format-local:%Y%m%d%H%M%S', 'main');
  await rig.zip(`${MODULE}/@v/v0.0.0-${time}-${hash.slice(0, 12)}.zip`);
  assert.equal(server.takeCounts().fetches, 1);
  assert.deepEqual(copies(), ['files']);
});

test('an old commit: the history by itself, then the commit', async (t) => {
  const { rig, server, served } = await world(t);
  const hash = gitIn(served, 'rev-parse', 'main~3');
  const { Version } = JSON.parse(await rig.text(`${MODULE}/@v/${hash.slice(0, 9)}.info`));
  assert.match(Version, /^v1\.\d\.1-0\.\d{14}-/);
  const { bytes } = server.takeCounts();
  assert.ok(bytes < COMMIT_BYTES + 7 * CHANGE_BYTES, `${bytes}`);
  await rig.text(`${MODULE}/@v/${Version}.mod`);
  assert.ok((await rig.zip(`${MODULE}/@v/${Version}.zip`)).length > FILES * FILE_BYTES);
  assert.deepEqual(server.takeCounts(), { lists: 0, fetches: 0, bytes: 0 });
});

test('twenty modules of one repository: one list, one commit', async (t) => {
  const names = Array.from({ length: 20 }, (_, at) => `sub${at}`);
  const { rig, server, trace } = await world(
    t,
    (at) => (at === 39 ? names.map((name) => `${name}/v0.1.0`) : []),
    names,
  );
  await Promise.all(
    names.map(async (name) => {
      await rig.text(`${MODULE}/${name}/@v/v0.1.0.info`);
      assert.match(await rig.text(`${MODULE}/${name}/@v/v0.1.0.mod`), new RegExp(name));
      assert.ok((await rig.zip(`${MODULE}/${name}/@v/v0.1.0.zip`)).length > 100);
    }),
  );
  const { lists, fetches, bytes } = server.takeCounts();
  assert.deepEqual([lists, fetches], [1, 1]);
  assert.ok(bytes < COMMIT_BYTES + 10_000, `${bytes}`);
  const processes = trace.take();
  assert.equal(processes.filter((name) => name === 'fetch').length, 1);
  assert.equal(processes.filter((name) => name === 'archive').length, names.length);
});

test('what twenty modules of one repository ask within seconds is answered by one list; without that time by two', async (t) => {
  const names = Array.from({ length: 20 }, (_, at) => `sub${at}`);
  const { rig, server, again } = await world(
    t,
    (at) => (at === 39 ? names.map((name) => `${name}/v0.1.0`) : []),
    names,
  );
  const ask = (from: typeof rig) => Promise.all(names.map((name) => from.text(`${MODULE}/${name}/@v/list`)));
  assert.deepEqual(new Set(await ask(again({ listTtlMs: 60_000 }))), new Set(['v0.1.0\n']));
  assert.equal(server.takeCounts().lists, 1);
  await ask(rig);
  // One to find the repository; one that begins after the last question, and is shared.
  assert.ok(server.takeCounts().lists <= 3);
});

test('a tag whose commit came for another name is pinned too', async (t) => {
  const { rig, served, again } = await world(t, (at) => (at === 0 ? ['v1.0.0', 'v1.0.1'] : []));
  await rig.text(`${MODULE}/@v/v1.0.0.info`);
  const before = await rig.text(`${MODULE}/@v/v1.0.1.info`);
  gitIn(served, 'update-ref', 'refs/tags/v1.0.1', 'refs/heads/main');
  assert.equal(await again().text(`${MODULE}/@v/v1.0.1.info`), before);
});

test('a server that gives no commit by its hash gives it by its tag', async (t) => {
  const { rig, home, served } = await world(t);
  gitIn(
    served,
    '-c',
    'user.name=t',
    '-c',
    'user.email=t@corp.example',
    'tag',
    '-a',
    '-m',
    'x',
    'v1.9.0',
    'main~2',
  );
  const before = await rig.text(`${MODULE}/@v/v1.9.0.info`);
  const old = await GitHttpServer.start({ root: join(home, 'served'), isOld: true });
  t.after(() => old.stop());
  const other = tempDir(t);
  writeInsteadOf(other, { 'https://corp.example/': `${old.url}/` });
  assert.equal(await gitRig({ home: other }).text(`${MODULE}/@v/v1.9.0.info`), before);
  assert.ok(old.takeCounts().bytes < 2 * COMMIT_BYTES);
});

/** A repository of forty commits, each with one file changed; `tagsOf` gives a commit's tags. */
async function world(
  t: TestContext,
  tagsOf: (at: number) => readonly string[] | undefined = (at) =>
    at % 7 === 0 ? [`v1.${at / 7}.0`] : undefined,
  modules: readonly string[] = [],
) {
  const home = tempDir(t);
  const served = join(home, 'served', 'x');
  makeRepository(served, commits(tagsOf, modules));
  const server = await GitHttpServer.start({ root: join(home, 'served') });
  t.after(() => server.stop());
  writeInsteadOf(home, { 'https://corp.example/': `${server.url}/` });
  const trace = new GitTrace(home);
  const rig = gitRig({ home });
  const only = () => join(rig.directory, readdirSync(rig.directory)[0] ?? '');
  return {
    rig,
    server,
    trace,
    served,
    home,
    again: (options: { listTtlMs?: number } = {}) => gitRig({ home, ...options }),
    copies: () => readdirSync(only()),
    copy: (name: string) => join(only(), name),
  };
}

function commits(
  tagsOf: (at: number) => readonly string[] | undefined,
  modules: readonly string[],
): MadeCommit[] {
  const noise = () => randomBytes(FILE_BYTES);
  const first = {
    'go.mod': `module ${MODULE}\n`,
    ...Object.fromEntries(Array.from({ length: FILES }, (_, at) => [`p/f${at}`, noise()])),
    ...Object.fromEntries(modules.map((name) => [`${name}/go.mod`, `module ${MODULE}/${name}\n`])),
  };
  return Array.from({ length: 40 }, (_, at) => ({
    files: at === 0 ? first : { [`p/f${at % FILES}`]: noise() },
    tags: tagsOf(at) ?? [],
  }));
}
