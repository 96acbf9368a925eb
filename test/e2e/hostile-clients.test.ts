// Goal: nothing a client sends brings the server down, makes it grow, or keeps others from being served.
// Method: raw sockets against one real server, one kind of abuse after the other, real requests beside
// them; each answer must be the right status with one line of text, or uWebSockets' own. At the end the
// server's memory and descriptors are compared with what they were.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Astera, total } from '../support/astera.ts';
import { type FaultyFile, FaultyUpstream } from '../support/faulty-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { ask, dial, hear, say } from '../support/raw-client.ts';

const IDLE_CONNECTIONS = 5_000;
const MADE_UP_PATHS = 100_000;
const ROUND = 10_000;

/** What heaps keep of the peaks of these tests: 58 to 71 MB are seen. A leak of 1 kB a made-up path would be 100 MB more. */
const KEPT_BYTES_MAX = 110_000_000;

/** uWebSockets ends a response after so long without a write. */
const UWS_PATIENCE_MS = 12_000;

const module = { path: 'real.example/m', version: 'v1.0.0', contentBytes: 3_000_000 };
const base = `${module.path}/@v/${module.version}`;
const files = madeUpFiles(module);

let upstream: FaultyUpstream;
let astera: Astera;
let atFirst: Cost;

type Cost = { readonly anonBytes: number; readonly mappedBytes: number; readonly descriptors: number };

before(async () => {
  upstream = await FaultyUpstream.start();
  for (const kind of ['info', 'mod', 'zip'] as const) {
    upstream.serve(`${base}.${kind}`, { bytes: files[kind], etag: `"${kind}"` });
  }
  astera = await Astera.start({
    ...{
      upstream: upstream.url,
      flags: ['--verify', 'off', '--cache-memory', '16MiB', '--cache-weak', '16MiB'],
    },
  });
  // What every server has after its first hour: code compiled, caches full, the store's pages mapped.
  await assertServing();
  for (let done = 0; done < MADE_UP_PATHS / 2; done += ROUND) await askForMadeUp(ROUND, `warm${done}`);
  atFirst = await cost();
});

after(async () => {
  await astera.dispose();
  await upstream.close();
});

/** Real keys are served. */
async function assertServing(): Promise<void> {
  for (const kind of ['info', 'mod', 'zip'] as const) {
    const { status, body, isWhole } = await ask(`${astera.url}/${base}.${kind}`);
    assert.ok(status === 200 && isWhole && body.equals(files[kind]), `${kind}: ${status}\n${astera.log}`);
  }
}

/** After what was freed had time to go: two looks, with the cache's time between them. */
async function cost(): Promise<Cost> {
  for (let look = 0; look < 2; look++) await astera.metrics();
  const status = readFileSync(`/proc/${astera.pid}/status`, 'utf8');
  const bytesOf = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return {
    anonBytes: bytesOf('RssAnon'),
    mappedBytes: bytesOf('RssFile'),
    descriptors: readdirSync(`/proc/${astera.pid}/fd`).length,
  };
}

const get11 = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;

type Abuse = {
  readonly why: string;
  readonly bytes: string | Uint8Array;
  /** Statuses that are right; 0: the connection is closed without an answer. */
  readonly is: readonly number[];
};

/** What uWebSockets answers by itself, before anybody is asked. */
const OWN = [400, 431, 505];

