// Goal: a machine at a server whose disk is empty builds what others have built by a handful of requests to the bucket, whoever filled
// it; what is wrong in a pack is compiled, and no build fails.
// Method: the real `go` command, servers whose outside is dead, and a real S3 server on loopback behind a door that counts.

import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Astera, runAstera } from '../support/astera.ts';
import { BucketDoor } from '../support/bucket-door.ts';
import { pushed, startNode } from '../support/bucket-nodes.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { assertWhole, buildClient, built, filesIn, programHash } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { tempDir } from '../support/temp-dir.ts';

/** The index, three chunks, and what is asked for alone: 5 were seen. One by one they are 290. */
const REQUESTS_MAX = 16;

async function machine(t: TestContext, flags: readonly string[], env = {}) {
  const cacheDir = join(tempDir(t), 'cache');
  const program = [process.execPath, join(CHECKOUT, 'dist/cacheprog.mjs'), `--cache-dir=${cacheDir}`];
  const patient = ['--close-wait=120s', '--remote-timeout=20s'];
  const go = await buildClient({ program: [...program, ...patient, ...flags].join(' '), env });
  t.after(() => go.dispose());
  return { go, cacheDir };
}

/** A server that has nothing, and a machine at it that builds. */
async function fresh(t: TestContext, bucket: BucketServer) {
  const door = await BucketDoor.open(t, bucket.url);
  const node = await startNode(door.url, { upstream: 'off', flags: ['--sumdb=off'] });
  t.after(() => node.dispose());
  return { door, node, ...(await builds(t, node)) };
}

async function builds(t: TestContext, node: Astera) {
  const { go, cacheDir } = await machine(t, [`--remote=${node.url}`]);
  const { stderr } = await built(go, '-x');
  assertWhole(cacheDir);
  return { hash: programHash(go), compiles: stderr.match(/\/compile /g)?.length ?? 0 };
}

test('a machine at a fresh server compiles nothing of what cache programs packed', {
  timeout: 300_000,
}, async (t) => {
  const bucket = await BucketServer.start(tempDir(t));
  t.after(() => bucket.stop());
  const direct = ['--bucket=bucket', `--s3-endpoint-url=${bucket.url}`, '--layout=packs'];
  const first = await machine(t, direct, BUCKET_KEYS);
  assert.match((await built(first.go, '-x')).stderr, /\/compile /);
  const expected = programHash(first.go);

  const second = await fresh(t, bucket);
  assert.deepEqual([second.hash, second.compiles], [expected, 0]);
  assert.ok(second.door.asked.length <= REQUESTS_MAX, `${second.door.asked.join('\n')}`);
  await t.test('which has all of it from then on', async (t) => {
    await second.door.shut();
    assert.deepEqual(await builds(t, second.node), { hash: expected, compiles: 0 });
  });

  await t.test('a chunk that is wrong costs its packages, and is told', async (t) => {
    const chunks = filesIn(join(bucket.directory, 'pack/chunk'));
    const [path = ''] = chunks.toSorted((a, b) => readFileSync(a).length - readFileSync(b).length);
    writeFileSync(path, Buffer.from(readFileSync(path)).fill(0, 100, 200));
    const third = await fresh(t, bucket);
    assert.equal(third.hash, expected);
    assert.ok(third.compiles > 0);
    assert.match(third.node.log, /wrong object in the bucket/);
  });

  await t.test('with a bucket that is gone all is compiled', async (t) => {
    await bucket.stop();
    const fourth = await fresh(t, bucket);
    assert.equal(fourth.hash, expected);
    assert.ok(fourth.compiles > 20);
  });
});

test('what clients of a server have built is packed for all others', { timeout: 300_000 }, async (t) => {
  const bucket = await BucketServer.start(tempDir(t));
  t.after(() => bucket.stop());
  const first = await fresh(t, bucket);
  assert.ok(first.compiles > 20);
  await pushed(first.node);
  assert.ok(filesIn(join(bucket.directory, 'action')).length > 50);
  // From now on packs alone.
  for (const name of ['action', 'output']) rmSync(join(bucket.directory, name), { recursive: true });

  const second = await fresh(t, bucket);
  assert.deepEqual([second.hash, second.compiles], [first.hash, 0]);
  assert.ok(second.door.asked.length <= REQUESTS_MAX, `${second.door.asked.join('\n')}`);
  await pushed(second.node);
  assert.equal(second.door.count(/^PUT/), 0, `${second.door.asked.join('\n')}`);

  await t.test(
    'pull brings it to a server that nobody has asked yet, and to one that does not run',
    async (t) => {
      const flags = ['pull', '--build-cache', '--bucket=bucket', `--s3-endpoint-url=${bucket.url}`];
      const db = join(tempDir(t), 'own.db');
      const own = await runAstera([...flags, '--db', db, '--upstream=off'], BUCKET_KEYS);
      assert.equal(own.code, 0, own.stderr);
      assert.match(own.stdout, /^brought [1-9][0-9]* results of 2 sets, .* in .*s\n$/);
      const door = await BucketDoor.open(t, bucket.url);
      const node = await startNode(door.url, { upstream: 'off', flags: ['--sumdb=off'] });
      t.after(() => node.dispose());
      const running = await runAstera([...flags, '--db', node.db], BUCKET_KEYS);
      assert.equal(running.stdout.replace(/ in .*/, ''), own.stdout.replace(/ in .*/, ''));
      const again = await runAstera([...flags, '--db', node.db], BUCKET_KEYS);
      assert.match(again.stdout, /^brought 0 results of 2 sets, /);
      await door.shut();
      assert.deepEqual(await builds(t, node), { hash: first.hash, compiles: 0 });
    },
  );

  const direct = ['--bucket=bucket', `--s3-endpoint-url=${bucket.url}`];
  const third = await machine(t, direct, BUCKET_KEYS);
  assert.doesNotMatch((await built(third.go, '-x')).stderr, /\/compile /);
  assert.equal(programHash(third.go), first.hash);
});
