// Goal: a kept connection that leads nowhere costs a request seconds, not its whole wait.
// Method: a server that answers or keeps silent by connection, as a machine that was switched off does.

import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { ask, assertSame, failure, faulty, rig, someBytes } from './rig.ts';

const bytes = Buffer.from('module example.com/m\n');
const MOD = 'example.com/m/@v/v1.0.0.mod';

type Connection = { readonly answer: () => void; readonly closed: Promise<void> };

/** Hands each request to `onRequest`: which connection it came on, and as which one there. Both count from 0. */
async function byConnection(
  t: TestContext,
  onRequest: (at: { connection: number; request: number }, open: readonly Connection[]) => void,
): Promise<{ url: string; connections: () => number }> {
  const open: Connection[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const connection = open.length;
    let request = 0;
    sockets.push(socket);
    open.push({
      answer: () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.byteLength}\r\n\r\n${bytes}`),
      closed: new Promise((resolve) => socket.once('close', () => resolve())),
    });
    socket.on('error', () => {});
    socket.on('data', () => onRequest({ connection, request: request++ }, open));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, connections: () => open.length };
}

const timeouts = { besideMs: 50, firstByteMs: 60_000 };

test('a kept connection whose server is gone: the request goes out on a fresh one', async (t) => {
  const server = await byConnection(t, ({ connection, request }, open) => {
    if (connection > 0 || request === 0) open[connection]?.answer();
  });
  const { upstream, seen } = rig(t, server.url, { timeouts });
  assertSame((await upstream.whole(ask(MOD))).bytes, bytes);
  assertSame((await upstream.whole(ask(MOD))).bytes, bytes);
  assert.equal(server.connections(), 2);
  assert.deepEqual(seen.down, []);
});

test('a kept connection that is only slow may still be the first to answer', async (t) => {
  let loser: Promise<void> | undefined;
  const server = await byConnection(t, ({ connection, request }, open) => {
    if (request === 0) open[0]?.answer();
    if (connection === 1) loser = open[1]?.closed;
  });
  const { upstream } = rig(t, server.url, { timeouts });
  await upstream.whole(ask(MOD));
  assertSame((await upstream.whole(ask(MOD))).bytes, bytes);
  await loser;
  assertSame((await upstream.whole(ask(MOD))).bytes, bytes);
  assert.ok(loser !== undefined, 'it was asked beside, and let go');
});

test('nothing on either: the request fails, with what the fresh connection said', async (t) => {
  const server = await byConnection(t, ({ connection, request }, open) => {
    if (connection === 0 && request === 0) open[0]?.answer();
  });
  const { upstream } = rig(t, server.url, { timeouts: { ...timeouts, firstByteMs: 1_000, probeMs: 50 } });
  await upstream.whole(ask(MOD));
  const error = await failure(upstream.whole(ask(MOD)), 'upstream-down');
  assert.match(error.message, /no answer in time/);
});

test('a slow path on a fresh connection is asked once', async (t) => {
  const server = await faulty(t);
  server.serve(MOD, { isSilent: true });
  server.serve('fast', { bytes: someBytes(10) });
  const { upstream } = rig(t, server.url, { timeouts: { besideMs: 20, firstByteMs: 300 } });
  await failure(upstream.whole(ask(MOD)), 'upstream-down');
  assert.equal(server.requestsFor(MOD).length, 1);
});

test('a probe goes out on a connection of its own', async (t) => {
  const { promise: probed, resolve } = Promise.withResolvers<void>();
  const server = await byConnection(t, ({ connection, request }, open) => {
    if (connection === 2) resolve();
    if (connection === 2 || request === 0) open[connection]?.answer();
  });
  const { upstream, seen } = rig(t, server.url, { timeouts: { besideMs: 10_000, firstByteMs: 1_000 } });
  // Two kept connections: the one is silent, and the other would be too.
  await Promise.all([upstream.whole(ask(MOD)), upstream.whole(ask(MOD))]);
  await failure(upstream.whole(ask(MOD)), 'upstream-down');
  await probed;
  assert.deepEqual(seen.down, []);
});
