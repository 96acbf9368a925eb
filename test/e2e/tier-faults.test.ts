// Goal: a bucket that is slow, refuses, puts off, lies, cuts, lets keys run out or is gone costs clients nothing but misses; when
// it is back, all that waited arrives, after kill -9 too.
// Method: a real S3 server behind a door that fails as each test says, a real `go`, and the objects compared as files.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Astera, runAstera, total } from '../support/astera.ts';
import { BucketDoor, type Fault, s3Error } from '../support/bucket-door.ts';
import { startNode, uploaded } from '../support/bucket-nodes.ts';
import { BUCKET_KEYS, BucketServer } from '../support/bucket-server.ts';
import { filesIn } from '../support/cached-build.ts';
import { GoClient } from '../support/go.ts';
import { LocalUpstream } from '../support/local-upstream.ts';
import { madeUpFiles } from '../support/module-zip.ts';
import { tempDir } from '../support/temp-dir.ts';

const MODULES = [0, 1, 2, 3, 4].map((i) => ({
  path: `made-up.example/m${i}`,
  version: 'v1.0.0',
  contentBytes: i === 4 ? 2_000_000 : 5_000,
}));
const NAMES = MODULES.map(({ path, version }) => `${path}@${version}`);
/** As `go mod download` asks for them. */
const FILES = 3 * MODULES.length;

let bucket: BucketServer;
let upstream: LocalUpstream;
const disposers: (() => unknown)[] = [];
const suite = { after: (dispose: () => unknown) => void disposers.unshift(dispose) };

before(async () => {
  bucket = await BucketServer.start(tempDir(suite));
  suite.after(() => bucket.stop());
  upstream = await LocalUpstream.start({
    madeUp: MODULES,
    endless: { prefix: 'endless.example/', contentBytes: 100 },
  });
  suite.after(() => upstream.close());
});

after(async () => {
  for (const dispose of disposers) await dispose();
});

async function downloads(node: Astera): Promise<void> {
  const go = await GoClient.create(node.url);
  suite.after(() => go.dispose());
  const { code, stderr } = await go.run('mod', 'download', ...NAMES);
  assert.equal(code, 0, `${stderr}\n${node.log}`);
}

function objects(prefix: string): Map<string, Buffer> {
  const directory = join(bucket.directory, prefix, 'mod');
  return new Map(filesIn(directory).map((path) => [path.slice(directory.length + 1), readFileSync(path)]));
}

function assertAllThere(prefix: string): void {
  const there = objects(prefix);
  for (const module of MODULES)
    for (const [kind, bytes] of Object.entries(madeUpFiles(module)))
      assert.deepEqual(there.get(`${module.path}/@v/${module.version}.${kind}`), bytes);
}

const garbage: Fault = (request, response) => {
  request.resume();
  response.writeHead(200, { 'content-length': 7 });
  response.end('garbage');
  return true;
};

/** Half of each object. */
const cut: Fault = (request, response) => {
  request.resume();
  response.writeHead(200, { 'content-length': 10_000, etag: '"e"' });
  response.write('half', () => response.destroy());
  return true;
};

const FAULTS: readonly (readonly [why: string, fault: Fault | 'slow' | 'gone'])[] = [
  ['answers after 200 ms', 'slow'],
  ['puts all off', s3Error(503, 'SlowDown')],
  ['fails', s3Error(500, 'InternalError')],
  ['says garbage', garbage],
  ['cuts all bodies', cut],
  ['takes the keys no more', s3Error(403, 'ExpiredToken')],
  ['is gone', 'gone'],
];

for (const [index, [why, fault]] of FAULTS.entries()) {
  test(`a bucket that ${why}: clients get all, and all arrives when it is well`, async (t) => {
    const door = await BucketDoor.open(t, bucket.url);
    const prefix = `fault-${index}`;
    const start = () =>
      startNode(door.url, { upstream: upstream.url, flags: ['--verify=off', `--prefix=${prefix}`] });
    const node = await start();
    t.after(() => node.dispose());
    if (fault === 'slow') door.delayMs = 200;
    else if (fault === 'gone') await door.shut();
    else door.fault = fault;
    await downloads(node);
    assert.equal(total(await node.metrics(), 'astera_bucket_lost'), 0);
    door.delayMs = 0;
    door.fault = () => false;
    if (fault === 'gone') await door.reopen();
    // Garbage counts as stored: an S3 server that says 200 to a put has stored it.
    if (fault === garbage || fault === cut) {
      await node.stop();
      return;
    }
    await uploaded(node);
    assertAllThere(prefix);
    await node.stop();
  });
}

