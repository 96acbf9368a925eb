// Goal: a server that is slow, wrong or gone is a miss, and one that works shares what was put.
// Method: a real HTTP server on loopback whose answers each test makes up.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { OUTPUT_ID_HEADER, SIZE_HEADER, TIME_HEADER } from '../../src/core/build-cache-wire.ts';
import { MiB } from '../../src/core/limits.ts';
import { decodePuts, PUT_OUTCOME, PUTS_OUTPUT_BYTES_MAX } from '../../src/core/puts-wire.ts';
import { HOST_MARK } from '../../src/plugin/host-bound.ts';
import { PLUGIN_NEAR_MS, PLUGIN_WHOLE_MS } from '../../src/plugin/limits.ts';
import { Line } from '../../src/plugin/line.ts';
import { LocalCache } from '../../src/plugin/local-cache.ts';
import { RemoteCache, type RemoteOptions } from '../../src/plugin/remote-cache.ts';
import { Uploads } from '../../src/plugin/uploads.ts';
import { makeCertificate } from '../support/certificate.ts';
import { CHECKOUT } from '../support/corpus.ts';
import { tempDir } from '../support/temp-dir.ts';

const ACTION = sha256('action');
/** Of several chunks. */
const LONG = 'The same line once more.\n'.repeat(30_000);

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function open(t: TestContext, answer: RequestListener, options: Partial<RemoteOptions> = {}) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url?.slice(0, 14)}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  const url = new URL(`http://127.0.0.1:${port}`);
  const remote = new RemoteCache({
    url,
    token: 'secret',
    timeoutMs: 200,
    shareCgo: 'off',
    host: { actionFor: async () => undefined },
    namespace: 'main',
    signatures: { accepts: () => true, sign: () => undefined },
    now: () => 1_000,
    warn,
    ...options,
  });
  t.after(() => remote.close());
  const local = new LocalCache({
    directory: join(tempDir(t), 'cache'),
    namespace: 'main',
    now: Date.now,
    warn,
  });
  return { remote, local, asked, warnings };
}

function headers(body: string, size = body.length) {
  return { [OUTPUT_ID_HEADER]: sha256(body), [TIME_HEADER]: '1700000000000000000', 'content-length': size };
}

function packedHeaders(size: number) {
  return { 'content-encoding': 'zstd', [SIZE_HEADER]: String(size) };
}

test('a get brings the output in one round trip', async (t) => {
  const { remote, local, asked } = await open(t, (_, response) =>
    response.writeHead(200, headers('body')).end('body'),
  );
  const entry = await remote.get(ACTION, local);
  assert.equal(entry?.outputId, sha256('body'));
  assert.deepEqual(local.get(ACTION), entry);
  assert.equal(asked.length, 1);
});

test('a get does not wait for ever for the look at the headers of this host', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let looks: () => void = () => {};
  const looking = new Promise<void>((resolve) => {
    looks = resolve;
  });
  const actionFor = () => {
    looks();
    return new Promise<undefined>(() => {});
  };
  const mark = HOST_MARK.toString();
  const { remote, local, asked } = await open(
    t,
    (_, response) => response.writeHead(200, headers(mark)).end(mark),
    { shareCgo: 'same-host', host: { actionFor } },
  );
  const got = remote.get(ACTION, local);
  await looking;
  await new Promise(setImmediate);
  t.mock.timers.tick(PLUGIN_WHOLE_MS);
  assert.equal(await got, undefined);
  assert.equal(asked.length, 1);
});

