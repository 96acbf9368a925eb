// Goal: an upstream that cannot be reached is noticed soon, for all requests at once, and noticed
// again as soon as it is back.
// Method: a closed port, a TCP server that never speaks (a TLS handshake that never ends), a clock
// moved by hand.

import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { FaultyUpstream } from '../support/faulty-upstream.ts';
import { ask, assertSame, collect, failure, faulty, PATH, rig, someBytes } from './rig.ts';

const bytes = someBytes(1000);

/** A server that was there, and can come back on its port. */
async function closedServer(t: TestContext): Promise<{ url: string; reopen(): Promise<FaultyUpstream> }> {
  const server = await FaultyUpstream.start();
  const { port, url } = server;
  await server.close();
  return {
    url,
    async reopen() {
      const reopened = await FaultyUpstream.start(port);
      t.after(() => reopened.close());
      reopened.serve(PATH, { bytes });
      return reopened;
    },
  };
}

/** Takes connections and says nothing: to a TLS client a line on which nothing comes back. */
async function blackHole(t: TestContext): Promise<{ url: string; connections: () => number }> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `https://127.0.0.1:${port}`, connections: () => connections };
}

test('three refused connections mark it down; then requests fail without a try', async (t) => {
  const gone = await closedServer(t);
  const { upstream, seen } = rig(t, gone.url);
  const error = await failure(upstream.whole(ask()), 'upstream-down');
  assert.match(error.message, /connection refused/);
  assert.equal(seen.requests.length, 3);
  assert.ok(upstream.isDown);
  assert.deepEqual(seen.down, [{ name: new URL(gone.url).host, forMs: 10_000 }]);

  // The first one probes, which fails; then there is a rest.
  await failure(upstream.whole(ask()), 'upstream-down');
  const server = await gone.reopen();
  for (let i = 0; i < 5; i += 1) await failure(upstream.whole(ask()), 'upstream-down');
  assert.equal(server.seen.length, 0);
});

test('a probe finds it back, for all who ask at that moment', async (t) => {
  const gone = await closedServer(t);
  const { upstream, clock } = rig(t, gone.url);
  await failure(upstream.whole(ask()), 'upstream-down');
  const server = await gone.reopen();
  clock.nowMs += 1_000;
  const answers = await Promise.all(Array.from({ length: 10 }, () => upstream.whole(ask())));
  for (const answer of answers) assertSame(answer.bytes, bytes);
  assert.equal(server.seen[0]?.url, '/', 'the probe asks for what costs nothing');
  const methods = server.seen.map(({ method }) => method);
  assert.deepEqual(methods, ['HEAD', ...Array.from({ length: 10 }, () => 'GET')]);
  assert.ok(!upstream.isDown);
});

test('an error status is an answer: it never marks an upstream down', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { status: 503 });
  const { upstream, seen } = rig(t, server.url);
  await failure(upstream.whole(ask()), 'upstream-failed');
  assert.ok(!upstream.isDown);
  assert.deepEqual(seen.down, []);
});

test('connections that are cut never mark an upstream down', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { isHungUp: true });
  const { upstream } = rig(t, server.url);
  await failure(upstream.whole(ask()), 'upstream-failed');
  assert.ok(!upstream.isDown);
});

test('an upstream that answers nothing is down after one request and its probe', async (t) => {
  const server = await faulty(t);
  server.fallback = () => ({ isSilent: true });
  const { upstream, seen } = rig(t, server.url, { timeouts: { firstByteMs: 50, probeMs: 50 } });
  await failure(upstream.whole(ask()), 'upstream-down');
  await seen.downs(1);
  assert.ok(upstream.isDown);
  assert.deepEqual(
    server.seen.map(({ method, url }) => `${method} ${url}`),
    [`GET /${PATH}`, 'HEAD /'],
  );
});

test('a path that never answers marks nothing down while another one answers', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { isSilent: true });
  server.serve('fast', { bytes });
  const { upstream, seen } = rig(t, server.url, { timeouts: { firstByteMs: 500 } });
  for (let i = 1; i <= 4; i += 1) {
    const slow = failure(upstream.whole(ask()), 'upstream-down');
    await server.askedFor(PATH, i);
    assertSame((await upstream.whole(ask('fast'))).bytes, bytes);
    await slow;
  }
  assert.deepEqual(seen.down, []);
  assert.equal(server.requestsFor('').length, 0, 'there is no doubt to probe for');
});

test('a path that never answers costs one wait and marks nothing down, though nobody asks for others', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { isSilent: true });
  const { upstream, seen } = rig(t, server.url, { timeouts: { firstByteMs: 50, probeGapMs: 0 } });
  for (let i = 1; i <= 4; i += 1) {
    const error = await failure(upstream.whole(ask()), 'upstream-down');
    assert.match(error.message, /no answer in time/);
    assert.equal(server.requestsFor(PATH).length, i, 'asked once each time');
  }
  await server.askedFor('', 1);
  await server.idle();
  assert.deepEqual(seen.down, []);
  assert.ok(!upstream.isDown);
});

