// Goal: machines share a bucket in go-cache-plugin's layout; one that is slow, wrong, forbidden or gone is a miss, and what is
// wrong in it is replaced.
// Method: a real S3 server, whose objects are files that the tests read, write and spoil; in front of it a server that fails as
// each test says.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { request as ask, createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { findCredentials } from '../../src/bucket/credentials.ts';
import { BucketCache, type BucketOptions } from '../../src/plugin/bucket-cache.ts';
import { BUCKET_ASKED_BYTES_MIN, BUCKET_TRIES, PLUGIN_PAUSE_MS } from '../../src/plugin/limits.ts';
import { LocalCache } from '../../src/plugin/local-cache.ts';
import { Uploads } from '../../src/plugin/uploads.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { filesIn } from '../support/cached-build.ts';
import { NO_KEYS } from '../support/signing-keys.ts';
import { tempDir } from '../support/temp-dir.ts';

const ACTION = sha256('action');
const TIME = '1700000000123456789';
/** In a request's URL, while all else goes through. */
const OUTPUT = /\/output\//;

let server: BucketServer;
const disposers: (() => void)[] = [];
before(async () => {
  server = await BucketServer.start(tempDir({ after: (dispose) => disposers.push(dispose) }));
});
after(async () => {
  await server.stop();
  for (const dispose of disposers) dispose();
});

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

type Fault = (...args: Parameters<RequestListener>) => boolean;

