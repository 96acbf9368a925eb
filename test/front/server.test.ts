// Goal: what goes over the wire: status, headers, bodies, broken bodies, slow clients, an orderly stop.
// Method: a real listener on loopback and real sockets; the service behind it answers what the test says.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, linkSync, readFileSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { Agent, get as getSecurely } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Access } from '../../src/access/access.ts';
import { type Answer, type ByteStream, StoredFile } from '../../src/core/answer.ts';
import { Busy, Forbidden, NotFound, UpstreamDown } from '../../src/core/errors.ts';
import { parseModulePath } from '../../src/core/module-path.ts';
import { resourceKey } from '../../src/core/resource.ts';
import type { Endpoint, Route } from '../../src/front/endpoint.ts';
import type { Tls } from '../../src/front/listener.ts';
import { ModulesEndpoint } from '../../src/front/modules-endpoint.ts';
import { OperationsEndpoint, type OperationsEndpointOptions } from '../../src/front/operations-endpoint.ts';
import { OwnHosts } from '../../src/front/own-hosts.ts';
import { Server, type ServerOptions } from '../../src/front/server.ts';
import type { ProxyRequest } from '../../src/modules/module-proxy.ts';
import { makeCertificate } from '../support/certificate.ts';
import { SeenEvents } from '../support/fakes.ts';
import { tempDir } from '../support/temp-dir.ts';

const SHA = 'ab'.repeat(32);
const TEXT = 'module example.com/a\n';
const MOD = 'example.com/a/@v/v1.0.0.mod';

type Served = {
  port: number;
  server: Server;
  events: SeenEvents;
  /** By key: an answer, or an error. */
  answers: Map<string, Answer | Error | (() => Promise<Answer>)>;
  hot: Map<string, StoredFile>;
  asked: ProxyRequest[];
};

/** Everything is public. */
const access = new Access({ privatePatterns: [], privateNetworks: [] });

type Options = Partial<OperationsEndpointOptions & Pick<ServerOptions, 'clientStallMs' | 'connectionsMax'>>;

async function serve(
  t: TestContext,
  { clientStallMs = 60_000, connectionsMax = Infinity, ...operations }: Options = {},
): Promise<Served> {
  const events = new SeenEvents();
  const answers: Served['answers'] = new Map();
  const hot: Served['hot'] = new Map();
  const asked: ProxyRequest[] = [];
  const get = async (what: ProxyRequest) => {
    asked.push(what);
    const answer = answers.get(resourceKey(what.resource)) ?? new NotFound('cannot find that');
    if (answer instanceof Error) throw answer;
    return typeof answer === 'function' ? answer() : answer;
  };
  const server = new Server({
    endpoints: [
      new OperationsEndpoint({
        metricsText: async () => 'astera_up 1\n',
        notReady: async () => undefined,
        access,
        ...operations,
      }),
      new ModulesEndpoint({ modules: { get, peek: (key) => hot.get(key) }, instance: 'me' }),
    ],
    access,
    hosts: new OwnHosts(['goproxy.example.com']),
    bodies: { bodyNow: ({ body }) => body },
    events,
    clientStallMs,
    connectionsMax,
  });
  return { port: await listen(t, server), server, events, answers, hot, asked };
}

/** A server with these endpoints and nothing in memory. */
function bareServer(
  endpoints: readonly Endpoint[] = [],
  events = new SeenEvents(),
  connectionsMax = Infinity,
): Server {
  const bodies = { bodyNow: () => undefined };
  const hosts = new OwnHosts([]);
  return new Server({ endpoints, access, hosts, bodies, events, clientStallMs: 60_000, connectionsMax });
}

async function listen(t: TestContext, server: Server, tls?: Tls): Promise<number> {
  const port = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, tls);
  assert.ok(port !== undefined && port > 0);
  t.after(() => server.stop(0));
  return port;
}

type Got = { code: number; headers: IncomingHttpHeaders; body: string };

