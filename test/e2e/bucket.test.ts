// Goal: machines that share a bucket build a package once, without any server of ours, and a bucket that is gone costs no build
// and loses nothing.
// Method: the real `go` command, a directory for each machine, and a real S3 server on loopback; flags and variables as
// go-cache-plugin's README has them.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { ASTERA } from '../support/astera.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { assertWhole, buildClient, built, filesIn, programHash, succeeds } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { freePort } from '../support/free-port.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Uploads and answers take as long as they take here. */
const PATIENT = ['--close-wait=120s', '--remote-timeout=20s', '--metrics'];

async function machine(t: TestContext, program: readonly string[], env: Record<string, string> = {}) {
  const cacheDir = join(tempDir(t), 'cache');
  const go = await buildClient({
    program: [...program, ...PATIENT].join(' '),
    env: { ...BUCKET_KEYS, GOCACHE_DIR: cacheDir, ...env },
  });
  t.after(() => go.dispose());
  return { go, cacheDir };
}

test('what one machine compiled no other compiles: directly, by variables, and through a plugin server', {
  timeout: 300_000,
}, async (t) => {
  const bucket = await BucketServer.start(tempDir(t));
  t.after(() => bucket.stop());
  const flags = ['--bucket=bucket', `--s3-endpoint-url=${bucket.url}`, '--prefix=team/go'];
  const first = await machine(t, [ASTERA, ...flags]);
  assert.match((await built(first.go, '-x')).stderr, /\/compile /);
  const objects = join(bucket.directory, 'team/go');
  assert.ok(filesIn(join(objects, 'action')).length > 20);
  assertWhole(objects);

  const second = await machine(t, [process.execPath, join(CHECKOUT, 'dist/cacheprog.mjs')], {
    GOCACHE_S3_BUCKET: 'bucket',
    GOCACHE_S3_ENDPOINT_URL: bucket.url,
    GOCACHE_KEY_PREFIX: 'team/go',
  });
  const { stderr } = await built(second.go, '-x');
  assert.doesNotMatch(stderr, /\/compile |goes on without|wrong/);
  assert.match(stderr, / [1-9]\d* of them remote, /);
  assertWhole(second.cacheDir);

  const { PATH, HOME } = process.env;
  const server = spawn(
    ASTERA,
    ['serve', '--plugin=0', `--cache-dir=${join(tempDir(t), 'cache')}`, ...flags],
    {
      env: { PATH, HOME, ...BUCKET_KEYS },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  t.after(() => server.kill('SIGKILL'));
  const [line] = await once(createInterface({ input: server.stdout }), 'line');
  const third = await buildClient({ program: `${ASTERA} connect ${/\d+$/.exec(line)?.[0]}` });
  t.after(() => third.dispose());
  assert.doesNotMatch((await built(third, '-x')).stderr, /\/compile /);
  assert.deepEqual(new Set([second.go, third].map(programHash)), new Set([programHash(first.go)]));
});

test('a bucket that is gone costs one line, and gets all uploads when it is back', {
  timeout: 300_000,
}, async (t) => {
  const port = await freePort();
  const program = [ASTERA, '--bucket=bucket', `--s3-endpoint-url=http://127.0.0.1:${port}`];
  const first = await machine(t, program);
  const { stderr } = await built(first.go);
  assert.match(
    stderr,
    /^astera cacheprog: goes on without 127\.0\.0\.1:\d+: .*ECONNREFUSED.*\nastera cacheprog: .*\n$/,
  );
  const bucket = await BucketServer.start(tempDir(t), port);
  t.after(() => bucket.stop());
  await succeeds(first.go, 'list', '-export', './lib');
  assertWhole(bucket.directory);
  const second = await machine(t, program);
  assert.doesNotMatch((await built(second.go, '-x')).stderr, /\/compile /);
  assert.equal(programHash(second.go), programHash(first.go));
});

test('outputs and packs that somebody alters in the bucket are misses, are told of and are written anew', {
  timeout: 300_000,
}, async (t) => {
  const bucket = await BucketServer.start(tempDir(t));
  t.after(() => bucket.stop());
  const program = [ASTERA, '--bucket=bucket', `--s3-endpoint-url=${bucket.url}`];
  const first = await machine(t, program);
  await built(first.go);
  const spoiled = ['output', 'pack/chunk'].map((name) => filesIn(join(bucket.directory, name)));
  for (const paths of spoiled) assert.ok(paths.length > 0);
  for (const path of spoiled.flat()) writeFileSync(path, readFileSync(path).fill(0xaa));
  const second = await machine(t, program);
  const { stderr } = await built(second.go, '-x');
  assert.match(stderr, /\/compile /);
  assert.match(stderr, /, [1-9]\d* wrong objects/);
  assert.equal(programHash(second.go), programHash(first.go));
  assertWhole(second.cacheDir);
  // Packages were read, and so are right again. What a compile step writes beside them nobody had asked for.
  for (const path of filesIn(join(bucket.directory, 'output')))
    if (readFileSync(path).length > 100_000)
      assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), path.slice(-64));
  const third = await machine(t, program);
  const again = await built(third.go, '-x');
  assert.doesNotMatch(again.stderr, /\/compile |wrong/);
  assert.equal(programHash(third.go), programHash(first.go));
  assertWhole(third.cacheDir);
});
