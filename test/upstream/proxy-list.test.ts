// Goal: the list falls back, ends and fails as the go command's does; loops and floods are refused.
// Method: two real servers and a table after TryProxies of cmd/go/internal/modfetch/proxy.go.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadRequest, type ErrorKind } from '../../src/core/errors.ts';
import { createUpstream } from '../../src/upstream/proxy-list.ts';
import type { FaultyFile } from '../support/faulty-upstream.ts';
import { ask, assertSame, collect, failure, faulty, HandClock, PATH, rig, someBytes } from './rig.ts';

const found: FaultyFile = { bytes: someBytes(100) };
const missing: FaultyFile = { status: 404, text: 'not found: A' };
const gone: FaultyFile = { status: 410, text: 'gone' };
const denied: FaultyFile = { status: 403 };
const broken: FaultyFile = { status: 500 };

type Row = {
  list: string;
  a?: FaultyFile;
  b?: FaultyFile;
  kind?: ErrorKind;
  message?: RegExp;
  askedB: boolean;
  why: string;
};

// A and B stand for the servers.
const rows: Row[] = [
  { list: 'A,B', a: found, askedB: false, why: 'the first answers' },
  { list: 'A,B', a: missing, b: found, askedB: true, why: 'comma: next on 404' },
  { list: 'A,B', a: gone, b: found, askedB: true, why: 'comma: next on 410' },
  { list: 'A,B', a: denied, b: found, kind: 'upstream-failed', askedB: false, why: 'comma: not on 403' },
  { list: 'A,B', a: broken, b: found, kind: 'upstream-failed', askedB: false, why: 'comma: not on 500' },
  { list: 'A|B', a: denied, b: found, askedB: true, why: 'bar: next on 403' },
  { list: 'A|B', a: { status: 502 }, b: found, askedB: true, why: 'bar: next on 502' },
  { list: 'A|B', a: { isHungUp: true }, b: found, askedB: true, why: 'bar: next on a broken connection' },
  {
    list: 'A|B',
    a: { cutAfter: 0 },
    b: { ...found, cutAfter: 0 },
    kind: 'upstream-failed',
    askedB: true,
    why: 'bar: all broken',
  },
  {
    list: 'A,B',
    a: missing,
    b: gone,
    kind: 'gone',
    message: /^gone$/,
    askedB: true,
    why: 'the last "not there" is shown',
  },
  {
    list: 'A|B',
    a: denied,
    b: missing,
    kind: 'upstream-failed',
    message: /403/,
    askedB: true,
    why: 'another error is better than a 404',
  },
  {
    list: 'A|B',
    a: denied,
    b: broken,
    kind: 'upstream-failed',
    message: /500/,
    askedB: true,
    why: 'the last of other errors',
  },
  {
    list: 'A,B',
    a: missing,
    b: broken,
    kind: 'upstream-failed',
    message: /500/,
    askedB: true,
    why: 'or the only one',
  },
  { list: 'off', kind: 'not-found', message: /says "off"/, askedB: false, why: 'off alone' },
  {
    list: 'A,off,B',
    a: missing,
    kind: 'not-found',
    message: /says "off"/,
    askedB: false,
    why: 'off ends it',
  },
  {
    list: 'A|off',
    a: denied,
    kind: 'upstream-failed',
    message: /403/,
    askedB: false,
    why: 'off behind an error',
  },
  { list: 'A,off', a: found, askedB: false, why: 'off not reached' },
  {
    list: 'direct',
    kind: 'not-found',
    message: /",direct" into the client's GOPROXY/,
    askedB: false,
    why: 'direct alone',
  },
  {
    list: 'A,direct,B',
    a: missing,
    kind: 'not-found',
    message: /^not found: A \(.*",direct"/,
    askedB: false,
    why: 'direct leaves the 404',
  },
  {
    list: 'A,direct',
    a: gone,
    kind: 'gone',
    message: /^gone \(/,
    askedB: false,
    why: 'direct leaves the 410',
  },
  {
    list: 'A|direct',
    a: broken,
    kind: 'upstream-failed',
    message: /500/,
    askedB: false,
    why: 'direct makes no 404 of an error',
  },
  {
    list: 'A,noproxy',
    a: missing,
    kind: 'not-found',
    message: /,direct/,
    askedB: false,
    why: 'noproxy is like direct',
  },
];

for (const { list, a = {}, b = {}, kind, message = /./, askedB, why } of rows) {
  for (const method of ['stream', 'whole', 'head'] as const) {
    test(`list, ${method}: ${why}: ${list}`, async (t) => {
      const [serverA, serverB] = [await faulty(t), await faulty(t)];
      serverA.serve(PATH, { bytes: someBytes(100), ...a });
      serverB.serve(PATH, { bytes: someBytes(100), ...b });
      const { upstream } = rig(t, list.replace('A', serverA.url).replace('B', serverB.url));
      // A cut body is no fault to HEAD.
      if (method === 'head' && a.cutAfter === 0) return;
      const request = ask();
      const name = `127.0.0.1:${askedB ? serverB.port : serverA.port}`;
      if (kind !== undefined) {
        const promise = method === 'stream' ? collect(upstream.stream(request)) : upstream[method](request);
        const error = await failure(promise, kind);
        if (method !== 'head') assert.match(error.message, message);
      } else if (method === 'stream') {
        const got = await collect(upstream.stream(request));
        assertSame(got.bytes, someBytes(100));
        assert.equal(got.starts[0]?.upstream, name);
      } else if (method === 'whole') {
        const got = await upstream.whole(request);
        assertSame(got.bytes, someBytes(100));
        assert.equal(got.upstream, name);
      } else assert.deepEqual(await upstream.head(request), { size: 100, upstream: name });
      assert.equal(serverB.seen.length > 0, askedB);
    });
  }
}

const avoided: { list: string; files: Record<string, FaultyFile>; asked: string; why: string }[] = [
  { list: 'A|B', files: { A: found, B: found }, asked: 'B', why: 'behind its neighbour' },
  { list: 'A|B', files: { A: found, B: missing }, asked: 'BA', why: 'it is asked at last' },
  { list: 'A,B', files: { A: found, B: found }, asked: 'A', why: 'no comma is crossed' },
  { list: 'A,B|C', files: { A: missing, B: found, C: found }, asked: 'AB', why: 'nor by going first' },
  { list: 'B|A,C', files: { A: found, B: missing, C: found }, asked: 'BA', why: 'it is last of its own' },
  {
    list: 'A|B,C',
    files: { A: missing, B: missing, C: found },
    asked: 'BAC',
    why: 'a 404 crosses the comma',
  },
  { list: 'A|B,C', files: { A: denied, B: missing, C: found }, asked: 'BA', why: 'an error does not' },
  { list: 'A|B,C', files: { A: found, B: denied, C: found }, asked: 'BA', why: 'the bar stays where it was' },
  { list: 'C,A|B|off', files: { A: found, B: found, C: missing }, asked: 'CB', why: 'before off' },
];
for (const { list, files, asked, why } of avoided) {
  test(`A is to be avoided: ${list}: ${why}`, async (t) => {
    const order: string[] = [];
    const servers = new Map<string, string>();
    for (const [letter, file] of Object.entries(files)) {
      const server = await faulty(t);
      server.fallback = () => {
        order.push(letter);
        return file;
      };
      servers.set(letter, server.url);
    }
    const { upstream } = rig(
      t,
      list.replace(/[ABC]/g, (letter) => servers.get(letter) ?? ''),
    );
    const avoid = new URL(servers.get('A') ?? '').host;
    await upstream.whole(ask(PATH, { avoid })).catch(() => {});
    assert.equal(order.join(''), asked);
  });
}

test('once bytes have come from one member, only that one is asked', async (t) => {
  const [serverA, serverB] = [await faulty(t), await faulty(t)];
  serverA.serve(PATH, { bytes: someBytes(100_000), cutAfter: (n) => (n === 0 ? 50_000 : 0) });
  serverB.serve(PATH, found);
  const { upstream } = rig(t, `${serverA.url}|${serverB.url}`);
  await failure(collect(upstream.stream(ask())), 'upstream-failed');
  assert.equal(serverB.seen.length, 0);
});

test('with another member behind a bar, an upstream that answers 502 is not tried for long', async (t) => {
  const [serverA, serverB] = [await faulty(t), await faulty(t)];
  serverA.serve(PATH, { status: 502 });
  serverB.serve(PATH, found);
  const { upstream } = rig(t, `${serverA.url}|${serverB.url}`);
  await upstream.whole(ask());
  assert.equal(serverA.seen.length, 3);
});

test('an upstream whose every answer is 502 is not tried for long either', async (t) => {
  const server = await faulty(t);
  server.fallback = () => ({ status: 502 });
  const { upstream } = rig(t, server.url);
  await failure(upstream.whole(ask()), 'upstream-failed');
  const before = server.seen.length;
  await failure(upstream.whole(ask()), 'upstream-failed');
  assert.equal(server.seen.length - before, 3);
});

test('502 half of the time, by chance, and every file comes', async (t) => {
  const server = await faulty(t);
  const chance = someBytes(10_000, 7);
  server.fallback = (path) => ({
    bytes: Buffer.from(path),
    status: () => ((chance[server.seen.length] ?? 0) < 128 ? 502 : 200),
  });
  const { upstream } = rig(t, server.url);
  const paths = Array.from({ length: 300 }, (_, i) => `example.com/m${i}/@v/list`);
  const got = await Promise.all(paths.map((path) => upstream.whole(ask(path))));
  assert.deepEqual(
    got.map(({ bytes }) => Buffer.from(bytes).toString()),
    paths,
  );
});

test('whole gives one array with a buffer of its own', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes: someBytes(200_000), etag: '"a"', cutAfter: 70_000 });
  const { upstream } = rig(t, server.url);
  const { bytes } = await upstream.whole(ask());
  assertSame(bytes, someBytes(200_000));
  assert.equal(bytes.byteOffset, 0);
  assert.equal(bytes.buffer.byteLength, bytes.byteLength);
});

