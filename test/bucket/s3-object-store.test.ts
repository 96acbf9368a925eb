// Goal: a bucket that is slow, wrong, forbidden or gone costs a bounded time and a bounded number of requests, and is used
// again when it is back.
// Method: a real S3 server behind a door that fails as each test says, and a clock that the test moves.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import type { BucketEnv } from '../../src/bucket/credentials.ts';
import {
  BUCKET_FAILURES_MAX,
  BUCKET_PAGE_BYTES_MAX,
  BUCKET_PAGE_KEYS_MAX,
  BUCKET_PAUSE_MS,
  BUCKET_PAUSE_MS_MAX,
  BUCKET_TRIES_MAX,
} from '../../src/bucket/limits.ts';
import { parsePage } from '../../src/bucket/s3-answer.ts';
import { S3ObjectStore } from '../../src/bucket/s3-object-store.ts';
import { ServerKeys } from '../../src/bucket/server-keys.ts';
import { collect } from '../../src/core/collect.ts';
import { bodyOf } from '../../src/core/object-store.ts';
import { BucketDoor, s3Error } from '../support/bucket-door.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { tempDir } from '../support/temp-dir.ts';

let server: BucketServer;
const disposers: (() => void)[] = [];
before(async () => {
  server = await BucketServer.start(tempDir({ after: (dispose) => disposers.push(dispose) }));
});
after(async () => {
  await server.stop();
  for (const dispose of disposers) dispose();
});

async function open(t: TestContext, env: BucketEnv = BUCKET_KEYS) {
  const door = await BucketDoor.open(t, server.url);
  const clock = { nowMs: 0 };
  const downs: number[] = [];
  const store = new S3ObjectStore({
    bucket: {
      name: 'bucket',
      region: 'us-east-1',
      endpoint: new URL(door.url),
      isPathStyle: true,
      prefix: '',
    },
    keys: new ServerKeys(env, async () => () => Promise.reject(new Error('no other keys'))),
    now: () => clock.nowMs,
    events: { request: () => {}, down: (_, forMs) => downs.push(forMs) },
  });
  t.after(() => store.close());
  return { door, store, clock, downs };
}

function body(text: string) {
  return bodyOf(Buffer.from(text), createHash('sha256').update(text).digest('hex'));
}

test('what the server puts off is sent again, body and all', async (t) => {
  const { door, store } = await open(t);
  const slow = s3Error(503, 'SlowDown');
  door.fault = (...args) => door.asked.length < BUCKET_TRIES_MAX && slow(...args);
  assert.equal(await store.put('put-off', body('text'), { isOnce: true }), 'stored');
  assert.equal(door.asked.length, BUCKET_TRIES_MAX);
  assert.equal((await store.head('put-off'))?.size, 4);
});

test('a bucket that fails is left alone, twice as long each time, and used when it is back', async (t) => {
  const { door, store, clock, downs } = await open(t);
  await store.put('kept', body('x'), { isOnce: false });
  await door.shut();
  for (let failures = 0; failures < BUCKET_FAILURES_MAX; failures++)
    await assert.rejects(store.get('kept'), { name: 'UpstreamDown', message: /ECONNREFUSED/ });
  assert.deepEqual(downs, [BUCKET_PAUSE_MS]);
  assert.equal(store.isDown, true);
  await assert.rejects(store.get('kept'), { name: 'UpstreamDown', message: /counts as down/ });
  while ((downs.at(-1) ?? 0) < BUCKET_PAUSE_MS_MAX) {
    clock.nowMs += downs.at(-1) ?? 0;
    await assert.rejects(store.get('kept'), { message: /ECONNREFUSED/ });
  }
  assert.deepEqual(downs.slice(0, 3), [BUCKET_PAUSE_MS, 2 * BUCKET_PAUSE_MS, 4 * BUCKET_PAUSE_MS]);
  await door.reopen();
  clock.nowMs += BUCKET_PAUSE_MS_MAX;
  assert.equal((await store.head('kept'))?.size, 1);
  assert.equal(store.isDown, false);
});

test('a bucket that hangs is asked once by each that waits, and then by nobody', async (t) => {
  const { door, store } = await open(t);
  door.fault = () => true;
  const asks = Array.from({ length: BUCKET_FAILURES_MAX }, () => store.get('x'));
  const ends = await Promise.allSettled(asks);
  for (const end of ends)
    assert.match(String(end.status === 'rejected' && end.reason), /no answer in \d+ ms/);
  assert.equal(door.asked.length, BUCKET_FAILURES_MAX);
  assert.equal(store.isDown, true);
});

test('a refusal is told with its code and is sent once; the bucket does not count as down', async (t) => {
  const { door, store } = await open(t);
  door.fault = s3Error(403, 'AccessDenied');
  for (let times = 0; times < 2 * BUCKET_FAILURES_MAX; times++)
    await assert.rejects(store.get('x'), { name: 'UpstreamFailed', message: /status 403 AccessDenied$/ });
  assert.equal(door.asked.length, 2 * BUCKET_FAILURES_MAX);
  assert.equal(store.isDown, false);
});