const abuses: readonly Abuse[] = [
  { why: 'climbs', bytes: get11('/../../etc/passwd'), is: [400, 404] },
  { why: 'climbs in a module path', bytes: get11('/github.com/../../etc/@v/list'), is: [400] },
  { why: 'climbs, encoded', bytes: get11('/github.com/%2e%2e/%2e%2e/x/@v/list'), is: [400] },
  { why: 'climbs, slashes encoded', bytes: get11('/github.com%2f..%2f..%2fx/@v/list'), is: [400] },
  { why: 'climbs, encoded twice', bytes: get11('/github.com/%252e%252e/x/@v/list'), is: [400] },
  { why: 'climbs in a version', bytes: get11('/github.com/x/@v/..%2f..%2fa.mod'), is: [400, 404] },
  { why: 'climbs behind /cached-only', bytes: get11('/cached-only/../../a.db'), is: [400, 404] },
  { why: 'climbs in a database name', bytes: get11('/sumdb/../../x/latest'), is: [400, 404] },
  { why: 'bad escape', bytes: get11('/github.com/%zz/@v/list'), is: [400] },
  { why: 'half an escape', bytes: get11('/github.com/x%/@v/list'), is: [400] },
  { why: 'escape of no UTF-8', bytes: get11('/github.com/%ff%fe/@v/list'), is: [400] },
  { why: 'over-long UTF-8', bytes: get11('/github.com/%c0%ae%c0%ae/@v/list'), is: [400] },
  { why: 'raw capitals', bytes: get11('/github.com/Azure/x/@v/list'), is: [400] },
  { why: 'a dangling bang', bytes: get11('/github.com/x!/@v/list'), is: [400] },
  { why: 'a banged capital', bytes: get11('/github.com/!A/@v/list'), is: [400] },
  { why: 'NUL, encoded', bytes: get11('/github.com/x%00y/@v/list'), is: [400] },
  { why: 'line feed, encoded', bytes: get11('/github.com/x%0ay/@v/v1.0.0%0a.info'), is: [400] },
  { why: 'header injection, encoded', bytes: get11('/github.com/x%0d%0aSet-Cookie:y/@v/list'), is: [400] },
  { why: 'NUL, raw', bytes: get11('/github.com/x\0y/@v/list'), is: OWN },
  { why: 'control bytes, raw', bytes: get11('/github.com/x\x01\x1b[2Jy/@v/list'), is: OWN },
  { why: 'high bytes, raw', bytes: Buffer.from(get11('/github.com/x\xe9y/@v/list'), 'latin1'), is: [400] },
  { why: '10 KB of path', bytes: get11(`/github.com/${'x'.repeat(10_000)}/@v/list`), is: [400] },
  { why: '100 KB of path', bytes: get11(`/github.com/${'x'.repeat(100_000)}/@v/list`), is: [431] },
  { why: '100 KB of one header', bytes: get11('/healthz', `X: ${'y'.repeat(100_000)}\r\n`), is: [431] },
  { why: '10,000 headers', bytes: get11('/healthz', 'X: y\r\n'.repeat(10_000)), is: [431] },
  {
    why: 'a Via without end',
    bytes: get11(`/${base}.mod`, `Via: ${'1.1 a, '.repeat(1000)}\r\n`),
    is: [200, 508],
  },
  { why: 'HTTP/1.0', bytes: `GET /${base}.mod HTTP/1.0\r\n\r\n`, is: [505] },
  { why: 'HTTP/9.9', bytes: `GET /${base}.mod HTTP/9.9\r\nHost: x\r\n\r\n`, is: OWN },
  { why: 'no host', bytes: `GET /${base}.mod HTTP/1.1\r\n\r\n`, is: [0, 400] },
  { why: 'no HTTP', bytes: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', is: OWN },
  { why: 'a URL as a proxy is asked', bytes: get11(`http://x/${base}.mod`), is: OWN },
  { why: 'CONNECT', bytes: 'CONNECT a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n', is: OWN },
  { why: 'OPTIONS of nothing', bytes: 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', is: OWN },
  { why: 'HTTP/2 at once', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', is: OWN },
  { why: 'line feeds alone', bytes: `GET /${base}.mod HTTP/1.1\nHost: x\n\n`, is: OWN },
  { why: 'an upgrade', bytes: get11('/healthz', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'), is: [200] },
  { why: 'a fragment', bytes: get11(`/${base}.mod#x`), is: [404] },
  { why: 'two slashes', bytes: get11(`//${base}.mod`), is: [400] },
  { why: 'a method in small letters', bytes: `get /${base}.mod HTTP/1.1\r\nHost: x\r\n\r\n`, is: [405] },
  { why: 'TRACE', bytes: `TRACE /${base}.mod HTTP/1.1\r\nHost: x\r\n\r\n`, is: [405] },
  { why: 'a body with a GET', bytes: `${get11(`/${base}.mod`, 'Content-Length: 3\r\n')}abc`, is: [200] },
  { why: 'two Ranges', bytes: get11(`/${base}.mod`, 'Range: bytes=0-1\r\nRange: bytes=2-3\r\n'), is: [206] },
  {
    why: 'two tags',
    bytes: get11(`/${base}.mod`, 'If-None-Match: "a"\r\nIf-None-Match: "b"\r\n'),
    is: [200],
  },
  { why: 'a method of its own', bytes: `BREW /${base}.mod HTTP/1.1\r\nHost: x\r\n\r\n`, is: [405] },
  { why: 'a long method', bytes: `${'M'.repeat(300)} /x HTTP/1.1\r\nHost: x\r\n\r\n`, is: [405] },
  { why: 'POST', bytes: `POST /${base}.mod HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc`, is: [405] },
  {
    why: 'smuggling',
    bytes: get11('/healthz', 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'),
    is: [400],
  },
  { why: 'a negative length', bytes: get11('/healthz', 'Content-Length: -3\r\n'), is: [400] },
  ...[
    { range: 'bytes=99999999999-', is: 416 },
    { range: 'bytes=0-99999999999999999999999', is: 200 },
    { range: 'bytes=-0', is: 416 },
    { range: 'bytes=5-2', is: 200 },
    { range: 'bytes=-', is: 200 },
    { range: 'bytes=a-b', is: 200 },
    { range: `bytes=${'0-0,'.repeat(1000)}0-0`, is: 200 },
    { range: 'lines=1-2', is: 200 },
    { range: 'bytes=-99999999', is: 206 },
  ].map(({ range, is }) => ({
    ...{ why: `Range: ${range.slice(0, 30)}`, bytes: get11(`/${base}.mod`, `Range: ${range}\r\n`), is: [is] },
  })),
];

test('malformed requests get the right status with one line of text', async () => {
  const answers = await Promise.all(abuses.map(({ bytes }) => say(astera.url, bytes)));
  for (const [at, { why, is }] of abuses.entries()) {
    const answer = answers[at] ?? '';
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
    assert.ok(is.includes(status), `${why}: ${JSON.stringify(answer.slice(0, 300))}`);
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    assert.doesNotMatch(head, /set-cookie/i, why);
    if (status < 400 || /uWebSockets\/20 Server/.test(body)) continue;
    assert.match(head, /content-type: text\/plain/i, why);
    assert.match(body, /^[\x20-\x7e]{5,650}\n$/, why);
  }
  await assertServing();
});

test('requests pipelined, in one packet and byte by byte', async () => {
  const mod = files.mod.toString();
  const two = get11(`/${base}.mod`) + get11('/healthz');
  // Only not within these two: cut there, uWebSockets takes the line for one of another HTTP.
  for (const bytes of [[two], two.match(/GET \/| HTTP\/1\.1\r\n|[\s\S]/g) ?? []]) {
    const socket = await dial(astera.url);
    const heard = hear(socket, (text) => text.endsWith('ok\n'));
    for (const part of bytes) {
      socket.write(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const text = await heard;
    socket.destroy();
    // Behind one that takes its time it may be closed instead; both here are answered at once.
    assert.ok(text.includes(mod) && text.endsWith('ok\n'), JSON.stringify(text.slice(0, 500)));
  }
});

test('half-closed connections end, with an answer or without', async () => {
  for (const bytes of [get11(`/${base}.zip`), get11('/healthz'), 'GET /', '']) {
    const socket = await dial(astera.url);
    const heard = hear(socket);
    socket.end(bytes);
    await heard;
    socket.destroy();
  }
  await assertServing();
});

test('thousands of clients that hang up in the middle of an answer', async () => {
  for (let round = 0; round < 20; round++) {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => dial(astera.url)));
    for (const [at, socket] of sockets.entries()) {
      socket.write(get11(`/${base}.${at % 2 === 0 ? 'zip' : 'mod'}`));
      if (at % 3 === 0) socket.resetAndDestroy();
    }
    await delay(5);
    for (const socket of sockets) socket.destroy();
  }
  await assertServing();
});

test(`${IDLE_CONNECTIONS} idle connections, and some that speak a byte at a time, keep nobody out`, async () => {
  const sockets: Socket[] = [];
  while (sockets.length < IDLE_CONNECTIONS) {
    const more = await Promise.all(Array.from({ length: 250 }, () => dial(astera.url)));
    sockets.push(...more);
  }
  const slow = sockets.slice(0, 500);
  const request = get11(`/slow.example/${'x'.repeat(40)}/@v/list`);
  for (let byte = 0; byte < 40; byte++) {
    for (const socket of slow) socket.write(byte === 0 ? 'GET /' : request.charAt(4 + byte));
    if (byte % 10 === 0) await assertServing();
    await delay(5);
  }
  const { descriptors } = await cost();
  assert.ok(descriptors >= IDLE_CONNECTIONS, `only ${descriptors} were there`);
  for (const socket of sockets) socket.destroy();
  await until(async () => (await cost()).descriptors < 200);
  await assertServing();
});

test(`${MADE_UP_PATHS} made-up paths: memory stays bounded, and real keys are served meanwhile`, async () => {
  for (let done = MADE_UP_PATHS / 2; done < MADE_UP_PATHS; done += ROUND) {
    await Promise.all([askForMadeUp(ROUND, `round${done}`), assertServing()]);
  }
  const metrics = await astera.metrics();
  assert.ok(total(metrics, 'astera_weak_cache_bytes') <= 40 * 1024 * 1024);
});

test('clients and an upstream that pause for longer than uWebSockets waits: all get the whole', async () => {
  const half = { pieceBytes: Math.ceil(coming.length / 2), pauseMs: UWS_PATIENCE_MS };
  upstream.serve('coming.example/m/@v/v1.0.0.zip', { bytes: coming, isChunked: true, ...half });
  const stored = await open(`${astera.url}/${base}.zip`);
  const pausing = await open(`${astera.url}/coming.example/m/@v/v1.0.0.zip`);
  const waiting = ask(`${astera.url}/coming.example/m/@v/v1.0.0.zip`);
  await delay(UWS_PATIENCE_MS);
  assert.ok((await readAll(stored)).equals(files.zip));
  const [one, other] = await Promise.all([readAll(pausing), waiting]);
  assert.ok(one.equals(coming) && other.isWhole && other.body.equals(coming));
});

/** About as much as the kernel holds of one answer on loopback, which is not the same on all machines. */
const KERNEL_BYTES = [2_600_000, 3_400_000, 4_000_000, 4_600_000];

/** A client's line: 60 kB/s. */
const SLOW = { pieceBytes: 6_000, pauseMs: 100 };

type SlowCase = { readonly why: string; readonly contentBytes: number; readonly file: FaultyFile };

const slowCases = [false, true].flatMap((isChunked): SlowCase[] => [
  { why: 'more than the kernel holds', contentBytes: 8_000_000, file: { isChunked } },
  ...KERNEL_BYTES.map((contentBytes) => ({
    ...{ why: 'all of it is on its way early', contentBytes, file: { isChunked } },
  })),
  ...KERNEL_BYTES.map((pieceBytes) => ({
    why: 'the kernel takes all there is, and the upstream pauses',
    contentBytes: 2 * pieceBytes - 100_000,
    file: { isChunked, pieceBytes, pauseMs: UWS_PATIENCE_MS + 6_000 },
  })),
]);

test('clients of 60 kB/s get the whole, with a length or without', async () => {
  await Promise.all(
    slowCases.map(async ({ why, contentBytes, file }, nth) => {
      const slow = { path: `slow.example/m${nth}`, version: 'v1.0.0', contentBytes };
      const { zip } = madeUpFiles(slow);
      upstream.serve(`${slow.path}/@v/v1.0.0.zip`, { ...file, bytes: zip });
      const response = await open(`${astera.url}/${slow.path}/@v/v1.0.0.zip`);
      const got = await readSlowly(response, UWS_PATIENCE_MS + 8_000);
      assert.ok(got.equals(zip), `${why}: ${got.length} of ${zip.length} bytes: ${JSON.stringify(file)}`);
    }),
  );
});

/** At a slow line's rate for so long, then at once. What came before a cut, if there is one. */
async function readSlowly(response: IncomingMessage, slowMs: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let isOver = false;
  response
    .on('error', () => {})
    .on('close', () => {
      isOver = true;
    });
  for (const endMs = performance.now() + slowMs; performance.now() < endMs && !isOver; ) {
    const part: unknown = response.read(SLOW.pieceBytes) ?? response.read();
    if (part instanceof Buffer) parts.push(part);
    await delay(SLOW.pauseMs);
  }
  response.on('data', (part: Buffer) => parts.push(part));
  while (!isOver) await delay(SLOW.pauseMs);
  return Buffer.concat(parts);
}

const coming = madeUpFiles({ path: 'coming.example/m', version: 'v1.0.0', contentBytes: 8_000_000 }).zip;

test('a client that takes no byte for --client-stall is cut off', async () => {
  upstream.serve('coming.example/m/@v/v1.0.0.zip', { bytes: coming, isChunked: true });
  const impatient = await Astera.start({
    ...{ upstream: upstream.url, flags: ['--verify', 'off', '--client-stall', '1s'] },
  });
  try {
    for (const url of [`${impatient.url}/coming.example/m/@v/v1.0.0.zip`, `${impatient.url}/${base}.zip`]) {
      assert.equal((await ask(url)).isWhole, true, 'who reads on is not');
      const socket = await dial(url);
      socket.pause();
      socket.write(get11(new URL(url).pathname));
      const before = readdirSync(`/proc/${impatient.pid}/fd`).length;
      await until(async () => readdirSync(`/proc/${impatient.pid}/fd`).length < before);
      socket.destroy();
    }
  } finally {
    await impatient.dispose();
  }
});

test('memory and descriptors are what they were', async (t) => {
  await assertServing();
  const now = await cost();
  const grown = `${mb(atFirst.anonBytes)} -> ${mb(now.anonBytes)} MB`;
  t.diagnostic(
    `memory ${grown}, files mapped ${mb(atFirst.mappedBytes)} -> ${mb(now.mappedBytes)} MB, descriptors ${atFirst.descriptors} -> ${now.descriptors}`,
  );
  assert.ok(now.anonBytes - atFirst.anonBytes <= KEPT_BYTES_MAX, grown);
  assert.ok(now.descriptors <= 1.1 * atFirst.descriptors, `${atFirst.descriptors} -> ${now.descriptors}`);
  assert.doesNotMatch(astera.log, /bug|worker died|internal error/);
  await astera.stop();
});

/** So many paths that are well-formed and lead nowhere, 50 at a time over connections that stay. */
async function askForMadeUp(count: number, name: string): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  let next = 0;
  const client = async () => {
    while (next < count) {
      const path = `/made-up.example/${name}/m${next++}/@v/${next % 2 === 0 ? 'list' : 'v1.0.0.mod'}`;
      const response = await open(astera.url + path, agent);
      response.resume();
      await once(response, 'close');
      assert.equal(response.statusCode, 404, path);
    }
  };
  await Promise.all(Array.from({ length: 50 }, client));
  agent.destroy();
}

/** A request whose head is there; the body is not read. */
async function open(url: string, agent: Agent | false = false): Promise<IncomingMessage> {
  const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage];
  return response;
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await delay(50);
}

function mb(bytes: number): number {
  return Math.round(bytes / 1e6);
}