/** All of them are in the bucket, or none. */
function endless(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `endless.example/${name}${i}`);
}

test('a bucket that fails while clients read from it: they notice misses alone, and what they bring arrives when it is well', async (t) => {
  const old = endless('old', 30);
  const first = await startNode(bucket.url, {
    upstream: upstream.url,
    flags: ['--prefix=midway', '--verify=off'],
  });
  t.after(() => first.dispose());
  const keysOf = (modules: readonly string[]) =>
    modules.flatMap((path) => ['info', 'mod', 'zip'].map((kind) => `${path}/@v/v1.0.0.${kind}`));
  await Promise.all(keysOf(old).map(async (key) => (await first.get(key)).arrayBuffer()));
  await uploaded(first);
  await first.stop();

  for (const [why, fault] of [
    ['gone', 'gone'],
    ['keys that ran out', s3Error(403, 'ExpiredToken')],
    ['no answer', 'hangs'],
  ] as const) {
    const added = endless(`${why.replaceAll(' ', '-').toLowerCase()}-`, 10);
    const door = await BucketDoor.open(t, bucket.url);
    const node = await startNode(door.url, {
      upstream: upstream.url,
      flags: ['--prefix=midway', '--verify=off'],
    });
    t.after(() => node.dispose());
    upstream.resetCounters();
    let shut: Promise<void> | undefined;
    const hung = new Set<ServerResponse>();
    door.fault = (request, response) => {
      if (door.asked.length <= 20) return false;
      if (typeof fault !== 'string') return fault(request, response);
      if (fault === 'gone') shut ??= door.shut();
      else hung.add(response);
      return true;
    };
    const clients = await Promise.all([0, 1].map(() => GoClient.create(node.url)));
    for (const client of clients) t.after(() => client.dispose());
    const names = [...old, ...added].map((path) => `${path}@v1.0.0`);
    const results = await Promise.all(clients.map((client) => client.run('mod', 'download', ...names)));
    for (const { code, stderr } of results) assert.equal(code, 0, `${why}: ${stderr}`);
    const missed = keysOf(old).filter((key) => upstream.count(key) > 0).length;
    assert.ok(missed > 0 && missed < 3 * old.length, `${why}: ${missed} came from the upstream`);
    await shut;
    door.fault = () => false;
    for (const response of hung) response.destroy();
    if (fault === 'gone') await door.reopen();
    await uploaded(node);
    const there = objects('midway');
    for (const path of added)
      for (const [kind, bytes] of Object.entries(madeUpFiles({ path, version: 'v1.0.0', contentBytes: 100 })))
        assert.deepEqual(there.get(`${path}/@v/v1.0.0.${kind}`), bytes, `${why}: ${path} ${kind}`);
    await node.stop();
  }
});

test('a bucket that lies to a fresh node is asked, and the upstream gives what is right', async (t) => {
  const door = await BucketDoor.open(t, bucket.url);
  const first = await startNode(door.url, {
    upstream: upstream.url,
    flags: ['--prefix=lie', '--verify=off'],
  });
  t.after(() => first.dispose());
  await downloads(first);
  await uploaded(first);
  await first.stop();
  for (const fault of [garbage, cut]) {
    const node = await startNode(door.url, {
      upstream: upstream.url,
      flags: ['--prefix=lie', '--verify=off'],
    });
    t.after(() => node.dispose());
    door.fault = (request, response) => request.method === 'GET' && fault(request, response);
    upstream.resetCounters();
    await downloads(node);
    door.fault = () => false;
    // Nothing says what a go.mod should be: no checksum database is asked here.
    const seen = fault === cut ? /\.(info|mod|zip)$/ : /\.(info|zip)$/;
    const asked = Object.keys(upstream.counters.requests).filter((path) => seen.test(path));
    assert.equal(asked.length, fault === cut ? FILES : 2 * MODULES.length);
    for (const module of MODULES) {
      const zip = await node.get(`${module.path}/@v/${module.version}.zip`);
      assert.deepEqual(Buffer.from(await zip.arrayBuffer()), madeUpFiles(module).zip);
    }
    await node.stop();
  }
  assertAllThere('lie');
});