function ask(
  where: { port: number } | { socketPath: string },
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Got> {
  const to = 'port' in where ? { host: '127.0.0.1', port: where.port } : where;
  return new Promise((resolve, reject) => {
    const req = request({ ...to, path, method, headers, agent: false }, (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('end', () =>
        resolve({ code: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(parts).toString() }),
      );
      res.on('error', reject);
    });
    req.on('error', reject);
    req.end();
  });
}

function answer(text: string, about: Partial<Answer> = {}): Answer {
  const body = Buffer.from(text);
  return { kind: 'mod', status: 200, origin: 'store', size: body.byteLength, sha256: SHA, body, ...about };
}

function hotFile(text: string): StoredFile {
  const body = Buffer.from(text);
  const about = {
    status: 200,
    size: body.byteLength,
    body,
    blob: undefined,
    freshUntilMs: Infinity,
    visibility: 'public',
  } as const;
  return new StoredFile({ kind: 'mod', sha256: SHA, ...about });
}

/** The same file, answered by the service and out of memory. */
const ways = ['by the service', 'out of memory'] as const;

function offer(served: Served, way: (typeof ways)[number], text = TEXT): void {
  if (way === 'out of memory') served.hot.set(MOD, hotFile(text));
  else served.answers.set(MOD, answer(text));
}

const conditions: {
  headers: Record<string, string>;
  code: number;
  body: string;
  range?: string;
  why: string;
}[] = [
  { headers: {}, code: 200, body: TEXT, why: 'without conditions' },
  { headers: { 'if-none-match': `"${SHA}"` }, code: 304, body: '', why: 'the client has it' },
  { headers: { 'if-none-match': `W/"${SHA}"` }, code: 304, body: '', why: 'weakly too' },
  { headers: { 'if-none-match': '*' }, code: 304, body: '', why: 'any' },
  { headers: { 'if-none-match': '"other"' }, code: 200, body: TEXT, why: 'the client has another' },
  { headers: { range: 'bytes=0-5' }, code: 206, body: 'module', range: 'bytes 0-5/21', why: 'a range' },
  { headers: { range: 'bytes=-2' }, code: 206, body: 'a\n', range: 'bytes 19-20/21', why: 'the end' },
  { headers: { range: 'bytes=99-' }, code: 416, body: '', range: 'bytes */21', why: 'behind the end' },
  { headers: { range: 'bytes=0-1,3-4' }, code: 200, body: TEXT, why: 'several ranges' },
  {
    headers: { range: 'bytes=0-5', 'if-range': `"${SHA}"` },
    code: 206,
    body: 'module',
    range: 'bytes 0-5/21',
    why: 'a range of what the client has',
  },
  {
    headers: { range: 'bytes=0-5', 'if-range': '"other"' },
    code: 200,
    body: TEXT,
    why: 'a range of another file',
  },
  {
    headers: { range: 'bytes=0-5', 'if-none-match': `"${SHA}"` },
    code: 304,
    body: '',
    why: 'a condition comes before a range',
  },
];

for (const way of ways) {
  for (const { headers, code, body, range, why } of conditions) {
    test(`GET ${way}: ${why}`, async (t) => {
      const served = await serve(t);
      offer(served, way);
      const got = await ask(served, `/${MOD}`, { headers });
      assert.equal(got.code, code);
      if (code !== 416) assert.equal(got.body, body);
      assert.equal(got.headers['content-range'], range);
      if (code === 200 || code === 206) assert.equal(got.headers['content-length'], String(body.length));
      if (code !== 416) assert.equal(got.headers.etag, `"${SHA}"`);
    });
  }
}

test('a HEAD has the headers of a GET and no body, whatever range it asks for', async (t) => {
  const served = await serve(t);
  offer(served, 'by the service');
  for (const headers of [{}, { range: 'bytes=0-5' }, { range: 'bytes=99-' }] as Record<string, string>[]) {
    const text = await rawAnswers(served, `HEAD /${MOD} HTTP/1.1`, headers);
    const [head = '', next = ''] = text.split('\r\n\r\n');
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/, JSON.stringify(headers));
    assert.match(head, /\r\nContent-Length: 21(\r\n|$)/i);
    assert.match(next, /^HTTP\/1\.1 200 OK\r\n/, 'no byte of a body between the two');
  }
  const missing = await ask(served, '/example.com/none/@v/list', { method: 'HEAD' });
  assert.deepEqual([missing.code, missing.body], [404, '']);
});