test('a body that stalls marks nothing down while the upstream answers', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes: someBytes(100_000), stallAfter: 0 });
  const { upstream, seen } = rig(t, server.url, { timeouts: { stallMs: 50, probeGapMs: 0 } });
  for (let i = 1; i <= 4; i += 1) await failure(upstream.whole(ask()), 'upstream-down');
  await server.askedFor('', 1);
  await server.idle();
  assert.deepEqual(seen.down, []);
});

test('an upstream whose root never answers is found back by a path that does', async (t) => {
  const server = await faulty(t);
  server.fallback = () => ({ isSilent: true });
  const { upstream, seen, clock } = rig(t, server.url, {
    timeouts: { firstByteMs: 1_000, probeMs: 1_000, probeGapMs: 1 },
  });
  await failure(upstream.whole(ask()), 'upstream-down');
  await seen.downs(1);
  server.serve(PATH, { bytes });
  clock.nowMs += 1;
  assertSame((await upstream.whole(ask())).bytes, bytes);
  assert.equal(server.seen.filter(({ method }) => method === 'HEAD').at(-1)?.url, `/${PATH}`);
});

test('a probe whose connection is closed has found somebody', async (t) => {
  const server = await faulty(t);
  server.fallback = () => ({ isSilent: true });
  const { upstream, seen, clock } = rig(t, server.url, { timeouts: { firstByteMs: 1_000, probeMs: 1_000 } });
  await failure(upstream.whole(ask()), 'upstream-down');
  await seen.downs(1);
  server.fallback = () => ({ isHungUp: true });
  server.serve(PATH, { isHungUp: (n) => n === 0, bytes });
  clock.nowMs += 1_000;
  assertSame((await upstream.whole(ask())).bytes, bytes);
});

test('in a black hole all requests fail together, after one wait', async (t) => {
  const hole = await blackHole(t);
  const { upstream, seen } = rig(t, hole.url, {
    timeouts: { silenceMs: 40, connectMs: 60_000, probeWaitMs: 10 },
  });
  const requests = Array.from({ length: 20 }, (_, i) =>
    i % 2 === 0 ? upstream.whole(ask()) : collect(upstream.stream(ask())),
  );
  const errors = await Promise.all(requests.map((request) => failure(request, 'upstream-down')));
  for (const { message } of errors) assert.match(message, /connection timed out/);
  assert.equal(seen.down.length, 1);
  assert.equal(seen.requests.length, 20, 'one try each');
  assert.ok(upstream.isDown);
});

test('a black hole that an upstream sends us to says nothing about the upstream', async (t) => {
  const [hole, server] = [await blackHole(t), await faulty(t)];
  server.serve(PATH, { status: 302, headers: { location: hole.url } });
  const { upstream, seen } = rig(t, server.url, { timeouts: { silenceMs: 40, connectMs: 60_000 } });
  const requests = Array.from({ length: 5 }, () => failure(upstream.whole(ask()), 'upstream-down'));
  for (const { message } of await Promise.all(requests)) assert.match(message, /connection timed out/);
  assert.deepEqual(seen.down, []);
  assert.ok(!upstream.isDown);
});

test('in a black hole one probe at a time goes out, and nobody waits for its end', async (t) => {
  const hole = await blackHole(t);
  const { upstream } = rig(t, hole.url, { timeouts: { silenceMs: 20, connectMs: 60_000, probeWaitMs: 10 } });
  for (let i = 0; i < 10; i += 1) await failure(upstream.whole(ask()), 'upstream-down');
  assert.equal(hole.connections(), 2, 'the request that found out, and the probe');
});

test('who waits for a place is turned away when all is down', async (t) => {
  const hole = await blackHole(t);
  const { upstream } = rig(t, hole.url, { requestsMax: 1, timeouts: { silenceMs: 40, connectMs: 60_000 } });
  const requests = Array.from({ length: 5 }, () => upstream.whole(ask()));
  const errors = await Promise.all(requests.map((request) => failure(request, 'upstream-down')));
  assert.match(errors.at(-1)?.message ?? '', /every upstream is down/);
});

test('a list is down when all its members are', async (t) => {
  const [gone, server] = [await closedServer(t), await faulty(t)];
  server.serve(PATH, { bytes });
  const { upstream, seen } = rig(t, `${gone.url}|${server.url}`);
  assertSame((await upstream.whole(ask())).bytes, bytes);
  assert.equal(seen.down.length, 1);
  assert.ok(!upstream.isDown);
});
