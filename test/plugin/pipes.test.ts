// Goal: by pipes, as `go` has them, the cache program answers as by sockets, and does no more than each `go` command must pay for.
// Method: the built programs as children of a shell, which joins them to pipes: Node itself gives its children sockets. A file
// that is loaded before them tells what they load, or keeps them from ending.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { OUTPUT_ID_HEADER, TIME_HEADER } from '../../src/core/build-cache-wire.ts';
import { CacheClient } from '../support/cache-client.ts';
import { assertWhole } from '../support/cached-build.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { tempDir } from '../support/temp-dir.ts';

const ONE_FILE = join(CHECKOUT, 'dist/cacheprog.mjs');
const SMALL_START = join(CHECKOUT, 'dist/cacheprog-main.cjs');

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

type Start = { readonly cacheDir: string; readonly flags?: readonly string[]; readonly node?: string };

async function start(t: TestContext, { cacheDir, flags = [], node = process.execPath }: Start) {
  const program = [node, ONE_FILE, `--cache-dir=${cacheDir}`, ...flags];
  const client = await CacheClient.start({ command: ['sh', '-c', 'cat | "$@" | cat', 'sh', ...program] });
  t.after(() => client.child.stdin?.destroy());
  return client;
}

/** This Node, and the machine's own, which may be as old as any that clients have. */
const nodes = spawnSync('node', ['-e', 'process.exit(Number(process.versions.node.split(".")[0] < 20))']);

for (const node of nodes.status === 0 ? [process.execPath, 'node'] : [process.execPath]) {
  test(`what is put is there for the next one (${node === 'node' ? "the machine's Node" : 'this Node'})`, async (t) => {
    const cacheDir = join(tempDir(t), 'cache');
    const bodies = [
      Buffer.alloc(0),
      Buffer.from('one'),
      Buffer.alloc(3_000_001, 'three'),
      Buffer.from('one'),
    ];
    const first = await start(t, { cacheDir, node });
    await Promise.all(bodies.map((body, at) => first.put(`a${at}`, body)));
    await first.close();
    const next = await start(t, { cacheDir, node });
    for (const [at, body] of bodies.entries()) {
      const { DiskPath: path = '' } = await next.get(`a${at}`);
      assert.ok(readFileSync(path).equals(body));
    }
    assert.equal((await next.get('nothing')).Miss, true);
    await next.close();
    assert.deepEqual([...first.lines, ...next.lines], []);
    assertWhole(cacheDir);
  });
}

test('a get that waits for the server holds up no other, and what is put is uploaded meanwhile', async (t) => {
  let release = () => {};
  const uploaded: string[] = [];
  const server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    request.resume();
    if (method === 'GET' && url.startsWith('/cache/action/')) {
      release = () => {
        release = () => {};
        response
          .writeHead(200, {
            [OUTPUT_ID_HEADER]: sha256('late'),
            [TIME_HEADER]: '1700000000000000000',
            'content-length': 4,
          })
          .end('late');
      };
      if (uploaded.length > 0) release();
      return;
    }
    if (method !== 'GET' && method !== 'HEAD') {
      uploaded.push(url);
      release();
    }
    response.writeHead(method === 'PUT' ? 200 : 404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const cacheDir = join(tempDir(t), 'cache');
  const flags = [`--remote=http://127.0.0.1:${port}`, '--prefetch=0', '--remote-timeout=20s'];
  const client = await start(t, { cacheDir, flags });
  await client.put('first', Buffer.from('first'));
  const late = client.get('late');
  await client.put('second', Buffer.from('second'));
  const { DiskPath: path = '' } = await client.get('second');
  assert.equal(readFileSync(path, 'utf8'), 'second');
  assert.equal(readFileSync((await late).DiskPath ?? '', 'utf8'), 'late');
  await client.close();
  assert.deepEqual(client.lines, []);
});

/** A program whose answers nobody reads before `open` is called, with more gets before it than pipes have room for answers: 64 KiB each. */
function unread(t: TestContext) {
  const directory = tempDir(t);
  const [cacheDir, gate] = [join(directory, 'cache'), join(directory, 'gate')];
  assert.equal(spawnSync('mkfifo', [gate]).status, 0);
  // What reads the answers waits until somebody writes to the gate.
  const command = 'cat | "$1" "$2" "--cache-dir=$3" | { read word < "$4"; cat; }';
  const child = spawn('sh', ['-c', command, 'sh', process.execPath, ONE_FILE, cacheDir, gate], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.stdin.destroy());
  for (let id = 1; id <= REQUESTS; id++)
    child.stdin.write(
      `{"ID":${id},"Command":"get","ActionID":"${Buffer.alloc(32, id).toString('base64')}"}\n\n`,
    );
  return { child, cacheDir, open: () => writeFileSync(gate, 'go\n') };
}

test('answers that nobody reads yet hold up no request', async (t) => {
  const { child, open } = unread(t);
  const said = text(child.stdout);
  child.stdin.end(`{"ID":${REQUESTS + 1},"Command":"close"}\n`);
  await once(child.stdin, 'finish');
  open();
  const ids = (await said)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).ID);
  assert.deepEqual(
    ids,
    Array.from({ length: REQUESTS + 2 }, (_, at) => at),
  );
});