/** Sends a request and, behind its answer's head, one for /healthz; returns all that came until then. */
async function rawAnswers({ port }: { port: number }, line: string, headers: Record<string, string>) {
  const socket = connect(port, '127.0.0.1');
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${line}\r\nHost: x\r\n${lines.join('')}\r\n`);
  let text = '';
  for await (const part of socket) {
    if (text === '') socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    text += part;
    if (text.endsWith('ok\n')) break;
  }
  return text;
}

test('only GET and HEAD are methods here, on paths that are none too', async (t) => {
  const served = await serve(t);
  offer(served, 'by the service');
  for (const line of [`get /${MOD}`, `head /${MOD}`, 'BREW /x', `${'M'.repeat(300)} /x`]) {
    const text = await rawAnswers(served, `${line} HTTP/1.1`, {});
    assert.match(text, /^HTTP\/1\.1 405 Method Not Allowed\r\n/, line);
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const got = await ask(served, `/${MOD}`, { method });
    assert.deepEqual([got.code, got.headers.allow], [405, 'GET, HEAD']);
    assert.equal(got.body, `cannot ${method}: only GET and HEAD\n`);
  }
});

const errors: { error: Error; code: number; body: RegExp; why: string }[] = [
  { error: new NotFound('cannot find "x"'), code: 404, body: /^cannot find "x"\n$/, why: 'not found' },
  { error: new Forbidden('private'), code: 403, body: /^private\n$/, why: 'forbidden' },
  { error: new UpstreamDown('cannot reach it'), code: 504, body: /^cannot reach it\n$/, why: 'unreachable' },
  {
    error: new UpstreamDown('two\r\nlines\u0007 é'),
    code: 504,
    body: /^two lines\? \?\n$/,
    why: 'text no terminal wants',
  },
  {
    error: new UpstreamDown('x'.repeat(5_000)),
    code: 504,
    body: /^x{600}\n$/,
    why: 'more text than go shows',
  },
  {
    error: new Error('secret'),
    code: 500,
    body: /^astera: internal error\n$/,
    why: 'a bug, whose text stays here',
  },
];

for (const { error, code, body, why } of errors) {
  test(`an error is one line of text: ${why}`, async (t) => {
    const served = await serve(t);
    served.answers.set(MOD, error);
    const got = await ask(served, `/${MOD}`);
    assert.equal(got.code, code);
    assert.match(got.body, body);
    assert.equal(got.headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(got.headers['cache-control'], 'no-store');
    assert.equal(
      served.events.seen.some((seen) => seen.startsWith('bug')),
      code === 500,
    );
  });
}

test('who is refused for a limit is told when to come again', async (t) => {
  const served = await serve(t);
  served.answers.set(MOD, new Busy('too many'));
  const got = await ask(served, `/${MOD}`);
  assert.deepEqual([got.code, got.headers['retry-after']], [503, '1']);
});

const hostile: { path: string; codes: number[]; why: string }[] = [
  { path: '/%0d%0aX-Evil:%201/@v/list', codes: [400], why: 'a header in the path' },
  { path: '/example.com/%00/@v/list', codes: [400], why: 'NUL' },
  { path: '/%2e%2e/%2e%2e/etc/passwd', codes: [404], why: 'traversal, encoded' },
  { path: '/../../etc/passwd/@v/list', codes: [400, 404], why: 'traversal' },
  { path: '/github.com/Azure/x/@v/list', codes: [400], why: 'a raw capital' },
  { path: '/%ff', codes: [400], why: 'no UTF-8' },
  { path: '/%', codes: [400], why: 'half an escape' },
  { path: `/${'a'.repeat(10_000)}/@v/list`, codes: [400, 414, 431], why: '10 KB of path' },
  { path: '/favicon.ico', codes: [404], why: 'a browser' },
];

for (const { path, codes, why } of hostile) {
  test(`refused with a line of text and no foreign header: ${why}`, async (t) => {
    const served = await serve(t);
    const got = await ask(served, path);
    assert.ok(codes.includes(got.code), `${got.code}`);
    assert.ok(!Object.keys(got.headers).some((name) => name.includes('evil')));
    assert.match(got.body, /^[\x20-\x7e\n]*$/);
    assert.equal((await ask(served, '/healthz')).code, 200);
  });
}

test('a login that turns out wrong after its request was refused for another reason ends nothing', async (t) => {
  const wrong = async () => {
    await new Promise(setImmediate);
    throw new Forbidden('cannot give that: the login is wrong');
  };
  const module = parseModulePath('example.com/a');
  const about = { name: 'other', methods: ['GET'], isLook: false, answer: async () => {} } as const;
  const routes: Record<string, Route> = {
    '/module': { ...about, module },
    '/admit': { ...about, module: undefined, admit: wrong },
    '/both': {
      ...about,
      module,
      admit: () => {
        throw new Forbidden('cannot show that: the request comes from another web page');
      },
    },
  };
  const server = new Server({
    endpoints: [{ route: ({ url }) => routes[url] }],
    access: { decide: wrong, recalls: () => false, isTrusted: () => false },
    hosts: new OwnHosts([]),
    bodies: { bodyNow: () => undefined },
    events: new SeenEvents(),
    clientStallMs: 60_000,
    connectionsMax: Infinity,
  });
  const port = await listen(t, server);
  const headers = { 'content-length': '1000000' };
  assert.equal((await ask({ port }, '/module', { headers })).code, 413);
  assert.equal((await ask({ port }, '/admit', { headers })).code, 413);
  assert.equal((await ask({ port }, '/both')).code, 403);
  assert.equal((await ask({ port }, '/module')).code, 403, 'the process is alive');
});

test('a host that is not ours gets nothing, from memory neither', async (t) => {
  const served = await serve(t);
  offer(served, 'out of memory');
  served.answers.set('example.com/a/@v/list', answer('v1.0.0\n', { kind: 'list' }));
  for (const path of [`/${MOD}`, '/example.com/a/@v/list', '/metrics', '/readyz', '/healthz', '/%ff', '/']) {
    for (const method of ['GET', 'HEAD', 'POST']) {
      const got = await ask(served, path, { method, headers: { host: 'evil.example:8080' } });
      assert.equal(got.code, 421, `${method} ${path}`);
      const text =
        'cannot answer for host "evil.example:8080": not a name of this Astera; add it to --hosts\n';
      assert.equal(got.body, method === 'HEAD' ? '' : text);
    }
  }
  assert.deepEqual(served.asked, []);
  for (const host of ['goproxy.example.com', 'localhost:80', '127.0.0.1']) {
    assert.equal((await ask(served, `/${MOD}`, { headers: { host } })).code, 200, host);
    assert.equal((await ask(served, '/metrics', { headers: { host } })).code, 200, host);
  }
});

test('who must not go out says so by path or by header', async (t) => {
  const served = await serve(t);
  served.answers.set(MOD, answer(TEXT));
  await ask(served, `/${MOD}`);
  await ask(served, `/cached-only/${MOD}`);
  await ask(served, `/${MOD}`, { headers: { 'disable-module-fetch': 'true' } });
  await ask(served, `/${MOD}`, { headers: { 'disable-module-fetch': ' T ' } });
  await ask(served, `/${MOD}`, { headers: { 'disable-module-fetch': '0' } });
  await ask(served, `/mod/${MOD}`, { headers: { via: '1.1 other' } });
  assert.deepEqual(
    served.asked.map(({ mayFetch, via }) => [mayFetch, via]),
    [
      [true, undefined],
      [false, undefined],
      [false, undefined],
      [false, undefined],
      [true, undefined],
      [true, '1.1 other'],
    ],
  );
});

for (const [why, via] of [
  ['was here before', '1.1 astera-other, 1.1 astera-me'],
  ['has passed four Asteras', '1.1 astera-a, 1.1 astera-b, 1.1 astera-c, 1.1 astera-d'],
  ['has a Via without end', '1.1 mirror, '.repeat(200)],
] as const) {
  test(`a request that ${why} is 508 before any service hears of it, unless it must not go out`, async (t) => {
    const served = await serve(t);
    served.answers.set(MOD, answer(TEXT));
    const headers = { via };
    assert.equal((await ask(served, `/${MOD}`, { headers })).code, 508);
    assert.deepEqual(served.asked, []);
    assert.equal((await ask(served, `/cached-only/${MOD}`, { headers })).code, 200);
  });
}

test('our own paths answer, and readiness tells why not', async (t) => {
  let why: string | undefined;
  const served = await serve(t, { notReady: async () => why });
  const bodies = await Promise.all(['/healthz', '/readyz', '/metrics'].map((path) => ask(served, path)));
  assert.deepEqual(
    bodies.map(({ code, body }) => `${code} ${body}`),
    ['200 ok\n', '200 ready\n', '200 astera_up 1\n'],
  );
  why = 'disk is full: 3 MiB free, 64 kept back';
  const got = await ask(served, '/readyz');
  assert.deepEqual([got.code, got.body], [503, `${why}\n`]);
  assert.equal((await ask(served, '/healthz')).code, 200);
});

/** A body in pieces of 64 KiB; counts those asked for, and may fail or wait at an offset. */
function bodyOf(size: number, at: Partial<Record<number, Error | Promise<void>>> = {}, isSized = true) {
  const state = { pieces: 0, isClosed: false, isSizeKnown: isSized };
  const body: ByteStream = {
    get size() {
      return state.isSizeKnown ? size : undefined;
    },
    at: async (offset) => {
      state.pieces++;
      if (offset >= size - PIECE) state.isSizeKnown = true;
      const what = at[offset];
      if (what instanceof Error) throw what;
      await what;
      return new Uint8Array(Math.min(PIECE - (offset % PIECE), size - offset)).fill(offset / PIECE);
    },
    close: () => {
      state.isClosed = true;
    },
  };
  return { body, state };
}

const PIECE = 64 * 1024;

for (const isSized of [true, false]) {
  test(`a body in pieces arrives whole, ${isSized ? 'with' : 'without'} a length`, async (t) => {
    const served = await serve(t);
    const { body } = bodyOf(40 * PIECE, {}, isSized);
    served.answers.set(MOD, answer('', { body, size: body.size, sha256: undefined, kind: 'zip' }));
    const got = await ask(served, `/${MOD}`);
    assert.equal(got.headers['content-length'], isSized ? String(40 * PIECE) : undefined);
    assert.equal(got.body.length, 40 * PIECE);
    for (let i = 0; i < 40; i++) assert.equal(got.body.charCodeAt(i * PIECE + 5), i);
  });

  test(`a body that breaks off is no clean end, ${isSized ? 'with' : 'without'} a length`, async (t) => {
    const served = await serve(t);
    const { body } = bodyOf(40 * PIECE, { [10 * PIECE]: new UpstreamDown('gone') }, isSized);
    served.answers.set(MOD, answer('', { body, size: body.size, sha256: undefined, kind: 'zip' }));
    await assert.rejects(ask(served, `/${MOD}`), /aborted|ECONNRESET|socket hang up/);
    assert.ok(served.events.seen.includes(`brokeOff /${MOD}`));
  });
}

const ends: { size: number | undefined; isWhole: boolean; why: string }[] = [
  { size: 0, isWhole: true, why: 'an empty one' },
  { size: PIECE, isWhole: true, why: 'where it says that it ends' },
  { size: PIECE + 1, isWhole: false, why: 'a byte before that' },
  { size: undefined, isWhole: false, why: 'where nobody knows its length' },
];

for (const { size, isWhole, why } of ends) {
  test(`a body without a length at first that gives no more bytes: ${why}`, async (t) => {
    const served = await serve(t);
    const bytes = new Uint8Array(size === 0 ? 0 : PIECE);
    let sizeNow: number | undefined;
    const body: ByteStream = {
      get size() {
        return sizeNow;
      },
      at: async (offset) => {
        sizeNow = size;
        return bytes.subarray(offset);
      },
    };
    served.answers.set(MOD, answer('', { body, size: undefined, sha256: undefined, kind: 'zip' }));
    const asked = ask(served, `/${MOD}`);
    if (isWhole) assert.equal((await asked).body.length, size);
    else await assert.rejects(asked, /aborted|ECONNRESET|socket hang up/);
  });
}

test('a range of a body in pieces begins and ends inside them', async (t) => {
  const served = await serve(t);
  const { body } = bodyOf(10 * PIECE);
  served.answers.set(MOD, answer('', { body, size: body.size, kind: 'zip' }));
  const got = await ask(served, `/${MOD}`, { headers: { range: `bytes=${2 * PIECE - 1}-${4 * PIECE}` } });
  assert.deepEqual([got.code, got.body.length], [206, 2 * PIECE + 2]);
  assert.deepEqual(
    [0, 1, PIECE, PIECE + 1, 2 * PIECE + 1].map((i) => got.body.charCodeAt(i)),
    [1, 2, 2, 3, 4],
  );
});

/** A client that sends its request and then takes nothing. */
async function stuckClient({ port }: { port: number }, path: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await once(socket, 'readable'); // Its head is here; from now on nobody reads.
  return socket;
}

test('a client that takes nothing costs a few pieces, and is cut off in the end', async (t) => {
  const served = await serve(t, { clientStallMs: 200 });
  const { body, state } = bodyOf(4_000 * PIECE);
  served.answers.set(MOD, answer('', { body, size: body.size, kind: 'zip' }));
  const socket = await stuckClient(served, `/${MOD}`);
  t.after(() => socket.destroy());
  while (!served.events.seen.includes(`brokeOff /${MOD}`))
    await new Promise((resolve) => setTimeout(resolve, 20));
  // Kernel buffers on both ends of loopback take some MiB; the rest is not even asked for.
  assert.ok(state.pieces < 400, `${state.pieces} pieces of ${body.size} bytes asked for`);
  assert.equal(state.isClosed, true);
});

test('a client whose body waits for more is not cut off, whatever it was slow to take before', async (t) => {
  const clientStallMs = 500;
  const served = await serve(t, { clientStallMs });
  const [asked, more] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let [pieces, isWaiting, end] = [0, false, 0];
  const body: ByteStream = {
    get size() {
      return isWaiting ? end : undefined;
    },
    at: async (offset) => {
      pieces++;
      if (!isWaiting) return new Uint8Array(PIECE);
      asked.resolve();
      end ||= offset + 100;
      await more.promise;
      return new Uint8Array(end - offset);
    },
  };
  served.answers.set(MOD, answer('', { body, size: undefined, sha256: undefined, kind: 'zip' }));
  const socket = await stuckClient(served, `/${MOD}`);
  for (let before = -1; before !== pieces; ) {
    before = pieces;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  isWaiting = true; // The next look at the blocked socket finds nothing to send.
  await asked.promise;
  const isWhole = new Promise<boolean>((resolve) => {
    let last = '';
    socket.on('data', (part: Buffer) => {
      last = (last + part.toString('latin1')).slice(-7);
      if (last === '\r\n0\r\n\r\n') resolve(true);
    });
    socket.on('close', () => resolve(false));
  });
  await new Promise((resolve) => setTimeout(resolve, 3 * clientStallMs));
  more.resolve();
  assert.ok(await isWhole);
  socket.destroy();
});

test('a client that hangs up ends its body and nothing else', async (t) => {
  const served = await serve(t);
  const { body, state } = bodyOf(4_000 * PIECE);
  served.answers.set(MOD, answer('', { body, size: body.size, kind: 'zip' }));
  const socket = await stuckClient(served, `/${MOD}`);
  socket.destroy();
  while (!state.isClosed) await new Promise((resolve) => setImmediate(resolve));
  const { pieces } = state;
  assert.equal((await ask(served, '/healthz')).code, 200);
  assert.equal(state.pieces, pieces, 'no piece for nobody');
});

test('a client that hangs up before its answer is there harms nobody', async (t) => {
  const served = await serve(t);
  const ready = Promise.withResolvers<Answer>();
  served.answers.set(MOD, () => ready.promise);
  const socket = connect(served.port, '127.0.0.1');
  socket.write(`GET /${MOD} HTTP/1.1\r\nHost: x\r\n\r\n`);
  while (served.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  await ask(served, '/healthz');
  ready.resolve(answer(TEXT));
  await ask(served, '/healthz');
  assert.deepEqual(served.events.seen, []);
});

test('a port in use is not shared', async (t) => {
  const first = await serve(t);
  const second = bareServer();
  assert.equal(await second.listen({ kind: 'tcp', host: '127.0.0.1', port: first.port }), undefined);
  await second.stop(0);
});

test('a Unix socket in use, or a file in its place, is left alone; a dead one is taken over', async (t) => {
  const directory = tempDir(t);
  const path = join(directory, 'a.sock');
  const at = { kind: 'unix', path } as const;
  const operations = new OperationsEndpoint({
    metricsText: async () => '',
    notReady: async () => undefined,
    access,
  });
  const [first, second] = [bareServer([operations]), bareServer([operations])];
  assert.equal(await first.listen(at), 0);
  assert.equal(await second.listen(at), undefined);
  assert.equal((await ask({ socketPath: path }, '/healthz')).code, 200);
  // What a killed server leaves: the socket under another name outlives its listener.
  const dead = join(directory, 'dead.sock');
  linkSync(path, dead);
  await first.stop(0);
  assert.equal(existsSync(path), false);
  assert.equal(await second.listen({ kind: 'unix', path: dead }), 0);
  assert.equal((await ask({ socketPath: dead }, '/healthz')).code, 200);
  await second.stop(0);
  writeFileSync(path, 'precious');
  assert.equal(await bareServer().listen(at), undefined);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
});

test('without a host it listens on every interface, at the very port that was asked for', async (t) => {
  const first = await serve(t);
  await first.server.stop(0); // Its port is free now, as far as anyone can know.
  const { server } = await serve(t);
  assert.equal(await server.listen({ kind: 'tcp', host: '', port: first.port }), first.port);
  assert.equal((await ask({ port: first.port }, '/healthz')).code, 200);
});

test('stopping lets answers in flight end, and takes no new ones', async (t) => {
  const served = await serve(t);
  const ready = Promise.withResolvers<Answer>();
  served.answers.set(MOD, () => ready.promise);
  const asking = ask(served, `/${MOD}`);
  while (served.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const stopping = served.server.stop(60_000);
  await assert.rejects(ask(served, '/healthz'), /ECONNREFUSED|ECONNRESET/);
  ready.resolve(answer(TEXT));
  assert.equal((await asking).body, TEXT);
  await stopping;
});

test('stopping does not wait for ever', async (t) => {
  const served = await serve(t);
  served.answers.set(MOD, () => new Promise(() => {}));
  const asking = assert.rejects(ask(served, `/${MOD}`));
  while (served.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await served.server.stop(10);
  await asking;
});

test('several listeners, plain and TLS, have the same endpoints, and end together', async (t) => {
  const { certPath, keyPath } = makeCertificate(t);
  const served = await serve(t);
  served.hot.set(MOD, hotFile(TEXT));
  const port = await listen(t, served.server, { certPath, keyPath });
  const ca = readFileSync(certPath);
  const get = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const asking = getSecurely({ host: '127.0.0.1', port, path, ca, agent: false }, async (res) => {
        let body = '';
        for await (const part of res) body += part;
        resolve(`${res.statusCode} ${body}`);
      });
      asking.on('error', reject);
    });
  assert.deepEqual([await get('/healthz'), await get(`/${MOD}`)], ['200 ok\n', `200 ${TEXT}`]);
  assert.equal((await ask(served, `/${MOD}`)).body, TEXT);
  await served.server.stop(0);
  await assert.rejects(get('/healthz'), /ECONNREFUSED/);
  await assert.rejects(ask(served, '/healthz'), /ECONNREFUSED/);
});

test('a renewed certificate is for new connections; open ones go on, and a bad one changes nothing', async (t) => {
  const { server } = await serve(t);
  const [first, second] = [makeCertificate(t), makeCertificate(t)];
  const files = { certPath: join(tempDir(t), 'cert.pem'), keyPath: join(tempDir(t), 'key.pem') };
  const put = ({ certPath, keyPath }: Tls) => {
    writeFileSync(files.certPath, readFileSync(certPath));
    writeFileSync(files.keyPath, readFileSync(keyPath));
  };
  put(first);
  const port = await listen(t, server, files);
  const agents = [first, second].map(({ certPath }) => {
    return new Agent({ ca: readFileSync(certPath), keepAlive: true, maxSockets: 1 });
  });
  const get = (agent: Agent | undefined) =>
    new Promise<number | undefined>((resolve, reject) => {
      const asking = getSecurely({ host: '127.0.0.1', port, path: '/healthz', agent }, (res) => {
        res.resume().on('end', () => resolve(res.statusCode));
      });
      asking.on('error', reject);
    });
  const [before, after] = agents;
  assert.equal(await get(before), 200);
  await assert.rejects(get(after), /certificate/);

  writeFileSync(files.keyPath, 'no key');
  await assert.rejects(server.renewCertificates());
  assert.equal(await get(new Agent({ ca: readFileSync(first.certPath) })), 200, 'the one from before');

  put(second);
  assert.equal(await server.renewCertificates(), 1);
  assert.equal(await get(before), 200, 'its connection is open still');
  await assert.rejects(get(new Agent({ ca: readFileSync(first.certPath) })), /certificate/);
  assert.equal(await get(after), 200);
  assert.equal(await server.renewCertificates(), 1, 'any number of times');
  assert.equal(await get(new Agent({ ca: readFileSync(second.certPath) })), 200);

  const other = bareServer();
  t.after(() => other.stop(0));
  const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
  assert.equal(await other.listen(address, second), undefined, 'no second server shares the port');
  for (const agent of agents) agent.destroy();
  await server.stop(0);
  await assert.rejects(get(new Agent({})), /ECONNREFUSED/);
});

test('TLS files that are none are refused', async (t) => {
  const missing = join(tempDir(t), 'none.pem');
  const tls = { certPath: missing, keyPath: missing };
  await assert.rejects(bareServer().listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, tls));
});

test('connections past the bound are closed as they come, and those within it are served', async (t) => {
  const served = await serve(t, { connectionsMax: 3 });
  const refused: string[] = [];
  served.events.connectionRefused = (open) => void refused.push(`${open}`);
  const within = await Promise.all([1, 2, 3].map(() => opened(served)));
  const beyond = await opened(served);
  await once(beyond, 'close');
  assert.deepEqual(refused, ['3']);
  const [first, ...others] = within;
  first?.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  if (first !== undefined) assert.match(String((await once(first, 'data'))[0]), /^HTTP\/1.1 200 OK/);
  first?.destroy();
  // The server has seen it go when another one is let in.
  while ((await ask(served, '/healthz').catch(() => undefined))?.code !== 200);
  for (const socket of others) socket.destroy();
});

async function opened({ port }: { port: number }): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}).resume();
  await once(socket, 'connect');
  return socket;
}

test('TLS connections past the bound are closed too', async (t) => {
  const tls = makeCertificate(t);
  const server = bareServer([], new SeenEvents(), 1);
  const port = await listen(t, server, tls);
  const [within, beyond] = [await opened({ port }), await opened({ port })];
  await once(beyond, 'close');
  within.destroy();
});