test('a request that has been here is refused without going out', async (t) => {
  const server = await faulty(t);
  const { upstream } = rig(t, server.url);
  for (const via of ['1.1 astera-test', '1.1 astera-a, 1.1 astera-b, 1.1 astera-c, 1.1 astera-d']) {
    await failure(upstream.whole(ask(PATH, { via })), 'loop');
    await failure(collect(upstream.stream(ask(PATH, { via }))), 'loop');
    await failure(upstream.head(ask(PATH, { via })), 'loop');
  }
  assert.equal(server.seen.length, 0);
});

test('past the places and the queue is Busy, and nobody loses a place', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { isSilent: (n) => n < 2, bytes: someBytes(10) });
  const { upstream } = rig(t, server.url, { requestsMax: 2, queueMax: 1 });
  const first = upstream.stream(ask())[Symbol.asyncIterator]();
  const second = upstream.stream(ask())[Symbol.asyncIterator]();
  const held = [first.next(), second.next()];
  await server.asked(2);
  const waiting = upstream.whole(ask());
  await failure(upstream.whole(ask()), 'busy');
  assert.equal(server.seen.length, 2);
  await first.return?.();
  await second.return?.();
  await Promise.all(held);
  assertSame((await waiting).bytes, someBytes(10));
  assertSame((await upstream.whole(ask())).bytes, someBytes(10));
});

