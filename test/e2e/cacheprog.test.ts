// Goal: a build with the cache program gives what a build without it gives, whatever the server, the directory or a
// kill does to it; what it has built once it does not compile again.
// Method: the real `go` command with GOCACHEPROG, one directory that is warmed once and hard-linked for each test, and
// servers on loopback that misbehave.

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { OUTPUT_ID_HEADER, TIME_HEADER } from '../../src/core/build-cache-wire.ts';
import { assertWhole, buildClient, built, filesIn, programHash, succeeds } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import type { GoClient } from '../support/go.ts';
import { tempDir } from '../support/temp-dir.ts';
import { times } from '../support/times.ts';
import { tmpfs } from '../support/tmpfs.ts';

const PROGRAM = join(CHECKOUT, 'dist/cacheprog.mjs');
let scratch = '';
let warm = '';
/** The program that a build without any cache program makes. */
let expected = '';

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'astera-cacheprog-'));
  const plain = await client({});
  try {
    await built(plain);
    expected = programHash(plain);
  } finally {
    await plain.dispose();
  }
  warm = join(scratch, 'warm');
  const first = await client({ cacheDir: warm });
  try {
    await built(first);
    assert.equal(programHash(first), expected);
  } finally {
    await first.dispose();
  }
});

after(() => rm(scratch, { recursive: true, force: true }));

test('a second build compiles nothing, and makes the same program', async (t) => {
  const go = await ownClient(t, { cacheDir: copyOfWarm() });
  const { stderr } = await built(go, '-x');
  assert.doesNotMatch(stderr, /\/compile /);
  assert.match(stderr, /\/link /, 'executables are not in this cache');
  assert.equal(programHash(go), expected);
});

test('tests are cached, and vet, run, cover and export files work', async (t) => {
  const cacheDir = copyOfWarm();
  const go = await ownClient(t, { cacheDir });
  assert.match((await succeeds(go, 'test', './...')).stdout, /^ok .*\d+s$/m);
  assert.match((await succeeds(go, 'test', './...')).stdout, /^ok .*\(cached\)$/m);
  await succeeds(go, 'vet', './...');
  assert.equal((await succeeds(go, 'run', '.')).stdout, '[0,0,0,0,0,0,0,0]\n');
  assert.match((await succeeds(go, 'test', '-cover', './lib')).stdout, /coverage: 100.0%/);
  const { stdout } = await succeeds(go, 'list', '-export', '-f', '{{.Export}}', './...');
  // Linters read these files after `go` has ended.
  for (const path of stdout.trim().split('\n')) {
    assert.ok(path.startsWith(cacheDir), path);
    assert.ok(existsSync(path), path);
  }
  assertWhole(cacheDir);
});

const remotes: { why: string; answer: RequestListener | 'nobody listens' }[] = [
  { why: 'nobody listens', answer: 'nobody listens' },
  { why: 'takes the request and never answers', answer: () => {} },
  { why: 'answers all with garbage', answer: (_, response) => response.end('<html>hello</html>') },
  { why: 'answers all with 500', answer: (_, response) => response.writeHead(500).end() },
  {
    why: 'sends other bytes than the ID names',
    answer: ({ method }, response) =>
      response.writeHead(method === 'GET' ? 200 : 404, headersOf('right', 5)).end('wrong'),
  },
  {
    why: 'cuts each body',
    answer: (_, response) =>
      response.writeHead(200, headersOf('right', 5)).write('ri', () => response.destroy()),
  },
  { why: 'takes nothing', answer: (_, response) => response.writeHead(403).end() },
  {
    why: 'has no room',
    answer: ({ method }, response) => response.writeHead(method === 'GET' ? 404 : 507).end(),
  },
  {
    why: 'sends a byte now and then',
    answer: (_, response) => {
      response.writeHead(200, headersOf('slow', 1_000_000));
      const timer = setInterval(() => response.write('s'), 200);
      response.on('close', () => clearInterval(timer));
    },
  },
];
for (const { why, answer } of remotes) {
  test(`a server that fails costs no build: ${why}`, async (t) => {
    const remote = await listen(t, answer);
    const cacheDir = copyOfWarm();
    const go = await ownClient(t, { cacheDir, flags: [`--remote=${remote}`, '--remote-timeout=500ms'] });
    await writeFile(join(go.project, 'lib/more.go'), `package lib\n\nconst Why = ${JSON.stringify(why)}\n`);
    const { stderr } = await built(go);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    assert.match(stderr, /^astera cacheprog: /);
    assertWhole(cacheDir);
  });
}

test('a directory that cannot be made costs no build and no reader of export files, and is told of in one line', async (t) => {
  const file = join(tempDir(t), 'file');
  await writeFile(file, '');
  const go = await ownClient(t, { cacheDir: join(file, 'cache'), env: { TMPDIR: tempDir(t) } });
  await mkdir(join(go.project, 'bare'));
  await writeFile(join(go.project, 'bare/bare.go'), 'package bare\n');
  const { stdout, stderr } = await succeeds(go, 'list', '-export', '-f', '{{.Export}}', './bare');
  assert.match(stderr, /^astera cacheprog: cannot write to .*: new results are kept in .*\n$/);
  assert.ok(existsSync(stdout.trim()), stdout);
});