const failures: { why: string; answer: RequestListener }[] = [
  { why: 'another body', answer: (_, response) => response.writeHead(200, headers('body')).end('lies') },
  { why: 'no ID', answer: (_, response) => response.end('<html>') },
  { why: 'an error', answer: (_, response) => response.writeHead(500).end() },
  { why: 'no answer', answer: () => {} },
  { why: 'half a body', answer: (_, response) => void response.writeHead(200, headers('body')).write('bo') },
  {
    why: 'a packed body that is none',
    answer: (_, response) => response.writeHead(200, { ...headers('body'), ...packedHeaders(4) }).end('body'),
  },
  {
    why: 'another packed body',
    answer: (_, response) =>
      response.writeHead(200, { ...headers('body', 13), ...packedHeaders(4) }).end(zstdCompressSync('lies')),
  },
  {
    why: 'a bomb',
    answer: (_, response) => {
      const bomb = zstdCompressSync(Buffer.alloc(16 * 1024 * 1024));
      response.writeHead(200, { ...headers('body', bomb.length), ...packedHeaders(4) }).end(bomb);
    },
  },
  {
    why: 'more packed than was said',
    answer: (_, response) => {
      const body = zstdCompressSync('body and more');
      response.writeHead(200, { ...headers('body', body.length), ...packedHeaders(4) }).end(body);
    },
  },
  {
    why: 'a body cut off',
    answer: (_, response) => response.writeHead(200, headers('body')).write('bo', () => response.destroy()),
  },
];
for (const { why, answer } of failures) {
  test(`a miss, one line, and left alone: ${why}`, async (t) => {
    const { remote, local, asked, warnings } = await open(t, answer);
    assert.equal(await remote.get(ACTION, local), undefined);
    assert.equal(await remote.get(ACTION, local), undefined);
    assert.equal(local.get(ACTION), undefined);
    assert.equal(asked.length, 1);
    assert.equal(warnings.length, 1);
  });
}

/** A server of one output that takes and gives packed bodies, behind a line whose answers take a while. */
async function openFar(t: TestContext) {
  let stored = Buffer.alloc(0);
  const heads: IncomingHttpHeaders[] = [];
  const answer: RequestListener = async (request, response) => {
    heads.push(request.headers);
    const body = Buffer.concat(await request.toArray());
    if (request.method === 'PUT' && body.length > 0) stored = body;
    await delay(2 * PLUGIN_NEAR_MS);
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'PUT') response.writeHead(201).end();
    else if (stored.length === 0) response.writeHead(404).end();
    else {
      const all = { ...headers(LONG, stored.length), ...packedHeaders(LONG.length) };
      response.writeHead(200, all).end(stored);
    }
  };
  const opened = await open(t, answer, { timeoutMs: 5_000 });
  return { ...opened, heads, stored: () => stored };
}

test('over a slow line outputs go packed, a frame for each chunk, and come packed', async (t) => {
  const { remote, local, heads, stored } = await openFar(t);
  const put = local.beginPut({ outputId: sha256(LONG), size: LONG.length });
  put.write(Buffer.from(LONG));
  const entry = put.finish({ actionId: ACTION });
  assert.equal(await remote.put(ACTION, entry), 'stored');
  const [, output] = heads;
  assert.deepEqual([output?.['content-encoding'], output?.[SIZE_HEADER]], ['zstd', String(LONG.length)]);
  assert.ok(stored().length < LONG.length / 4);
  assert.equal(zstdDecompressSync(stored()).toString(), LONG);
  const other = await openFar(t);
  const got = await remote.get(ACTION, other.local);
  assert.equal(readFileSync(got?.path ?? '', 'latin1'), LONG);
  assert.equal(heads.at(-1)?.['accept-encoding'], 'zstd');
});

for (const { why, body } of [
  { why: 'can not be packed', body: randomBytes(5_000) },
  { why: 'is short', body: Buffer.from('short') },
]) {
  test(`over a slow line an output goes plain that ${why}`, async (t) => {
    const { remote, local, stored } = await openFar(t);
    const outputId = createHash('sha256').update(body).digest('hex');
    const put = local.beginPut({ outputId, size: body.length });
    put.write(body);
    assert.equal(await remote.put(ACTION, put.finish({ actionId: ACTION })), 'stored');
    assert.ok(stored().equals(body));
  });
}

for (const { answers, isKnown } of [
  { answers: [], isKnown: false },
  { answers: [12], isKnown: false },
  { answers: [12, 0.9], isKnown: true },
  { answers: [21], isKnown: true },
  { answers: [12, 11, 10], isKnown: false },
  { answers: [12, 11, 10, 12], isKnown: true },
]) {
  test(`a line to loopback is ${isKnown ? 'known' : 'asked for again'} after answers in ${answers.join(', ')} ms`, () => {
    const line = new Line('127.0.0.1');
    for (const ms of answers) line.answered(ms);
    assert.equal(line.isKnown, isKnown);
  });
}