test('what a checksum database is asked waits behind no download', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { isSilent: (n) => n === 0, bytes: someBytes(10) });
  const lookup = 'sumdb/sum.example/lookup/x.example/y@v1.0.0';
  server.serve(lookup, { bytes: someBytes(20) });
  const { upstream } = rig(t, server.url, { requestsMax: 1, queueMax: 1 });
  const holder = upstream.stream(ask())[Symbol.asyncIterator]();
  const held = holder.next();
  await server.asked(1);
  const waiting = upstream.whole(ask());
  assertSame((await upstream.whole(ask(lookup, { isProof: true }))).bytes, someBytes(20));
  assert.equal(server.seen.length, 2, 'the download still waits for its place');
  await holder.return?.();
  await held;
  assertSame((await waiting).bytes, someBytes(10));
});

test('who leaves while waiting for a place makes room in the queue', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { isSilent: (n) => n === 0, bytes: someBytes(10) });
  const { upstream } = rig(t, server.url, { requestsMax: 1, queueMax: 1 });
  const holder = upstream.stream(ask())[Symbol.asyncIterator]();
  const held = holder.next();
  await server.asked(1);
  const leaver = upstream.stream(ask())[Symbol.asyncIterator]();
  const left = leaver.next();
  await leaver.return?.();
  assert.equal((await left).done, true);
  const waiting = upstream.whole(ask());
  await holder.return?.();
  await held;
  assertSame((await waiting).bytes, someBytes(10));
});

test('close ends what is under way and what waits, with an error', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes: someBytes(100_000), stallAfter: 50_000 });
  const options = { list: server.url, instance: 'i', version: '0', clock: new HandClock(), requestsMax: 1 };
  const upstream = createUpstream(options);
  const open = collect(upstream.stream(ask()));
  const waiting = upstream.whole(ask());
  await server.asked(1);
  const failures = [failure(open, 'upstream-down'), failure(waiting, 'upstream-down')];
  await upstream.close();
  await Promise.all(failures);
  await failure(upstream.whole(ask()), 'upstream-down');
});

test('a path that leaves the tree is refused', async (t) => {
  const server = await faulty(t);
  const { upstream } = rig(t, server.url);
  await failure(upstream.whole(ask('a/../b')), 'bad-request');
  assert.equal(server.seen.length, 0);
});

test('wrong usage is said when the list is made', () => {
  const base = { list: 'https://a.example', instance: 'i', version: '0', clock: new HandClock() };
  assert.throws(() => createUpstream({ ...base, list: ',' }), BadRequest);
  assert.throws(() => createUpstream({ ...base, instance: 'a b' }), BadRequest);
  assert.throws(
    () => createUpstream({ ...base, proxyEnv: { httpProxy: 'ftp://me:s3cret@p.example' } }),
    (error) => error instanceof BadRequest && !error.message.includes('s3cret'),
  );
});

test('members are named by their hosts alone: no login, no path of a URL or of this machine', async () => {
  const list = 'https://me:s3cret@proxy.example:8443/tok3n/go|file:///home/me/modules,direct';
  const upstream = createUpstream({ list, instance: 'i', version: '0', clock: new HandClock() });
  assert.deepEqual(upstream.states, [
    { name: 'proxy.example:8443', isDown: false },
    { name: 'a directory', isDown: false },
  ]);
  await upstream.close();
});