test('a disk that is full costs no build: new results go to the spare directory', async (t) => {
  const disk = tmpfs(t, '4m');
  if (disk === undefined) return t.skip('needs the right to mount');
  const [cacheDir, temporary] = [join(disk, 'cache'), tempDir(t)];
  const go = await ownClient(t, { cacheDir, env: { TMPDIR: temporary } });
  const { stderr } = await built(go);
  assert.match(stderr, /^astera cacheprog: cannot write to .*: new results are kept in .*ENOSPC.*\n$/);
  assert.equal(programHash(go), expected);
  const outputs = filesIn(temporary).filter((path) => /\/output\//.test(path));
  assert.ok(outputs.length > 10, `${outputs.length} in the spare directory`);
  assertWhole(cacheDir);
  for (const path of outputs) assert.equal(hashOf(path), path.slice(-64), path);
});

test('a directory that is deleted in the middle of a build: the next build works with a new one', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const go = await ownClient(t, { cacheDir });
  const building = go.start('build', '-o', 'app', '.');
  await outputsIn(cacheDir, 10, building);
  await rm(cacheDir, { recursive: true, force: true, maxRetries: 100 });
  // What `go` was told to find is gone, and it says so: nobody can give it back.
  if (building.exitCode === null) await once(building, 'exit');
  await built(go);
  assert.equal(programHash(go), expected);
  assertWhole(cacheDir);
});

test('sixty-four go commands at once share one directory', { timeout: 180_000 }, async (t) => {
  const cacheDir = copyOfWarm();
  const go = await ownClient(t, { cacheDir });
  await writeFile(join(go.project, 'lib/more.go'), 'package lib\n\nconst More = 64\n');
  const results = await Promise.all(Array.from({ length: 64 }, () => go.run('build', './lib')));
  assert.deepEqual(
    results.filter(({ code }) => code !== 0),
    [],
  );
  assertWhole(cacheDir);
});

test('killed at any moment, it leaves a directory that the next build works with', {
  timeout: 180_000,
}, async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const go = await ownClient(t, { cacheDir });
  const kills = times({ short: 8, long: 20 });
  for (let kill = 1; kill <= kills; kill++) {
    const building = go.start('build', 'encoding/json');
    await outputsIn(cacheDir, (20 * kill) / kills, building);
    killPrograms(cacheDir);
    if (building.exitCode === null) await once(building, 'exit');
    assertWhole(cacheDir);
  }
  await succeeds(go, 'build', 'encoding/json');
  assertWhole(cacheDir);
});

test('stdout carries answers and nothing else', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  for (const input of [
    '',
    '{"ID":1,"Command":"get","ActionID":"AAAA"}\n\n',
    'no JSON\n',
    '{"ID":1,"Command":"dance"}\n\n',
  ]) {
    const child = spawn(process.execPath, [PROGRAM, `--cache-dir=${cacheDir}`, '--metrics'], {
      stdio: 'pipe',
    });
    child.stdin.end(input);
    child.stderr.resume();
    let text = '';
    for await (const part of child.stdout) text += String(part);
    for (const line of text.trimEnd().split('\n')) assert.equal(typeof JSON.parse(line).ID, 'number', input);
  }
});

type Client = {
  readonly cacheDir?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** Without a directory it uses Go's own cache. */
function client({ cacheDir, flags = [], env = {} }: Client): Promise<GoClient> {
  const program = [process.execPath, PROGRAM, `--cache-dir=${cacheDir}`, ...flags].join(' ');
  return buildClient({ env, ...(cacheDir !== undefined && { program }) });
}

async function ownClient(t: TestContext, options: Client): Promise<GoClient> {
  const go = await client(options);
  t.after(() => go.dispose());
  return go;
}

/** Hard links: nothing is written in place, so that no test can change another's files. */
function copyOfWarm(): string {
  const copy = join(scratch, `copy-${readdirSync(scratch).length}`);
  execFileSync('cp', ['-al', warm, copy]);
  return copy;
}

/** Waits until the directory holds as many outputs, or the build has ended. */
async function outputsIn(cacheDir: string, count: number, building: ChildProcess): Promise<void> {
  while (building.exitCode === null && filesIn(join(cacheDir, 'output')).length < count) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Kills the programs that work on this directory. */
function killPrograms(cacheDir: string): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
      if (line[1] === PROGRAM && line.includes(`--cache-dir=${cacheDir}`))
        process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
}

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function headersOf(body: string, size: number) {
  return {
    [OUTPUT_ID_HEADER]: createHash('sha256').update(body).digest('hex'),
    [TIME_HEADER]: '1700000000000000000',
    'content-length': size,
  };
}

async function listen(t: TestContext, answer: RequestListener | 'nobody listens'): Promise<string> {
  const server = createServer(answer === 'nobody listens' ? () => {} : answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  if (answer === 'nobody listens') close();
  else t.after(close);
  return `http://127.0.0.1:${port}`;
}
