// Goal: request bodies arrive whole, wait for a slow reader, and never grow past their bounds.
// Method: a real listener with an endpoint that reads bodies as the test says, and real sockets.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import { StoredFile } from '../../src/core/answer.ts';
import { BadRequest, Unauthorized } from '../../src/core/errors.ts';
import { BodyRoom } from '../../src/front/body-room.ts';
import type { Client } from '../../src/front/client.ts';
import type { Endpoint, Route } from '../../src/front/endpoint.ts';
import {
  REQUEST_BODIES_AHEAD_BYTES,
  REQUEST_BODY_AHEAD_BYTES,
  SHORT_BODY_BYTES,
  UNREAD_BODY_BYTES_MAX,
} from '../../src/front/limits.ts';
import { OwnHosts } from '../../src/front/own-hosts.ts';
import { Server } from '../../src/front/server.ts';
import { SeenEvents } from '../support/fakes.ts';

const MAX = 64 * 1024 * 1024;

type Read = (client: Client) => Promise<string>;

/** `PUT /put` answers what `read` says, and so does a GET of it, which has no body; `GET /get` takes no body; `GET /hot` is in memory. */
async function serve(
  t: TestContext,
  read: Read,
  bodyRoom = new BodyRoom(),
): Promise<{ port: number; events: SeenEvents }> {
  const events = new SeenEvents();
  const put: Route = {
    name: 'put',
    methods: ['GET', 'PUT'],
    module: undefined,
    bodyBytesMax: MAX,
    answer: async (client, responder) => responder.text(client, 200, await read(client)),
  };
  const get: Route = {
    name: 'get',
    methods: ['GET'],
    module: undefined,
    answer: async (client, responder) => responder.text(client, 200, 'got\n'),
  };
  const body = Buffer.from('hot\n');
  const about = {
    status: 200,
    size: body.byteLength,
    body,
    blob: undefined,
    freshUntilMs: Infinity,
    visibility: 'public',
  } as const;
  const file = new StoredFile({ kind: 'mod', sha256: '', ...about });
  const endpoint: Endpoint = {
    hot: { prefix: '', peek: (path) => (path === 'hot' ? file : undefined), moduleOf: () => undefined },
    route: ({ url }) => (url === '/put' ? put : get),
  };
  const server = new Server({
    endpoints: [endpoint],
    access: { decide: () => 'public', recalls: () => false, isTrusted: () => true },
    hosts: new OwnHosts([]),
    bodies: { bodyNow: () => body },
    events,
    clientStallMs: 60_000,
    connectionsMax: Infinity,
    bodyRoom,
  });
  const port = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  assert.ok(port !== undefined);
  t.after(() => server.stop(0));
  return { port, events };
}

type Got = { code: number; headers: IncomingHttpHeaders; body: string };

/** Sends `body`, and reads the answer even if the body was not taken to its end. */
async function send(
  { port }: { port: number },
  {
    method = 'PUT',
    path = '/put',
    body,
    isChunked = false,
  }: { method?: string; path?: string; body: Uint8Array; isChunked?: boolean },
): Promise<Got> {
  const length = isChunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': body.byteLength };
  // Else the client itself would ask for the connection's end.
  const headers = { connection: 'keep-alive', ...length };
  const req = request({ host: '127.0.0.1', port, path, method, headers, agent: false });
  const answered = answerOf(req);
  await pipeline(Readable.from(slices(body)), req).catch(() => {});
  return answered;
}

async function answerOf(req: ClientRequest): Promise<Got> {
  const got = Promise.withResolvers<Got>();
  req.on('error', got.reject);
  req.on('response', async (res) => {
    let body = '';
    for await (const part of res) body += part;
    got.resolve({ code: res.statusCode ?? 0, headers: res.headers, body });
  });
  return got.promise;
}

function* slices(body: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < body.byteLength; at += 50_000) yield body.subarray(at, at + 50_000);
}

function bytes(size: number): Buffer {
  const all = Buffer.alloc(size);
  for (let i = 0; i + 4 <= size; i += 4) all.writeUInt32LE((i * 2_654_435_761) % 2 ** 32, i);
  return all;
}

function digest(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex');
}

function bodyOf({ body }: Client) {
  assert.ok(body !== undefined);
  return body;
}

const readers: { name: string; read: Read }[] = [
  { name: 'as a whole', read: async (client) => digest(await bodyOf(client).whole()) },
  {
    name: 'by a reader slower than its line',
    read: async (client) => {
      const hash = createHash('sha256');
      for await (const piece of bodyOf(client).pieces()) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        hash.update(piece);
      }
      return hash.digest('hex');
    },
  },
];

for (const { name, read } of readers) {
  for (const isChunked of [false, true]) {
    test(`bodies arrive whole, ${isChunked ? 'chunked' : 'with a length'}, read ${name}`, async (t) => {
      const served = await serve(t, read);
      for (const size of [0, 1, REQUEST_BODY_AHEAD_BYTES, 8_000_000]) {
        const body = bytes(size);
        const got = await Promise.all([1, 2, 3, 4].map(() => send(served, { body, isChunked })));
        assert.deepEqual(new Set(got.map(({ body }) => body)), new Set([digest(body)]), `${size} bytes`);
      }
    });
  }
}