test('answers that their reader had no room for come without another request', async (t) => {
  const { child, cacheDir, open } = unread(t);
  // When the last one's file is there, all before it were answered.
  const body = Buffer.from('last').toString('base64');
  const last = { ActionID: id('last'), OutputID: id('last'), BodySize: 4 };
  child.stdin.write(`{"ID":${REQUESTS + 1},"Command":"put",${JSON.stringify(last).slice(1)}\n\n"${body}"\n`);
  const file = join(cacheDir, 'action', sha256('last').slice(0, 2), sha256('last'));
  while (!existsSync(file)) await new Promise((resolve) => setImmediate(resolve));
  open();
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) if (JSON.parse(line).ID === REQUESTS + 1) break;
});

function id(text: string): string {
  return Buffer.from(sha256(text), 'hex').toString('base64');
}

const REQUESTS = 40_000;

for (const [name, command] of [
  ['a pipe', 'exec "$@" > "$0"'],
  ['a socket', 'exec "$@"'],
] as const) {
  test(`the end of ${name} tells go that all is done, whatever the program has left to do`, async (t) => {
    const directory = tempDir(t);
    const [hook, answers] = [join(directory, 'hook.cjs'), join(directory, 'answers')];
    assert.equal(spawnSync('mkfifo', [answers]).status, 0);
    writeFileSync(hook, 'process.exit = () => setInterval(() => {}, 1e6);');
    const program = [
      process.execPath,
      '--require',
      hook,
      ONE_FILE,
      `--cache-dir=${join(directory, 'cache')}`,
    ];
    const child = spawn('sh', ['-c', command, answers, ...program], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const isPiped = name === 'a pipe';
    const reader = isPiped ? spawn('cat', [answers], { stdio: ['ignore', 'pipe', 'inherit'] }) : child;
    child.stdin.write('{"ID":1,"Command":"close"}\n');
    assert.match(await text(reader.stdout), /\{"ID":1\}\n$/);
    assert.equal(child.exitCode, null);
    child.kill('SIGKILL'); // It goes on to trim its directory, which goes with the test.
    await once(child, 'exit');
  });
}

test('a command that finds all in the local directory loads no module that it can do without', async (t) => {
  const directory = tempDir(t);
  const [cacheDir, hook, loaded] = ['cache', 'hook.cjs', 'loaded'].map((name) => join(directory, name));
  writeFileSync(
    hook ?? '',
    `const fs = require('node:fs');
     process.on('exit', () => fs.writeFileSync(${JSON.stringify(loaded)}, process.moduleLoadList.join('\\n')));`,
  );
  const first = await start(t, { cacheDir: cacheDir ?? '' });
  await first.put('a', Buffer.from('one'));
  await first.close();
  const id = Buffer.from(sha256('a'), 'hex').toString('base64');
  for (const file of [ONE_FILE, SMALL_START]) {
    rmSync(loaded ?? '', { force: true });
    const { stdout, stderr } = spawnSync(
      'sh',
      ['-c', 'cat | "$@" | cat', 'sh', process.execPath, '--require', hook ?? '', file].concat(
        `--cache-dir=${cacheDir}`,
        '--remote=http://127.0.0.1:9',
      ),
      {
        input: `{"ID":1,"Command":"get","ActionID":"${id}"}\n{"ID":2,"Command":"close"}\n`,
        encoding: 'utf8',
      },
    );
    assert.match(stdout, /"ID":1,"OutputID".*\n\{"ID":2\}\n$/, stderr);
    const modules = readFileSync(loaded ?? '', 'utf8').split('\n');
    assert.ok(modules.includes('NativeModule fs'));
    const needless = [
      'net',
      'crypto',
      'http',
      'os',
      'zlib',
      'module',
      'tty',
      'child_process',
      'stream/promises',
    ];
    assert.deepEqual(
      needless.filter((name) => modules.includes(`NativeModule ${name}`)),
      [],
    );
  }
});