for (const { host, answers, isFar, why } of [
  { host: '127.0.0.1', answers: [], isFar: false, why: 'loopback' },
  { host: '[::1]', answers: [0.4, 30], isFar: false, why: 'loopback on a busy machine' },
  { host: 'localhost', answers: [41, 40], isFar: true, why: 'a tunnel' },
  { host: 'pi', answers: [0.4], isFar: true, why: 'a LAN' },
  { host: '127.example.com', answers: [0.4], isFar: true, why: 'a name' },
]) {
  test(`bodies are ${isFar ? 'packed' : 'plain'} to ${why}`, () => {
    const line = new Line(host);
    for (const ms of answers) line.answered(ms);
    assert.equal(line.isFar, isFar);
  });
}

test("another machine's module index is a miss", async (t) => {
  const body = 'go index v2\n';
  const { remote, local, warnings } = await open(t, (_, response) =>
    response.writeHead(200, headers(body)).write('go ', () => response.end('index v2\n')),
  );
  assert.equal(await remote.get(ACTION, local), undefined);
  assert.deepEqual(warnings, []);
});

for (const size of [4, 100_000]) {
  test(`an entry of ${size} bytes that is not signed as it must be is a miss, and nothing of it is kept`, async (t) => {
    const body = 'x'.repeat(size);
    const seen: unknown[] = [];
    const signatures = {
      accepts: (...args: unknown[]) => seen.push(args) < 0,
      sign: () => undefined,
    };
    const { remote, local, asked, warnings } = await open(
      t,
      (_, response) => response.writeHead(200, { ...headers(body), 'astera-signature': 'one two' }).end(body),
      { signatures },
    );
    for (const _ of [1, 2]) assert.equal(await remote.get(ACTION, local), undefined);
    assert.deepEqual(seen[0], [{ actionId: ACTION, outputId: sha256(body), size }, 'one two']);
    assert.deepEqual([asked.length, warnings], [2, []], 'the server is asked on');
    assert.throws(() => readdirSync(local.ownPath('output')), /ENOENT/);
  });
}

test('namespace and token go with gets and puts, the signature with puts', async (t) => {
  const seen: unknown[] = [];
  const { remote, local } = await open(
    t,
    (request, response) => {
      const { authorization, 'astera-namespace': namespace, 'astera-signature': signature } = request.headers;
      if (request.url?.startsWith('/cache/action/'))
        seen.push([request.method, authorization, namespace, signature]);
      request.resume().on('end', () => response.writeHead(request.method === 'PUT' ? 201 : 404).end());
    },
    { namespace: 'pr/7', signatures: { accepts: () => true, sign: () => 'signed' } },
  );
  await remote.get(ACTION, local);
  const put = local.beginPut({ outputId: sha256('body'), size: 4 });
  put.write(Buffer.from('body'));
  assert.equal(await remote.put(ACTION, put.finish({ actionId: ACTION })), 'stored');
  assert.deepEqual(seen, [
    ['GET', 'Bearer secret', 'pr/7', undefined],
    ['PUT', 'Bearer secret', 'pr/7', 'signed'],
  ]);
});

test('a read that needs a login is a miss, and the one line says what is needed', async (t) => {
  const { remote, local, warnings } = await open(t, (_, response) => response.writeHead(401).end());
  assert.equal(await remote.get(ACTION, local), undefined);
  assert.match(warnings.join('\n'), /^goes on without .*: status 401: .*cache-read.*--token-file$/);
});

/** As an older server answers: it has no output yet, and takes one put at a time. */
function isAbsent({ method }: { readonly method?: string | undefined }): boolean {
  return method === 'HEAD' || method === 'POST';
}

/** Entries in the local directory, whose outputs are their names and so many bytes more. */
function putLocally(local: LocalCache, names: readonly string[], more = 0): string[] {
  return names.map((name) => {
    const body = Buffer.concat([Buffer.from(name), randomBytes(more)]);
    const outputId = createHash('sha256').update(body).digest('hex');
    const put = local.beginPut({ outputId, size: body.length });
    put.write(body);
    put.finish({ actionId: sha256(name) });
    return sha256(name);
  });
}