test('a client that is read slowly has to wait', async (t) => {
  const go = Promise.withResolvers<void>();
  const served = await serve(t, async (client) => {
    await go.promise;
    return digest(await bodyOf(client).whole());
  });
  const body = bytes(MAX);
  const socket = connect(served.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(`PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: ${MAX}\r\n\r\n`);
  let sent = 0;
  const isFull = () =>
    new Promise<boolean>((resolve) => {
      const full = setTimeout(resolve, 500, true);
      socket.once('drain', () => {
        clearTimeout(full);
        resolve(false);
      });
    });
  while (sent < MAX) {
    const piece = body.subarray(sent, sent + 65_536);
    sent += piece.byteLength;
    if (!socket.write(piece) && (await isFull())) break;
  }
  assert.ok(sent < MAX / 2, `${sent} bytes were taken for nobody`);
  go.resolve();
  socket.write(body.subarray(sent));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.ok(answer.toString().endsWith(digest(body)), answer.toString());
});

const refused: { name: string; ask: Parameters<typeof send>[1]; code: number; body: RegExp }[] = [
  { name: 'announced as too long', ask: { body: bytes(MAX + 1) }, code: 413, body: /over 67108864 bytes\n$/ },
  {
    name: 'chunked, and too long in the end',
    ask: { body: bytes(MAX + 1), isChunked: true },
    code: 413,
    body: /over 67108864 bytes\n$/,
  },
  {
    name: 'long, with a GET',
    ask: { method: 'GET', path: '/get', body: bytes(100_000) },
    code: 413,
    body: /65536 bytes/,
  },
  {
    name: 'long, with a GET of a path that takes a PUT',
    ask: { method: 'GET', body: bytes(100_000) },
    code: 413,
    body: /65536 bytes/,
  },
  {
    name: 'chunked, with a GET',
    ask: { method: 'GET', path: '/get', body: bytes(10), isChunked: true },
    code: 413,
    body: /65536 bytes/,
  },
  {
    name: 'long, with a GET of a file in memory',
    ask: { method: 'GET', path: '/hot', body: bytes(100_000) },
    code: 413,
    body: /65536 bytes/,
  },
  {
    name: 'long, with a method that is none here',
    ask: { method: 'POST', path: '/get', body: bytes(100_000) },
    code: 405,
    body: /only GET\n$/,
  },
];

for (const { name, ask, code, body } of refused) {
  test(`a body is refused, and the connection ends: ${name}`, async (t) => {
    const served = await serve(t, async (client) => digest(await bodyOf(client).whole()));
    const got = await send(served, ask);
    assert.deepEqual([got.code, got.headers.connection], [code, 'close']);
    assert.match(got.body, body);
    assert.equal((await send(served, { body: bytes(5) })).code, 200);
    assert.deepEqual(served.events.seen, []);
  });
}

test('a short body that nobody reads harms nothing: the connection goes on', async (t) => {
  const served = await serve(t, async () => '');
  const socket = connect(served.port, '127.0.0.1');
  t.after(() => socket.destroy());
  const body = 'GET /evil HTTP/1.1\r\n\r\n'.padEnd(UNREAD_BODY_BYTES_MAX);
  for (const path of ['/get', '/hot', '/get']) {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    let text = '';
    while (!text.endsWith('got\n') && !text.endsWith('hot\n')) {
      text += ((await once(socket, 'data')) as [Buffer])[0];
    }
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  }
});

test('a GET has no body, though its path takes a PUT', async (t) => {
  const served = await serve(t, async (client) => String(client.body));
  const got = await send(served, { method: 'GET', body: bytes(10) });
  assert.deepEqual([got.code, got.body], [200, 'undefined']);
});

test('an error goes out before the body is read, and ends the connection', async (t) => {
  const served = await serve(t, () => Promise.reject(new Unauthorized('cannot write: no token')));
  const got = await send(served, { body: bytes(MAX) });
  assert.deepEqual([got.code, got.headers.connection, got.body], [401, 'close', 'cannot write: no token\n']);
  assert.equal(got.headers['www-authenticate'], 'Basic realm="astera", charset="UTF-8"');
});

test('a client that hangs up in its body ends the reading', async (t) => {
  const failed = Promise.withResolvers<unknown>();
  const served = await serve(t, async (client) => {
    await bodyOf(client).whole().catch(failed.resolve);
    return '';
  });
  const socket = connect(served.port, '127.0.0.1');
  socket.write('PUT /put HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome');
  setTimeout(() => socket.destroy(), 20);
  assert.ok((await failed.promise) instanceof BadRequest);
  assert.equal((await send(served, { body: bytes(5) })).code, 200);
});

test('without room a long body waits for its turn, a short one does not', async (t) => {
  const room = new BodyRoom();
  const served = await serve(t, async (client) => digest(await bodyOf(client).whole()), room);
  room.gathered(REQUEST_BODIES_AHEAD_BYTES);
  const long = bytes(32_000_000);
  const answered = send(served, { body: long });
  const isDone = answered.then(() => true);
  for (let round = 0; round < 10; round++) {
    const short = bytes(SHORT_BODY_BYTES);
    assert.equal((await send(served, { body: short })).body, digest(short));
  }
  assert.equal(await Promise.race([isDone, false]), false, 'the long one was taken');
  room.done(REQUEST_BODIES_AHEAD_BYTES);
  assert.equal((await answered).body, digest(long));
});
