// Goal: a machine that has nothing builds from a bucket far away in a handful of requests, whoever has filled it; what a commit
// changes is all that is sent; go-cache-plugin's objects are what they were.
// Method: the real `go` command, a directory for each machine, and a real S3 server on loopback behind a line of 20 ms.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { reachOfFile } from '../../src/plugin/shareable.ts';
import { ASTERA } from '../support/astera.ts';
import { BucketDoor } from '../support/bucket-door.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { assertWhole, buildClient, built, filesIn, programHash } from '../support/cached-build.ts';
import { SlowRelay } from '../support/slow-relay.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Uploads and answers take as long as they take here. */
const PATIENT = ['--close-wait=120s', '--remote-timeout=20s', '--metrics'];
/** The index, three chunks, and what is asked for alone: 5 to 8 were seen. One by one they are 290. */
const REQUESTS_MAX = 16;

async function machine(t: TestContext, url: string, ...flags: readonly string[]) {
  const cacheDir = join(tempDir(t), 'cache');
  const bucket = ['--bucket=bucket', `--s3-endpoint-url=${url}`, `--cache-dir=${cacheDir}`];
  const go = await buildClient({
    program: [ASTERA, 'cacheprog', ...bucket, ...PATIENT, ...flags].join(' '),
    env: BUCKET_KEYS,
  });
  t.after(() => go.dispose());
  return { go, cacheDir };
}

function requestsOf(stderr: string): number {
  return Number(/ (\d+) requests,/.exec(stderr)?.[1]);
}

/** What go-cache-plugin would have written of a local directory, by the objects' keys. */
function theirObjects(cacheDir: string): Record<string, string> {
  const objects: Record<string, string> = {};
  for (const path of filesIn(join(cacheDir, 'action'))) {
    const text = readFileSync(path, 'latin1');
    const output = join(cacheDir, 'output', text.slice(0, 2), text.slice(0, 64));
    if (reachOfFile(output) !== 'all') continue;
    objects[relative(cacheDir, path)] = text;
    objects[relative(cacheDir, output)] = readFileSync(output, 'latin1');
  }
  return objects;
}

test('a machine that has nothing compiles nothing and asks a handful of times', {
  timeout: 300_000,
}, async (t) => {
  const bucket = await BucketServer.start(tempDir(t));
  t.after(() => bucket.stop());
  const relay = await SlowRelay.start(bucket.url, 10);
  t.after(() => relay.stop());
  const below = (name: string) =>
    filesIn(join(bucket.directory, name)).map((path) => relative(bucket.directory, path));

  const first = await machine(t, bucket.url);
  assert.match((await built(first.go, '-x')).stderr, /\/compile /);
  const theirs = theirObjects(first.cacheDir);
  for (const [key, text] of Object.entries(theirs))
    assert.equal(readFileSync(join(bucket.directory, key), 'latin1'), text, key);
  assert.deepEqual([...below('action'), ...below('output')].toSorted(), Object.keys(theirs).toSorted());

  const second = await machine(t, relay.url);
  const { stderr } = await built(second.go, '-x');
  assert.doesNotMatch(stderr, /\/compile |goes on without|wrong/);
  assert.ok(requestsOf(stderr) <= REQUESTS_MAX, stderr);
  assert.equal(programHash(second.go), programHash(first.go));
  assertWhole(second.cacheDir);

  await t.test('a plugin server reads packs too, as its clients tell which command they serve', async (t) => {
    const door = await BucketDoor.open(t, bucket.url);
    const flags = [
      '--bucket=bucket',
      `--s3-endpoint-url=${door.url}`,
      `--cache-dir=${join(tempDir(t), 'cache')}`,
    ];
    const { PATH, HOME } = process.env;
    const server = spawn(ASTERA, ['serve', '--plugin=0', ...flags, ...PATIENT], {
      env: { PATH, HOME, ...BUCKET_KEYS },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.after(() => server.kill('SIGKILL'));
    const [line] = await once(createInterface({ input: server.stdout }), 'line');
    const client = await buildClient({ program: `${ASTERA} connect ${/\d+$/.exec(line)?.[0]}` });
    t.after(() => client.dispose());
    assert.doesNotMatch((await built(client, '-x')).stderr, /\/compile /);
    assert.equal(programHash(client), programHash(first.go));
    assert.ok(door.count(/pack\/chunk/) > 0);
    assert.ok(door.asked.length <= REQUESTS_MAX, `${door.asked}`);
  });

  await t.test('a bucket that go-cache-plugin filled is read, and has packs from then on', async (t) => {
    rmSync(join(bucket.directory, 'pack'), { recursive: true });
    const third = await machine(t, bucket.url);
    const { stderr } = await built(third.go, '-x');
    assert.doesNotMatch(stderr, /\/compile /);
    assert.ok(requestsOf(stderr) > 2 * REQUESTS_MAX, stderr);
    for (const name of ['action', 'output']) rmSync(join(bucket.directory, name), { recursive: true });
    const fourth = await machine(t, relay.url, '--layout=packs');
    const far = await built(fourth.go, '-x');
    assert.doesNotMatch(far.stderr, /\/compile /);
    assert.ok(requestsOf(far.stderr) <= REQUESTS_MAX, far.stderr);
    assert.equal(programHash(fourth.go), programHash(first.go));
  });

  await t.test('a commit sends what it changes, and with --layout=packs nothing else', async (t) => {
    const before = below('pack');
    const author = await machine(t, bucket.url, '--layout=packs');
    await built(author.go);
    assert.deepEqual(below('pack'), before);
    const library = join(author.go.project, 'lib/lib.go');
    const changed = `${readFileSync(library, 'utf8')}\nfunc More() int { return 1 }\n`;
    writeFileSync(library, changed);
    assert.match((await built(author.go, '-x')).stderr, /\/compile /);
    const added = below('pack').filter((path) => !before.includes(path));
    assert.equal(added.length, 1, `${added}`);
    assert.ok(readFileSync(join(bucket.directory, added[0] ?? '')).length < 100_000);
    assert.deepEqual([...below('action'), ...below('output')], []);

    const reader = await machine(t, relay.url);
    writeFileSync(join(reader.go.project, 'lib/lib.go'), changed);
    const { stderr } = await built(reader.go, '-x');
    assert.doesNotMatch(stderr, /\/compile /);
    assert.ok(requestsOf(stderr) <= REQUESTS_MAX, stderr);
    assert.equal(programHash(reader.go), programHash(author.go));
  });
});