test('small uploads that wait go together, a large one by itself; one that is refused hinders no other', async (t) => {
  const taken: string[][] = [];
  let release: () => void = () => {};
  const first = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { remote, local, asked } = await open(
    t,
    async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      if (request.method !== 'POST') response.writeHead(request.method === 'HEAD' ? 404 : 201).end();
      else {
        const puts = decodePuts(body);
        taken.push(puts.map(({ body: output }) => Buffer.from(output).toString()));
        if (taken.length === 1) await first;
        response.end(Buffer.from(puts.map((_, at) => at % 3)));
      }
    },
    { timeoutMs: 5_000 },
  );
  const names = Array.from({ length: 30 }, (_, at) => `output ${at}`);
  const small = putLocally(local, names);
  const [large = ''] = putLocally(local, ['large'], PUTS_OUTPUT_BYTES_MAX);
  const uploads = new Uploads(local, remote, 1);
  for (const actionId of [...small.slice(0, 5), large, ...small.slice(5)]) uploads.add(actionId);
  release();
  await uploads.close(5_000);
  assert.equal(uploads.done, 22, 'nine of them the server found wrong');
  assert.deepEqual(taken, [[names[0]], names.slice(1)]);
  assert.deepEqual(asked.slice(-3), ['HEAD /cache/output/', 'PUT /cache/output/', 'PUT /cache/action/']);
});

test('a file that is gone costs the other uploads nothing', async (t) => {
  const { remote, local } = await open(t, async (request, response) => {
    const puts = decodePuts(Buffer.concat(await request.toArray()));
    response.end(Buffer.alloc(puts.length));
  });
  const [kept = '', lost = ''] = putLocally(local, ['kept', 'lost']);
  const entries = [kept, lost].map((actionId) => ({ actionId, entry: local.get(actionId) }));
  const puts = entries.flatMap(({ actionId, entry }) => (entry === undefined ? [] : [{ actionId, entry }]));
  rmSync(puts[1]?.entry.path ?? '');
  assert.deepEqual(await remote.putMany(puts), ['stored', 'stored']);
});

test('an upload asks first, sends output and action with the token; a refused one is left to the next run', async (t) => {
  let status = 403;
  const { remote, local, asked } = await open(t, (request, response) => {
    assert.equal(request.headers.authorization, 'Bearer secret');
    request.resume().on('end', () => response.writeHead(isAbsent(request) ? 404 : status).end());
  });
  const put = local.beginPut({ outputId: sha256('body'), size: 4 });
  put.write(Buffer.from('body'));
  put.finish({ actionId: ACTION });
  const refused = new Uploads(local, remote, 2);
  refused.add(ACTION);
  await refused.close(5_000);
  assert.equal(refused.done, 0);
  status = 201;
  asked.length = 0;
  const { remote: again } = await open(t, (request, response) => {
    asked.push(`${request.method} ${request.url?.slice(0, 14)}`);
    request.resume().on('end', () => response.writeHead(isAbsent(request) ? 404 : status).end());
  });
  const next = new Uploads(local, again, 2);
  next.takeSpool();
  await next.close(5_000);
  assert.equal(next.done, 1);
  assert.deepEqual(asked, [
    'POST /cache/puts',
    'HEAD /cache/output/',
    'PUT /cache/output/',
    'PUT /cache/action/',
  ]);
});

for (const { status, isSpooled, readsGoOn, why } of [
  { status: 503, isSpooled: true, readsGoOn: true, why: 'has no room' },
  { status: 403, isSpooled: true, readsGoOn: true, why: 'takes nothing from here' },
  { status: 500, isSpooled: true, readsGoOn: false, why: 'fails' },
  { status: 400, isSpooled: false, readsGoOn: true, why: 'says that the output is another' },
  { status: 413, isSpooled: false, readsGoOn: true, why: 'says that it is too large' },
]) {
  const left = isSpooled ? 'left to the next run' : 'given up';
  test(`an upload is ${left} where the server ${why}, and reads ${readsGoOn ? 'go on' : 'pause'}`, async (t) => {
    const { remote, local, warnings } = await open(t, (request, response) => {
      const code = request.method === 'PUT' ? status : 404;
      request.resume().on('end', () => response.writeHead(code).end());
    });
    const put = local.beginPut({ outputId: sha256('body'), size: 4 });
    put.write(Buffer.from('body'));
    const { path } = put.finish({ actionId: ACTION });
    const uploads = new Uploads(local, remote, 2);
    uploads.add(ACTION);
    await uploads.close(5_000);
    assert.equal(uploads.done, 0);
    const spool = local.ownPath('spool');
    assert.equal(existsSync(spool) && readdirSync(spool).length > 0, isSpooled);
    assert.equal(remote.server.isUp(), readsGoOn);
    assert.equal(warnings.length, isSpooled ? 1 : 0);
    assert.ok(existsSync(path), 'what is right stays');
  });
}

