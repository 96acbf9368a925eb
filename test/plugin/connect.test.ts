// Goal: through `connect` a build gets what the plugin server has; without a server, with a bad one and with one that dies
// at any moment, each request is answered all the same, and one line says why.
// Method: the real program over its source as a child, asked as `go` asks; a real plugin server in this process, or a socket
// that misbehaves. Nothing waits for longer than the bounds of plugin/limits.ts.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect as connectTo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { OUTPUT_ID_HEADER, TIME_HEADER } from '../../src/core/build-cache-wire.ts';
import { PLUGIN_SESSIONS_MAX, PLUGIN_SILENCE_MS } from '../../src/plugin/limits.ts';
import { CacheClient } from '../support/cache-client.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { freePort } from '../support/free-port.ts';
import { connect, PROGRAM, serve } from '../support/plugin-rig.ts';
import { tempDir } from '../support/temp-dir.ts';

/** What `bin/astera` runs. */
const SMALL = join(CHECKOUT, 'dist/connect-main.cjs');
const BODY = Buffer.from('body');
/** More than is held in memory, and than sockets and pipes hold. */
const LARGE = Buffer.alloc(20 * 1024 * 1024, 'large');

/** A server of another kind: `take` gets each connection and what comes on it. */
async function serveBadly(t: TestContext, take: (socket: Socket, text: string) => void, hello = true) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    if (hello) socket.write('{"ID":0,"KnownCommands":["get","put","close"]}\n');
    socket.on('data', (bytes) => take(socket, bytes.toString('latin1')));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const bound = server.address();
  return typeof bound === 'object' ? (bound?.port ?? 0) : 0;
}

for (const { where, address } of [
  { where: 'loopback', address: () => '0' },
  { where: 'a Unix socket', address: (t: TestContext) => `unix:${join(tempDir(t), 's.sock')}` },
]) {
  test(`what one go command puts, another gets: over ${where}`, async (t) => {
    const named = address(t);
    const { server, cacheDir } = await serve(t, named);
    const to = named === '0' ? server.port : named;
    const [one, two] = await Promise.all([connect(t, to), connect(t, to)]);
    assert.equal((await one.get('a')).Miss, true);
    const { DiskPath: path = '' } = await one.put('a', BODY);
    assert.ok(path.startsWith(cacheDir), path);
    assert.equal((await two.get('a')).DiskPath, path);
    const empty = await two.put('b', Buffer.alloc(0));
    assert.equal(statSync(empty.DiskPath ?? '').size, 0);
    assert.equal(readFileSync((await one.put('c', LARGE)).DiskPath ?? '').equals(LARGE), true);
    await one.close();
    assert.equal((await two.get('a')).DiskPath, path, "one command's close ends its own session only");
    await two.close();
    assert.deepEqual([...one.lines, ...two.lines], []);
  });
}

test('only its owner may connect to a Unix socket; that of a dead server is taken over, that of a living one is not', async (t) => {
  const address = `unix:${join(tempDir(t), 's.sock')}`;
  const path = address.slice('unix:'.length);
  const { server } = await serve(t, address);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await assert.rejects(serve(t, address), /EADDRINUSE/);
  await server.stop(0);
  assert.ok(!existsSync(path));
  const dying = spawn(process.execPath, [
    '-e',
    'net.createServer().listen(process.argv[1], () => console.log())',
    path,
  ]);
  await once(dying.stdout, 'data');
  dying.kill('SIGKILL');
  await once(dying, 'exit');
  assert.ok(statSync(path).isSocket());
  await serve(t, address);
  const file = `unix:${join(tempDir(t), 'file')}`;
  writeFileSync(file.slice('unix:'.length), '');
  await assert.rejects(serve(t, file), /EADDRINUSE/);
  assert.ok(existsSync(file.slice('unix:'.length)));
});

const starts: { why: string; command: string; env: (directory: string) => Record<string, string> }[] = [
  { why: 'the small file', command: SMALL, env: (directory) => ({ HOME: directory }) },
  {
    why: 'the small file with a setting',
    command: SMALL,
    env: (directory) => ({ ASTERA_CACHE_DIR: join(directory, '.cache/astera') }),
  },
  { why: 'the whole program', command: PROGRAM, env: (directory) => ({ HOME: directory }) },
];
for (const { why, command, env } of starts) {
  test(`without a server ${why} goes on alone, with what it has put itself`, async (t) => {
    const directory = tempDir(t);
    const client = await CacheClient.start({
      command: [process.execPath, command, 'connect', String(await freePort())],
      env: { NODE_NO_WARNINGS: '1', ...env(directory) },
    });
    t.after(() => client.child.kill('SIGKILL'));
    assert.equal((await client.get('a')).Miss, true);
    const { DiskPath: path = '' } = await client.put('a', BODY);
    assert.ok(path.startsWith(join(directory, '.cache/astera/')), path);
    assert.equal((await client.get('a')).DiskPath, path);
    await client.close();
    assert.equal(client.lines.length, 1);
    assert.match(
      client.lines[0] ?? '',
      /^astera connect: goes on without the server on 127\.0\.0\.1:\d+: .*ECONNREFUSED/,
    );
  });
}