test('keys that ran out are read anew from their file', async (t) => {
  const file = join(tempDir(t), 'credentials');
  const write = (secret: string) =>
    writeFileSync(file, `[default]\naws_access_key_id = tester\naws_secret_access_key = ${secret}\n`);
  write(BUCKET_KEYS.AWS_SECRET_ACCESS_KEY);
  const { store } = await open(t, { AWS_SHARED_CREDENTIALS_FILE: file });
  await store.put('keys', body('x'), { isOnce: false });
  // Only a refusal makes it read the file.
  write('another');
  assert.equal((await store.head('keys'))?.size, 1);
  const expired = s3Error(403, 'ExpiredToken');
  const { door, store: second } = await open(t, { AWS_SHARED_CREDENTIALS_FILE: file });
  door.fault = (...args) => {
    if (door.asked.length === 1) write(BUCKET_KEYS.AWS_SECRET_ACCESS_KEY);
    return door.asked.length === 1 && expired(...args);
  };
  assert.equal((await second.head('keys'))?.size, 1);
});

test('a file of keys that is gone when the bucket refuses them is a failure of the bucket', async (t) => {
  const file = join(tempDir(t), 'credentials');
  const keys = `aws_access_key_id = tester\naws_secret_access_key = ${BUCKET_KEYS.AWS_SECRET_ACCESS_KEY}\n`;
  writeFileSync(file, `[default]\n${keys}`);
  const { door, store } = await open(t, { AWS_SHARED_CREDENTIALS_FILE: file });
  await store.ready();
  rmSync(file);
  door.fault = s3Error(403, 'ExpiredToken');
  await assert.rejects(store.get('x'), { name: 'UpstreamDown', message: /status 403 ExpiredToken$/ });
  assert.equal(door.asked.length, BUCKET_TRIES_MAX);
  door.fault = () => false;
  assert.equal(await store.get('x'), undefined);
});

test('a server that knows no condition is asked first, and nothing that is there is replaced', async (t) => {
  const { door, store } = await open(t);
  const unknown = s3Error(501, 'NotImplemented');
  door.fault = (...args) => args[0].headers['if-none-match'] !== undefined && unknown(...args);
  assert.equal(await store.put('plain', body('first'), { isOnce: true }), 'stored');
  assert.equal(await store.put('plain', body('second one'), { isOnce: true }), 'present');
  assert.equal((await store.head('plain'))?.size, 'first'.length);
  assert.equal(door.count(/^PUT/), 2);
});

test('keys that ran out are no fault of a file: its question has no words for it, its upload has', async (t) => {
  const { door, store } = await open(t);
  for (const status of [400, 401, 403]) {
    door.fault = s3Error(status, 'ExpiredToken');
    assert.equal(await store.head('x'), undefined);
  }
  await assert.rejects(store.put('x', body('x'), { isOnce: true }), { name: 'UpstreamDown' });
});

test('a body that is cut is an error, not an end', async (t) => {
  const { door, store } = await open(t);
  door.fault = (_, response) => {
    response.writeHead(200, { 'content-length': '10', etag: '"e"' });
    response.write('half');
    setTimeout(() => response.destroy(), 50);
    return true;
  };
  const found = await store.get('cut');
  assert.ok(found);
  await assert.rejects(collect(found.body, 100), { name: 'UpstreamDown' });
});

const NONSENSE: readonly (readonly [why: string, headers: Record<string, string>, status: number])[] = [
  ['no length', { 'transfer-encoding': 'chunked' }, 200],
  ['a part that was not asked for', { 'content-length': '1', 'content-range': 'bytes 0-0/9' }, 206],
];
for (const [why, headers, status] of NONSENSE) {
  test(`an answer with ${why} is refused`, async (t) => {
    const { door, store } = await open(t);
    door.fault = (_, response) => {
      response.writeHead(status, headers);
      response.end('x');
      return true;
    };
    await assert.rejects(store.get('x'), { name: 'UpstreamFailed' });
  });
}

test('a listing of another form is refused, and so is one without an end', async (t) => {
  for (const xml of [
    '',
    '<html></html>',
    '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>',
    // Hostile ones: each would be looked through to its end once for each object, or has keys without number.
    `<ListBucketResult>${'<Contents>'.repeat(20_000)}</ListBucketResult>`,
    `<ListBucketResult>${'<Contents><Key>k</Key><Size>1</Size></Contents>'.repeat(BUCKET_PAGE_KEYS_MAX + 1)}</ListBucketResult>`,
  ])
    assert.throws(() => parsePage(xml));
  const { door, store } = await open(t);
  door.fault = (_, response) => {
    response.writeHead(200);
    response.end(`<ListBucketResult>${' '.repeat(BUCKET_PAGE_BYTES_MAX)}</ListBucketResult>`);
    return true;
  };
  await assert.rejects(store.list({ prefix: '' }), { name: 'UpstreamFailed', message: /a page over/ });
});

test('a key in a listing is what its XML says', () => {
  const xml =
    '<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a+b&amp;amp;%2B</Key><Size>3</Size></Contents></ListBucketResult>';
  assert.deepEqual(parsePage(xml), { objects: [{ key: 'a+b&amp;%2B', size: 3 }], next: undefined });
});