/** A machine and its door to the bucket. Each test has a prefix of its own. */
async function open(t: TestContext, options: Partial<BucketOptions> = {}) {
  const asked: string[] = [];
  const fault: { now: Fault } = { now: () => false };
  const door = createServer((request, response) => {
    asked.push(`${request.method} ${/(action|output)/.exec(request.url ?? '')?.[0]}`);
    if (fault.now(request, response)) return;
    const { method, url = '', headers } = request;
    const inner = ask(new URL(url, server.url), { method, headers, setHost: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    request.pipe(inner.on('error', () => response.destroy()));
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  const shut = () => {
    door.close();
    door.closeAllConnections();
  };
  t.after(shut);
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  const prefix = sha256(t.name).slice(0, 12);
  const clock = { nowMs: 1_000 };
  const endpoint = new URL(`http://127.0.0.1:${(door.address() as AddressInfo).port}`);
  const remote = new BucketCache({
    bucket: { name: 'bucket', region: 'us-east-1', endpoint, isPathStyle: true, prefix },
    findCredentials: () => findCredentials(BUCKET_KEYS),
    timeoutMs: 3_000,
    shareCgo: 'off',
    signatures: NO_KEYS,
    now: () => clock.nowMs,
    warn,
    ...options,
  });
  t.after(() => remote.close());
  const machine = () =>
    new LocalCache({ directory: join(tempDir(t), 'cache'), namespace: 'main', now: Date.now, warn });
  const directory = join(server.directory, prefix);
  return { remote, machine, asked, warnings, fault, clock, directory, shut };
}

/** Puts a body into a machine's own directory. */
function keep(local: LocalCache, body: string, actionId = ACTION) {
  const file = local.beginPut({ outputId: sha256(body), size: body.length });
  if (body !== '') file.write(Buffer.from(body));
  return file.finish({ actionId });
}

/** Writes an object as go-cache-plugin does. */
function lay(directory: string, kind: 'action' | 'output', id: string, text: string): string {
  const path = join(directory, kind, id.slice(0, 2), id);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function layEntry(directory: string, body: string): void {
  lay(directory, 'output', sha256(body), body);
  lay(directory, 'action', ACTION, `${sha256(body)} ${TIME}`);
}

function objects(directory: string): Record<string, string> {
  return Object.fromEntries(
    filesIn(directory).map((path) => [relative(directory, path), readFileSync(path, 'utf8')]),
  );
}

function xml(code: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${BUCKET_KEYS.AWS_SECRET_ACCESS_KEY}</Message></Error>`;
}

test('what one machine puts another one gets, and the objects are those of go-cache-plugin, byte for byte', async (t) => {
  const { remote, machine, directory, asked, warnings } = await open(t);
  const [first, second] = [machine(), machine()];
  assert.equal(await remote.get(ACTION, first), undefined);
  const entry = keep(first, 'body');
  assert.equal(await remote.put(ACTION, entry), 'stored');
  assert.deepEqual(objects(directory), {
    [`output/${sha256('body').slice(0, 2)}/${sha256('body')}`]: 'body',
    [`action/${ACTION.slice(0, 2)}/${ACTION}`]: `${sha256('body')} ${entry.time}`,
  });
  const found = await remote.get(ACTION, second);
  assert.deepEqual({ ...found, path: readFileSync(found?.path ?? '', 'utf8') }, { ...entry, path: 'body' });
  assert.equal(second.get(ACTION)?.time, entry.time);
  const get = ['GET action', 'GET output'];
  assert.deepEqual(asked, ['GET action', 'PUT output', 'PUT action', ...get]);
  assert.deepEqual(warnings, []);
});

for (const { why, body, action = (id: string) => `${id} ${TIME}` } of [
  { why: 'a short output', body: 'body' },
  { why: 'an empty output', body: '' },
  { why: 'a long output', body: 'The same line once more.\n'.repeat(30_000) },
  { why: 'spaces as Go splits them', body: 'body', action: (id: string) => `\n${id}\t${TIME} \n` },
]) {
  test(`objects that go-cache-plugin wrote are read: ${why}`, async (t) => {
    const { remote, machine, directory } = await open(t);
    lay(directory, 'output', sha256(body), body);
    lay(directory, 'action', ACTION, action(sha256(body)));
    const entry = await remote.get(ACTION, machine());
    assert.equal(readFileSync(entry?.path ?? '', 'utf8'), body);
    assert.equal(entry?.time, TIME);
    assert.equal(remote.wrong, 0);
  });
}

for (const { why, spoil } of [
  { why: 'another body of equal size', spoil: (d: string) => lay(d, 'output', sha256('body'), 'BODY') },
  {
    why: 'a body that is cut',
    spoil: (d: string) => truncateSync(lay(d, 'output', sha256('body'), 'body'), 2),
  },
  { why: 'a body that is longer', spoil: (d: string) => lay(d, 'output', sha256('body'), 'body and more') },
  { why: 'an output that is gone', spoil: (d: string) => rmSync(join(d, 'output'), { recursive: true }) },
  { why: 'an empty action', spoil: (d: string) => lay(d, 'action', ACTION, '') },
  { why: 'an action of garbage', spoil: (d: string) => lay(d, 'action', ACTION, '<html>') },
  { why: 'an action without a time', spoil: (d: string) => lay(d, 'action', ACTION, sha256('body')) },
  { why: 'an action without end', spoil: (d: string) => lay(d, 'action', ACTION, 'a'.repeat(3_000_000)) },
]) {
  test(`${why} is a miss, is counted, told once and replaced`, async (t) => {
    const { remote, machine, directory, warnings } = await open(t);
    layEntry(directory, 'body');
    spoil(directory);
    const local = machine();
    assert.equal(await remote.get(ACTION, local), undefined);
    assert.equal(await remote.get(ACTION, local), undefined);
    assert.equal(local.get(ACTION), undefined);
    assert.equal(remote.wrong, 2);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /^an object that is wrong or cut counts as a miss, as all such do: \//);
    assert.equal(await remote.put(ACTION, keep(local, 'body')), 'stored');
    assert.equal(readFileSync((await remote.get(ACTION, machine()))?.path ?? '', 'utf8'), 'body');
  });
}

test('what is there is not written again, and a large output is not even sent', async (t) => {
  const { remote, machine, directory, asked } = await open(t);
  const [first, second] = [machine(), machine()];
  const large = 'x'.repeat(BUCKET_ASKED_BYTES_MIN);
  assert.equal(await remote.put(ACTION, keep(first, large)), 'stored');
  const before = objects(directory);
  assert.equal(await remote.put(ACTION, keep(second, large)), 'stored');
  assert.deepEqual(objects(directory), before);
  const twice = ['HEAD output', 'PUT output', 'PUT action', 'HEAD output', 'PUT action'];
  assert.deepEqual(asked, twice);
  // The first result of an action stays.
  assert.equal(await remote.put(ACTION, keep(second, 'another')), 'stored');
  assert.equal(objects(directory)[`action/${ACTION.slice(0, 2)}/${ACTION}`]?.slice(0, 64), sha256(large));
});

test("what another machine's files decide is not taken", async (t) => {
  const { remote, machine, directory } = await open(t);
  layEntry(directory, 'go index v2\nand more');
  assert.equal(await remote.get(ACTION, machine()), undefined);
  assert.equal(remote.wrong, 0);
});

test("what other machines could not use stays here, whatever an earlier run's spool has", async (t) => {
  const { remote, machine, directory, asked } = await open(t);
  const local = machine();
  for (const body of ['go index v2\n', '/* Code generated by cmd/cgo; DO NOT EDIT. */\n'])
    assert.equal(await remote.put(ACTION, keep(local, body)), 'refused');
  const gone = keep(local, 'gone');
  rmSync(gone.path);
  assert.equal(await remote.put(ACTION, gone), 'refused');
  assert.deepEqual(objects(directory), {});
  assert.deepEqual(asked, []);
});

test('an upload that is at fault itself is not tried again; keys that ran out are', async (t) => {
  const { remote, machine, fault, clock } = await open(t);
  const entry = keep(machine(), 'body');
  const answer = (status: number, code: string) => {
    fault.now = (_, response) => response.writeHead(status).end(xml(code)) !== undefined;
    clock.nowMs += PLUGIN_PAUSE_MS;
  };
  answer(400, 'BadDigest');
  assert.equal(await remote.put(ACTION, entry), 'refused');
  answer(413, 'EntityTooLarge');
  assert.equal(await remote.put(ACTION, entry), 'refused');
  answer(400, 'ExpiredToken');
  assert.equal(await remote.put(ACTION, entry), 'later');
});

test('wrong keys: a miss, one line without the secret, and no further request', async (t) => {
  const wrong = { ...BUCKET_KEYS, AWS_SECRET_ACCESS_KEY: 'no+such/secret' };
  const { remote, machine, asked, warnings } = await open(t, {
    findCredentials: () => findCredentials(wrong),
  });
  for (let at = 0; at < 3; at++) assert.equal(await remote.get(ACTION, machine()), undefined);
  assert.equal(remote.takesPuts, false);
  assert.deepEqual(asked, ['GET action']);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /^goes on without 127\.0\.0\.1:[0-9]+: status 403 SignatureDoesNotMatch$/);
});

test('keys that ran out are read anew from their file', async (t) => {
  const file = join(tempDir(t), 'credentials');
  const write = (secret: string) =>
    writeFileSync(
      file,
      `[default]\naws_access_key_id = x\n\n[ci]\naws_access_key_id=${BUCKET_KEYS.AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${secret}\n`,
    );
  const env = { AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'ci' };
  write('gone');
  const { remote, machine, directory, clock } = await open(t, {
    findCredentials: () => findCredentials(env),
  });
  layEntry(directory, 'body');
  assert.equal(await remote.get(ACTION, machine()), undefined);
  write(BUCKET_KEYS.AWS_SECRET_ACCESS_KEY);
  clock.nowMs += PLUGIN_PAUSE_MS;
  assert.ok(await remote.get(ACTION, machine()));
});

test('keys that may read but not write: hits go on, uploads stop, and one line says so', async (t) => {
  const { remote, machine, directory, fault, warnings } = await open(t);
  layEntry(directory, 'body');
  fault.now = ({ method }, response) => {
    if (method === 'PUT') response.writeHead(403).end(xml('AccessDenied'));
    return method === 'PUT';
  };
  const local = machine();
  assert.equal(await remote.put(sha256('2'), keep(local, 'two', sha256('2'))), 'later');
  assert.equal(remote.takesPuts, false);
  assert.ok(await remote.get(ACTION, local));
  assert.match(
    warnings.join('\n'),
    /^127\.0\.0\.1:[0-9]+ takes no uploads from here to the bucket bucket: status 403 AccessDenied$/,
  );
});

test('keys that may not list: what is forbidden is a miss and no failure, and one line says so', async (t) => {
  const { remote, machine, directory, fault, warnings } = await open(t);
  layEntry(directory, 'body');
  const absent = sha256('absent');
  fault.now = ({ url = '' }, response) => {
    if (url.endsWith(absent)) response.writeHead(403).end(xml('AccessDenied'));
    return url.endsWith(absent);
  };
  const local = machine();
  for (let at = 0; at < 2; at++) assert.equal(await remote.get(absent, local), undefined);
  assert.ok(await remote.get(ACTION, local));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /^status 403 AccessDenied counts as a miss: .*s3:ListBucket/);
});

test('a bucket that is not there, or elsewhere, is named once', async (t) => {
  const { remote, machine, warnings, fault, clock } = await open(t);
  fault.now = (_, response) => {
    const headers = { 'x-amz-bucket-region': 'eu-north-1' };
    response.writeHead(301, headers).end(xml('PermanentRedirect'));
    return true;
  };
  assert.equal(await remote.get(ACTION, machine()), undefined);
  assert.match(warnings.join(), /status 301 PermanentRedirect: the bucket is in eu-north-1, see --region$/);
  fault.now = (_, response) => {
    response.writeHead(404).end(xml('NoSuchBucket'));
    return true;
  };
  clock.nowMs += PLUGIN_PAUSE_MS;
  assert.equal(await remote.get(ACTION, machine()), undefined);
  assert.equal(remote.takesPuts, false);
});

test('SlowDown: sent again a little later; past three tries the bucket is left alone for a while', async (t) => {
  const { remote, machine, directory, fault, clock, asked, warnings } = await open(t);
  layEntry(directory, 'body');
  let refusals = BUCKET_TRIES - 1;
  fault.now = (_, response) => {
    const isRefused = refusals-- > 0;
    if (isRefused) response.writeHead(503).end(xml('SlowDown'));
    return isRefused;
  };
  assert.ok(await remote.get(ACTION, machine()));
  const before = asked.length;
  refusals = Number.POSITIVE_INFINITY;
  const local = machine();
  const entry = keep(local, 'two', sha256('2'));
  assert.equal(await remote.put(sha256('2'), entry), 'later');
  assert.equal(remote.takesPuts, false);
  assert.equal(await remote.get(ACTION, machine()), undefined);
  assert.equal(await remote.get(ACTION, machine()), undefined);
  assert.equal(asked.length, before + 2 * BUCKET_TRIES);
  assert.match(warnings[0] ?? '', / takes no uploads from here to the bucket bucket: status 503 SlowDown$/);
  assert.match(warnings[1] ?? '', /^goes on without .*: status 503 SlowDown$/);
  refusals = 0;
  clock.nowMs += PLUGIN_PAUSE_MS;
  assert.equal(await remote.put(sha256('2'), entry), 'stored');
  assert.equal(warnings.length, 2);
});

for (const { why, fail } of [
  { why: 'no answer', fail: () => true },
  {
    why: 'a body that is cut on the way',
    fail: ((request, response) => {
      if (!OUTPUT.test(request.url ?? '')) return false;
      response.writeHead(200, { 'content-length': 4 }).write('bo');
      setImmediate(() => response.destroy());
      return true;
    }) satisfies Fault,
  },
  {
    why: 'a body that stops',
    fail: ((request, response) => {
      if (!OUTPUT.test(request.url ?? '')) return false;
      response.writeHead(200, { 'content-length': 4 }).write('bo');
      return true;
    }) satisfies Fault,
  },
  {
    why: 'another kind of server',
    fail: ((_, response) => {
      response.writeHead(418).end('<html>');
      return true;
    }) satisfies Fault,
  },
]) {
  test(`${why} is a miss, the bucket is left alone for a while, and then it works again`, async (t) => {
    const { remote, machine, directory, fault, clock, asked, warnings } = await open(t, { timeoutMs: 300 });
    layEntry(directory, 'body');
    fault.now = fail;
    const local = machine();
    assert.equal(await remote.get(ACTION, local), undefined);
    const before = asked.length;
    assert.equal(await remote.get(ACTION, local), undefined);
    assert.equal(asked.length, before);
    assert.equal(local.get(ACTION), undefined);
    fault.now = () => false;
    clock.nowMs += PLUGIN_PAUSE_MS;
    assert.ok(await remote.get(ACTION, local));
    assert.equal(warnings.length, 1);
  });
}

test('a body that is said to be larger than any output is not read', async (t) => {
  const { remote, machine, directory, fault } = await open(t);
  layEntry(directory, 'body');
  fault.now = (request, response) => {
    const isOutput = OUTPUT.test(request.url ?? '');
    if (isOutput) response.writeHead(200, { 'content-length': 2 ** 40 }).write('b');
    return isOutput;
  };
  assert.equal(await remote.get(ACTION, machine()), undefined);
  assert.equal(remote.wrong, 1);
});

test('a server that does not know the condition is written to without', async (t) => {
  const { remote, machine, directory, fault, asked } = await open(t);
  fault.now = ({ headers }, response) => {
    const isConditional = headers['if-none-match'] !== undefined;
    if (isConditional) response.writeHead(501).end(xml('NotImplemented'));
    return isConditional;
  };
  assert.equal(await remote.put(ACTION, keep(machine(), 'body')), 'stored');
  assert.equal(Object.keys(objects(directory)).length, 2);
  assert.deepEqual(asked, ['PUT output', 'PUT output', 'PUT action']);
});

test('uploads that a bucket could not take arrive when it is back', async (t) => {
  const { remote, machine, directory, fault, clock } = await open(t);
  const local = machine();
  fault.now = (_, response) => response.writeHead(500).end() !== undefined;
  const uploads = new Uploads(local, remote, 4);
  for (let at = 0; at < 20; at++) {
    keep(local, `body ${at}`, sha256(`${at}`));
    uploads.add(sha256(`${at}`));
  }
  await uploads.close(10_000);
  assert.deepEqual(objects(directory), {});
  fault.now = () => false;
  clock.nowMs += PLUGIN_PAUSE_MS;
  const next = new Uploads(local, remote, 4);
  next.takeSpool();
  await next.close(60_000);
  assert.equal(next.done, 20);
  assert.equal(Object.keys(objects(directory)).length, 40);
});