for (const { why, answer } of [
  {
    why: 'by itself',
    answer: ({ method }: IncomingMessage, response: ServerResponse) =>
      response.writeHead(method === 'PUT' ? 400 : 404).end(),
  },
  {
    why: 'among many',
    answer: (_: IncomingMessage, response: ServerResponse) => response.end(Buffer.from([PUT_OUTCOME.wrong])),
  },
])
  test(`a local file that the server finds damaged is removed: ${why}`, async (t) => {
    const { remote, local } = await open(t, (request, response) => {
      request.resume().on('end', () => answer(request, response));
    });
    const put = local.beginPut({ outputId: sha256('body'), size: 4 });
    put.write(Buffer.from('body'));
    const { path } = put.finish({ actionId: ACTION });
    writeFileSync(path, 'b0dy');
    const uploads = new Uploads(local, remote, 2);
    uploads.add(ACTION);
    await uploads.close(5_000);
    assert.ok(!existsSync(path));
    assert.equal(local.get(ACTION), undefined);
  });

test('an upload that ends early leaves no file open', async (t) => {
  const { remote, local } = await open(t, (request, response) => {
    if (request.method === 'HEAD') response.writeHead(404).end();
    else request.once('data', () => request.destroy());
  });
  const bytes = randomBytes(8 * MiB);
  const put = local.beginPut({
    outputId: createHash('sha256').update(bytes).digest('hex'),
    size: bytes.length,
  });
  put.write(bytes);
  const entry = put.finish({ actionId: ACTION });
  assert.equal(await remote.put(ACTION, entry), 'later');
  const untilMs = Date.now() + 10_000;
  while (openFiles().includes(entry.path) && Date.now() < untilMs) await delay(5);
  assert.ok(!openFiles().includes(entry.path));
});

/** Paths of this process's open files. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      return [readlinkSync(`/proc/self/fd/${name}`)];
    } catch {
      return []; // That of the listing itself.
    }
  });
}

test('uploads that a killed process had claimed are done by the next one, those of a running process are not', async (t) => {
  const { remote, local } = await open(t, (request, response) => {
    request.resume().on('end', () => response.writeHead(isAbsent(request) ? 404 : 201).end());
  });
  const spool = local.ownPath('spool');
  mkdirSync(spool, { recursive: true });
  for (const name of ['dead', 'alive']) {
    const put = local.beginPut({ outputId: sha256(name), size: name.length });
    put.write(Buffer.from(name));
    put.finish({ actionId: sha256(name) });
  }
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  writeFileSync(join(spool, `.${gone}-1-2`), `${sha256('dead')}\n`);
  writeFileSync(join(spool, `.${process.ppid}-1-3`), `${sha256('alive')}\n`);
  const uploads = new Uploads(local, remote, 2);
  uploads.takeSpool();
  assert.deepEqual(readdirSync(spool).sort(), [`.${process.pid}-1-2`, `.${process.ppid}-1-3`].sort());
  await uploads.close(5_000);
  assert.equal(uploads.done, 1);
  assert.deepEqual(readdirSync(spool), [`.${process.ppid}-1-3`]);
});

test('a server behind https is one like any, and one whose certificate is wrong is a miss', async (t) => {
  const { certPath, keyPath } = makeCertificate(t);
  const server = createSecureServer(
    { cert: readFileSync(certPath), key: readFileSync(keyPath) },
    (_, response) => response.writeHead(200, headers('body')).end('body'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  for (const { env, answer } of [
    {
      env: { SSL_CERT_FILE: certPath },
      answer: new RegExp(Buffer.from(sha256('body'), 'hex').toString('base64url')),
    },
    { env: {}, answer: /"Miss":true/ },
  ]) {
    const directory = join(tempDir(t), 'cache');
    const program = join(CHECKOUT, 'src/plugin/cacheprog-main.ts');
    const args = ['--disable-warning=ExperimentalWarning', program, `--cache-dir=${directory}`];
    const child = spawn(
      process.execPath,
      [...args, `--remote=https://127.0.0.1:${port}`, '--remote-timeout=10s'],
      {
        env,
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    );
    child.stdin.end(
      `{"ID":1,"Command":"get","ActionID":"${Buffer.from(ACTION, 'hex').toString('base64')}"}\n\n`,
    );
    let text = '';
    for await (const part of child.stdout) text += String(part);
    assert.match(text.replaceAll('+', '-').replaceAll('/', '_'), answer);
  }
});
