// Goal: builds through `astera serve --plugin` and `astera connect` give what a build without them gives, share what they
// compile, and neither fail nor stall when the server is killed or stopped.
// Method: the real `go` command, `bin/astera` and its one file, as go-cache-plugin's README has it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { ASTERA } from '../support/astera.ts';
import { assertWhole, buildClient, built, filesIn, programHash, succeeds } from '../support/cached-build.ts';
import { freePort } from '../support/free-port.ts';
import type { GoClient } from '../support/go.ts';
import { servePlugin } from '../support/plugin-process.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';

/** The program that a build without any cache program makes. */
let expected = '';

before(async () => {
  const plain = await buildClient({});
  try {
    await built(plain);
    expected = programHash(plain);
  } finally {
    await plain.dispose();
  }
});

test('what one go command compiles, no other does: with the flags of go-cache-plugin', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const server = await servePlugin(t, ['--plugin=0', `--cache-dir=${cacheDir}`, '-metrics', '-v']);
  const [first, second] = [await client(t, server.port), await client(t, server.port)];
  await built(first);
  assertWhole(cacheDir);
  const { stderr } = await built(second, '-x');
  assert.doesNotMatch(stderr, /\/compile /);
  for (const go of [first, second]) assert.equal(programHash(go), expected);
  assert.equal(server.lines.length, 1, 'no HTTP port is opened');
  server.child.kill('SIGTERM');
  assert.deepEqual(await once(server.child, 'exit'), [0, null]);
});

test('many go commands at once, each with a session of its own', { timeout: 600_000 }, async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const address = `unix:${join(tempDir(t), 'plugin.sock')}`;
  await servePlugin(t, [`--plugin=${address}`, `--cache-dir=${cacheDir}`]);
  const go = await client(t, address);
  await built(go);
  await writeFile(join(go.project, 'lib/more.go'), 'package lib\n\nconst More = 16\n');
  const results = await Promise.all(
    Array.from({ length: times({ short: 16, long: 64 }) }, () => succeeds(go, 'build', './lib')),
  );
  for (const { stderr } of results) assert.equal(stderr, '');
  assertWhole(cacheDir);
});

for (const { how, signal, end } of [
  { how: 'killed', signal: 'SIGKILL', end: /it has hung up|EPIPE|ECONNRESET/ },
  { how: 'stopped still', signal: 'SIGSTOP', end: /no sign of it/ },
] as const) {
  test(`a server that is ${how} in the middle of a build costs no build`, { timeout: 180_000 }, async (t) => {
    const cacheDir = join(tempDir(t), 'cache');
    const own = join(tempDir(t), 'own');
    const server = await servePlugin(t, ['--plugin=0', `--cache-dir=${cacheDir}`]);
    const go = await client(t, server.port, `--cache-dir=${own}`);
    const building = built(go);
    while (filesIn(join(cacheDir, 'output')).length < 20)
      await new Promise((resolve) => setImmediate(resolve));
    server.child.kill(signal);
    const { stderr } = await building;
    assert.match(stderr, /^astera connect: goes on without the server on .*\n$/);
    assert.match(stderr, end);
    assert.equal(programHash(go), expected);
    assertWhole(cacheDir);
    assertWhole(own);
    assert.ok(filesIn(join(own, 'output')).length > 0);
  });
}

test('an absent server costs one line', async (t) => {
  const go = await client(t, await freePort(), `--cache-dir=${join(tempDir(t), 'own')}`);
  await mkdir(join(go.project, 'bare'));
  await writeFile(join(go.project, 'bare/bare.go'), 'package bare\n');
  const { stderr } = await succeeds(go, 'build', './bare');
  assert.match(stderr, /^astera connect: goes on without the server on 127\.0\.0\.1:\d+: .*\n$/);
});

test('with --http it serves modules too, under /mod/ as well; a port in use is exit 1', async (t) => {
  const directory = tempDir(t);
  const args = ['--plugin=0', '--http=127.0.0.1:0', '--modproxy', `--cache-dir=${join(directory, 'cache')}`];
  const server = await servePlugin(t, [
    ...args,
    '--db',
    join(directory, 'a.db'),
    '--offline',
    '--verify',
    'off',
  ]);
  while (server.lines.length < 2) await once(server.output, 'line');
  const url = /^listening on (http:.*)$/.exec(server.lines[1] ?? '')?.[1] ?? '';
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  assert.equal((await fetch(`${url}/mod/example.com/x/@v/v1.0.0.info`)).status, 404);
  const go = await client(t, server.port);
  await succeeds(go, 'list', './...');
  const second = spawn(ASTERA, ['serve', `--plugin=${server.port}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  second.stderr.on('data', (bytes) => {
    stderr += String(bytes);
  });
  assert.deepEqual(await once(second, 'close'), [1, null]);
  assert.match(
    stderr,
    new RegExp(`^astera: cannot serve --plugin on 127\\.0\\.0\\.1:${server.port}: .*EADDRINUSE.*\n$`),
  );
});

test("go-cache-plugin's direct mode: its flags or variables, and no command", async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const direct = await buildClient({ program: `${ASTERA} --cache-dir=${cacheDir} --metrics` });
  t.after(() => direct.dispose());
  await succeeds(direct, 'list', '-export', './lib');
  const variables = { GOCACHE_DIR: cacheDir, GOCACHE_METRICS: '1' };
  const again = await buildClient({ program: `${ASTERA} cacheprog`, env: variables });
  t.after(() => again.dispose());
  const { stderr } = await succeeds(again, 'list', '-export', './lib');
  assert.match(stderr, /^astera cacheprog: [1-9]\d* hits, 0 of them remote/);
});

/** A client whose build cache is the server's. Flags are those of `connect`. */
async function client(
  t: TestContext,
  server: number | string,
  ...flags: readonly string[]
): Promise<GoClient> {
  const go = await buildClient({ program: [ASTERA, 'connect', server, ...flags].join(' ') });
  t.after(() => go.dispose());
  return go;
}
