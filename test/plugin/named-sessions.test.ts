// Goal: a plugin server whose cache is on another Astera prefetches for each go command by its name, which `connect` tells it;
// clients that tell none, or a wrong one, are served all the same.
// Method: the real `connect` as a child and a real plugin server, in front of an HTTP server that notes what it is asked for.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect as connectTo, createServer as createTcpServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { collect } from '../../src/core/collect.ts';
import { encodeFrameHead, encodeIndex, FRAME, LABEL_HEADER } from '../../src/core/session-wire.ts';
import { nameSession } from '../../src/plugin/session-name.ts';
import { encodeName } from '../../src/plugin/told-name.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { connect, serve } from '../support/plugin-rig.ts';
import { tempDir } from '../support/temp-dir.ts';

const ENV = { GOOS: 'linux', GOARCH: 'arm64', GOVERSION: 'go1.26.8', GOFLAGS: '-trimpath' };
/** Of `connect` in this test: no `go` command is above it. */
const NAME = nameSession({ env: ENV, directory: CHECKOUT, argv: [] });
const HELLO = '{"ID":0,"KnownCommands":["get","put","close"]}\n';
const BODY = Buffer.from('body');

function id(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A server with one session, which has the action `a`. Nothing else is there. */
async function remote(t: TestContext) {
  const asked: string[] = [];
  const labels: (string | undefined)[] = [];
  const noted = Promise.withResolvers<string>();
  const row = { actionId: id('a'), outputId: id('body'), size: BODY.length, time: '1', note: undefined };
  const frame = encodeFrameHead({ row: 0, kind: FRAME.bytes, length: BODY.length });
  const stream = Buffer.concat([encodeIndex([row]), frame, BODY]);
  const server = createServer(async (request: IncomingMessage, response) => {
    const { method = '', url = '' } = request;
    const body = await collect(request, 1_000_000);
    const isSession = url.startsWith('/cache/session/');
    if (isSession) asked.push(`${method} ${url.slice('/cache/session/'.length)}`);
    if (isSession && method === 'PUT') {
      labels.push(request.headers[LABEL_HEADER]?.toString());
      noted.resolve(body?.toString('hex') ?? '');
    }
    response.writeHead(isSession && method === 'POST' ? 200 : 404).end(isSession ? stream : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const bound = server.address();
  const url = `http://127.0.0.1:${typeof bound === 'object' ? bound?.port : 0}`;
  return { url, asked, labels, noted: noted.promise };
}

test('the server prefetches for the command that connect tells of, and reports what it used', async (t) => {
  const { url, asked, labels, noted } = await remote(t);
  const { server } = await serve(t, '0', { remote: url });
  const client = await connect(t, server.port, { env: ENV });
  assert.ok((await client.get('a')).DiskPath);
  await client.put('b', BODY);
  assert.equal((await client.get('c')).Miss, true);
  await client.close();
  assert.equal(await noted, [id('a'), id('b')].map((one) => one.slice(0, 16)).join(''));
  assert.deepEqual(asked, [`POST ${NAME.key}`, `PUT ${NAME.key}`]);
  assert.deepEqual(labels, [NAME.label]);
  assert.deepEqual(client.lines, []);
});

test('commands of one name that run together share one stream', async (t) => {
  const { url, asked } = await remote(t);
  const { server } = await serve(t, '0', { remote: url });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connect(t, server.port, { env: ENV })));
  for (const client of clients) assert.equal((await client.get('none')).Miss, true);
  for (const client of clients) assert.ok((await client.get('a')).DiskPath);
  assert.deepEqual(asked, [`POST ${NAME.key}`]);
  const other = await connect(t, server.port, { env: { ...ENV, GOOS: 'windows' } });
  assert.equal((await other.get('none')).Miss, true);
  assert.equal(asked.length, 2, 'another target is another command');
  await Promise.all([...clients, other].map((client) => client.close()));
});

/** A client that is not `connect`: it writes lines, and reads the answers. */
async function plainClient(t: TestContext, port: number) {
  const socket = connectTo(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  return {
    write: (text: string) => socket.write(text),
    next: async (): Promise<Record<string, unknown>> => {
      for (;;) {
        const { value = '' } = await lines.next();
        if (value !== '') return JSON.parse(value);
      }
    },
  };
}

const get = (number: number) =>
  `${JSON.stringify({ ID: number, Command: 'get', ActionID: Buffer.from(id('a'), 'hex').toString('base64') })}\n\n`;
const plain: { why: string; first: string; isNamed?: true }[] = [
  { why: 'tells none', first: '' },
  { why: 'tells one', first: encodeName(NAME), isNamed: true },
  { why: 'tells a key that is none', first: encodeName({ ...NAME, key: '../../x' }) },
  { why: 'tells a module that leads elsewhere', first: encodeName({ ...NAME, module: '../../../etc' }) },
  { why: 'tells a label with a line end', first: encodeName({ ...NAME, label: 'go\r\nHost: x' }) },
  { why: 'tells a long label', first: encodeName({ ...NAME, label: 'x'.repeat(300) }) },
  {
    why: 'tells numbers',
    first: '{"ID":0,"Command":"session","Key":1,"Project":[],"Module":{},"Label":null}\n',
  },
];
for (const { why, first, isNamed } of plain) {
  test(`a client that ${why} is served`, async (t) => {
    const { url, asked } = await remote(t);
    const { server } = await serve(t, '0', { remote: url });
    const client = await plainClient(t, server.port);
    assert.deepEqual((await client.next()).KnownCommands, ['get', 'put', 'close', 'session']);
    client.write(first + get(1));
    const answer = await client.next();
    assert.equal(answer.ID, 1);
    assert.equal(answer.Miss, isNamed ? undefined : true, 'only a stream has it');
    assert.deepEqual(asked, isNamed ? [`POST ${NAME.key}`] : []);
  });
}

test('a name that comes late is no command; a server without a remote asks for none', async (t) => {
  const { url, asked } = await remote(t);
  const { server } = await serve(t, '0', { remote: url });
  const late = await plainClient(t, server.port);
  await late.next();
  late.write(get(1) + encodeName(NAME));
  const answers = [await late.next(), await late.next()];
  assert.ok(answers.some(({ Err }) => /unknown command "session"/.test(String(Err))));
  assert.deepEqual(asked, []);
  const alone = await serve(t, '0');
  const client = await plainClient(t, alone.server.port);
  assert.deepEqual((await client.next()).KnownCommands, ['get', 'put', 'close']);
});

for (const hello of [HELLO, HELLO.replace('"close"', '"close","dance"')]) {
  test(`connect tells no name where the server does not ask: ${hello.trim()}`, async (t) => {
    let told = '';
    const sockets = new Set<Socket>();
    const server = createTcpServer((socket) => {
      sockets.add(socket);
      // Later than the first request comes: nothing is said before the server has greeted.
      setImmediate(() => socket.write(hello));
      socket.on('data', (bytes) => {
        told += String(bytes);
        for (const [, number] of String(bytes).matchAll(/"ID":(\d+)/g)) {
          const answer = /"close"/.test(String(bytes)) ? {} : { Miss: true };
          socket.write(`${JSON.stringify({ ID: Number(number), ...answer })}\n`);
        }
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    const bound = server.address();
    const port = typeof bound === 'object' ? (bound?.port ?? 0) : 0;
    const client = await connect(t, port, { env: ENV, cacheDir: tempDir(t) });
    assert.equal((await client.get('a')).Miss, true);
    await client.close();
    assert.deepEqual(client.lines, []);
    assert.match(told, /^\{"ID":1,"Command":"get"/);
    assert.doesNotMatch(told, /session/);
  });
}