test('kill -9 with a thousand files waiting: all arrive after the next start', async (t) => {
  const door = await BucketDoor.open(t, bucket.url);
  await door.shut();
  const db = join(tempDir(t), 'a.db');
  const start = () =>
    startNode(door.url, { upstream: upstream.url, db, flags: ['--verify=off', '--prefix=killed'] });
  const node = await start();
  t.after(() => node.dispose());
  const keys = Array.from({ length: 1_000 }, (_, i) => `endless.example/m${i}/@v/v1.0.0.mod`);
  for (let at = 0; at < keys.length; at += 50)
    await Promise.all(keys.slice(at, at + 50).map(async (key) => (await node.get(key)).arrayBuffer()));
  while (total(await node.metrics(), 'astera_bucket_queue_length') < keys.length) await delay(20);
  assert.ok(total(await node.metrics(), 'astera_bucket_queue_oldest_seconds') > 0);
  await node.kill();
  await door.reopen();
  const again = await start();
  t.after(() => again.dispose());
  // Once more in the middle of it.
  while (door.count(/^PUT/) < 200) await delay(5);
  await again.kill();
  const last = await start();
  t.after(() => last.dispose());
  await uploaded(last);
  const there = objects('killed');
  assert.deepEqual(
    keys.filter((key) => !there.has(key)),
    [],
  );
  await last.stop();
});

test('push brings a store to a bucket that it never had, pull brings all to another store', async (t) => {
  const directory = tempDir(t);
  const tree = join(directory, 'tree');
  for (const module of MODULES) {
    mkdirSync(join(tree, module.path, '@v'), { recursive: true });
    for (const [kind, bytes] of Object.entries(madeUpFiles(module)))
      writeFileSync(join(tree, module.path, '@v', `${module.version}.${kind}`), bytes);
  }
  const [one, two] = ['one.db', 'two.db'].map((name) => join(directory, name)) as [string, string];
  assert.equal((await runAstera(['import', tree, '--db', one])).code, 0);
  const flags = [
    '--bucket=bucket',
    `--s3-endpoint-url=${bucket.url}`,
    '--prefix=pushed',
    '--upstream',
    upstream.url,
  ];
  const run = (...args: string[]) => runAstera([...args, ...flags], BUCKET_KEYS);
  const none = await runAstera(['push', '--db', one, '--upstream', upstream.url]);
  assert.deepEqual([none.code, none.stderr], [2, 'astera: cannot push: no bucket: set --bucket\n']);
  const pushed = await run('push', '--all', '--db', one);
  assert.equal(pushed.code, 0, pushed.stderr);
  assert.match(pushed.stdout, new RegExp(`^pushed ${FILES} files in `));
  assertAllThere('pushed');
  assert.equal(objects('pushed').get(`${MODULES[0]?.path}/@v/list`)?.toString(), 'v1.0.0\n');

  upstream.resetCounters();
  const sum = join(directory, 'go.sum');
  writeFileSync(sum, `made-up.example/m0 v1.0.0 h1:x\nmade-up.example/none v1.0.0 h1:x\n`);
  const some = await run('pull', sum, '--db', two, '--verify=off');
  assert.equal(some.code, 0, some.stderr);
  assert.match(some.stdout, /^fetched 3 files in .*, 0 were stored before\n$/);
  const node = await startNode(bucket.url, {
    upstream: upstream.url,
    db: two,
    flags: ['--prefix=pushed', '--verify=off'],
  });
  t.after(() => node.dispose());
  const all = await run('pull', '--all', '--db', two);
  assert.match(all.stdout, new RegExp(`^fetched ${FILES - 3} files in .*, 3 were stored before\n$`));
  assert.equal((await run('push', '--db', two)).stdout.slice(0, 14), 'pushed 0 files');
  await downloads(node);
  assert.deepEqual(upstream.counters.requests, {});
  await node.stop();
  assert.ok(existsSync(two));
});