for (const { args, line } of [
  { args: ['connect'], line: /needs the port/ },
  { args: ['connect', 'x'], line: /bad server "x"/ },
  { args: ['connect', '1', '--expiry=x'], line: /bad value for --expiry: "x"/ },
]) {
  test(`the small file refuses ${args.join(' ')}`, () => {
    const { status, stderr } = spawnSync(process.execPath, [SMALL, ...args], { encoding: 'utf8', input: '' });
    assert.match(stderr, line);
    assert.equal(status, 2);
  });
}

/** Whether a write or the end is seen first is chance. */
const HUNG_UP = /it has hung up|EPIPE|ECONNRESET/;
const ANSWER_WITHOUT_FILE = { OutputID: 'AAAA', Size: 4, DiskPath: '/nowhere/file' };
const faults: { why: string; take: (socket: Socket, text: string) => void; hello?: boolean; line: RegExp }[] =
  [
    { why: 'says nothing at all', take: () => {}, hello: false, line: /no sign of it/ },
    { why: 'says hello and hangs', take: () => {}, line: /no sign of it/ },
    { why: 'hangs up', take: (socket) => socket.end(), line: HUNG_UP },
    {
      why: 'resets',
      // After the last request: a reset in the middle of a write may show as any of HUNG_UP.
      take: (socket, text) => {
        if (text.includes(Buffer.from('third').toString('base64'))) socket.resetAndDestroy();
      },
      line: HUNG_UP,
    },
    {
      why: 'answers in HTTP',
      take: (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
      line: /no answer of a cache/,
    },
    { why: 'answers by a list', take: (socket) => socket.write('[1]\n'), line: /no answer of a cache/ },
    { why: 'answers by half a line', take: (socket) => socket.end('{"ID":1,"Mi'), line: HUNG_UP },
    {
      why: 'never ends a line',
      take: (socket) => socket.write('x'.repeat(70_000)),
      line: /an answer without end/,
    },
    {
      why: 'answers another question',
      take: (socket) => socket.write('{"ID":77,"Miss":true}\n'),
      line: /nobody asked for: 77/,
    },
    {
      why: 'answers a path that is none',
      take: (socket) => socket.write('{"ID":1,"DiskPath":5}\n'),
      line: /no answer of a cache/,
    },
  ];
for (const { why, take, hello, line } of faults) {
  test(`a server that ${why}: each request is answered, and one line says why`, async (t) => {
    const client = await connect(t, await serveBadly(t, take, hello));
    const third = hello === false ? LARGE : Buffer.from('third');
    const [get, put, last] = await Promise.all([
      client.get('a'),
      client.put('b', BODY),
      client.put('c', third),
    ]);
    assert.equal(get.Miss, true);
    assert.deepEqual(readFileSync(put.DiskPath ?? ''), BODY);
    assert.ok(readFileSync(last.DiskPath ?? '').equals(third));
    await client.close();
    assert.equal(client.lines.length, 1, client.lines.join('\n'));
    assert.match(client.lines[0] ?? '', line);
  });
}

test('what the server could not keep, or keeps where this user cannot read it, is kept here', async (t) => {
  const port = await serveBadly(t, (socket, text) => {
    for (const [, id, command] of text.matchAll(/"ID":(\d+),"Command":"(\w+)"/g)) {
      const answer = command === 'put' && id === '2' ? { Err: 'disk full' } : ANSWER_WITHOUT_FILE;
      socket.write(`${JSON.stringify({ ID: Number(id), ...(command === 'close' ? {} : answer) })}\n`);
    }
  });
  const client = await connect(t, port);
  assert.equal((await client.get('a')).Miss, true, 'a hit without its file is a miss');
  for (const action of ['b', 'c']) {
    assert.deepEqual(readFileSync((await client.put(action, BODY)).DiskPath ?? ''), BODY);
  }
  await client.close();
  assert.deepEqual(client.lines, []);
});

test('a server that ends in the middle of a body: the body that goes on coming is kept whole', async (t) => {
  const { server } = await serve(t, '0');
  const client = await connect(t, server.port);
  const before = await client.put('a', BODY);
  const text = `"${LARGE.toString('base64')}"\n`;
  const half = Math.floor(text.length / 2);
  const put = client.send(client.putRequest('b', LARGE), text.slice(0, half));
  await server.stop(0);
  client.write(text.slice(half));
  const { DiskPath: path = '' } = await put;
  assert.equal(
    createHash('sha256').update(readFileSync(path)).digest('hex'),
    createHash('sha256').update(LARGE).digest('hex'),
  );
  assert.equal((await client.get('a')).Miss, true);
  assert.ok(existsSync(before.DiskPath ?? ''));
  await client.close();
  assert.equal(client.lines.length, 1);
});

test('a server that is slow and lives is waited for', async (t) => {
  const port = await serveBadly(t, (socket, text) => {
    if (!text.includes('"get"')) {
      socket.end('{"ID":2}\n');
      return;
    }
    let beats = 0;
    const timer = setInterval(() => {
      socket.write(++beats < 6 ? '\n' : '{"ID":1,"Err":"nothing here"}\n');
      if (beats >= 6) clearInterval(timer);
    }, 500);
    t.after(() => clearInterval(timer));
  });
  const client = await connect(t, port);
  assert.equal((await client.get('a')).Miss, true);
  await client.close();
  assert.deepEqual(client.lines, []);
});

test('a plugin server whose remote is slow shows that it lives', async (t) => {
  const output = createHash('sha256').update(BODY).digest('hex');
  const remote = createHttpServer((_, response) => {
    const headers = { [OUTPUT_ID_HEADER]: output, [TIME_HEADER]: '1', 'content-length': BODY.length };
    const timer = setTimeout(() => response.writeHead(200, headers).end(BODY), PLUGIN_SILENCE_MS + 1_000);
    t.after(() => clearTimeout(timer));
  });
  remote.listen(0, '127.0.0.1');
  await once(remote, 'listening');
  t.after(() => remote.close());
  const bound = remote.address();
  const url = `http://127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`;
  const { server, cacheDir } = await serve(t, '0', { remote: url, 'remote-timeout': '8s' });
  const client = await connect(t, server.port);
  assert.equal((await client.get('a')).DiskPath, join(cacheDir, 'output', output.slice(0, 2), output));
  await client.close();
  assert.deepEqual(client.lines, []);
});

test('past its bound of sessions a plugin server leaves go commands to themselves', async (t) => {
  const { server } = await serve(t, '0');
  const others = await Promise.all(
    Array.from({ length: PLUGIN_SESSIONS_MAX }, async () => {
      const socket = connectTo(server.port, '127.0.0.1');
      await once(socket, 'data');
      return socket;
    }),
  );
  t.after(() => {
    for (const socket of others) socket.destroy();
  });
  const client = await connect(t, server.port);
  assert.equal((await client.get('a')).Miss, true);
  await client.close();
  assert.equal(client.lines.length, 1);
});

test('a client that is no go command is cut off, and others go on', async (t) => {
  const { server } = await serve(t, '0');
  const client = await connect(t, server.port);
  const page = await fetch(`http://127.0.0.1:${server.port}/`, {
    method: 'POST',
    body: '\n{"ID":1,"Command":"get"}\n',
  }).then(
    (response) => response.text(),
    () => 'refused',
  );
  assert.equal(page, 'refused');
  assert.ok((await client.put('a', BODY)).DiskPath);
  await client.close();
});

test('toolchains before 1.24, which say ObjectID, share a directory of go-cache-plugin with later ones', async (t) => {
  const cacheDir = join(tempDir(t), 'cache');
  const command = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    PROGRAM,
    `--cache-dir=${cacheDir}`,
  ] as const;
  const old = await CacheClient.start({ command, outputField: 'ObjectID' });
  const { DiskPath: path = '' } = await old.put('a', BODY);
  await old.close();
  const output = createHash('sha256').update(BODY).digest('hex');
  const action = createHash('sha256').update('a').digest('hex');
  assert.equal(path, join(cacheDir, 'output', output.slice(0, 2), output));
  assert.match(
    readFileSync(join(cacheDir, 'action', action.slice(0, 2), action), 'latin1'),
    new RegExp(`^${output} \\d+$`),
  );
  const later = await CacheClient.start({ command });
  assert.equal((await later.get('a')).DiskPath, path);
  await later.close();
});
