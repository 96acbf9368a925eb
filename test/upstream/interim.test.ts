// Goal: interim answers that nobody asked for are skipped, wherever their bytes are parted.
// Method: every way to part an answer in two, then a server that sends them.

import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Interim } from '../../src/upstream/interim.ts';
import { UPSTREAM_INTERIM_BYTES_MAX } from '../../src/upstream/limits.ts';
import { ask, assertSame, failure, rig } from './rig.ts';

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n';
const FINAL = `HTTP/1.1 200 OK\r\nContent-Length: ${CONTINUE.length}\r\n\r\n${CONTINUE}`;
const UPGRADE = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n';

/** All that comes out, of pieces as they come in after a request. */
function passed(pieces: readonly string[]): string {
  const interim = new Interim();
  interim.asked();
  return pieces.map((piece) => interim.rest(Buffer.from(piece))?.toString() ?? '').join('');
}

const answers: { text: string; left: string; why: string }[] = [
  { text: FINAL, left: FINAL, why: 'none' },
  { text: CONTINUE + FINAL, left: FINAL, why: '100' },
  { text: HINTS + FINAL, left: FINAL, why: '103' },
  { text: CONTINUE + HINTS + CONTINUE + FINAL, left: FINAL, why: 'three' },
  { text: CONTINUE + UPGRADE, left: UPGRADE, why: '101 is undici’s to refuse' },
  { text: 'ICY 200 OK\r\n\r\nHTTP/1.1 100', left: 'ICY 200 OK\r\n\r\nHTTP/1.1 100', why: 'not HTTP' },
  { text: 'HTTP/2', left: 'HTTP/2', why: 'another version' },
];
for (const { text, left, why } of answers) {
  test(`interim answers: ${why}`, () => {
    for (let at = 0; at <= text.length; at += 1) {
      assert.equal(passed([text.slice(0, at), text.slice(at)]), left, `parted at ${at}`);
    }
    assert.equal(passed([...text]), left, 'byte by byte');
  });
}

test('interim answers: each request has its own', () => {
  const interim = new Interim();
  for (let i = 0; i < 3; i += 1) {
    interim.asked();
    assert.equal(interim.rest(Buffer.from(CONTINUE + FINAL))?.toString(), FINAL);
    assert.equal(interim.rest(Buffer.from(CONTINUE))?.toString(), CONTINUE, 'a body is left alone');
  }
});

test('interim answers: a flood is not held, nor skipped for ever', () => {
  const endless = `HTTP/1.1 103 Early Hints\r\nLink: ${'x'.repeat(UPSTREAM_INTERIM_BYTES_MAX)}`;
  assert.equal(passed([endless]), endless);
  const many = CONTINUE.repeat(UPSTREAM_INTERIM_BYTES_MAX);
  assert.ok(passed([many]).length > many.length - 2 * UPSTREAM_INTERIM_BYTES_MAX);
});

const bytes = Buffer.from('module example.com/m\n');

/** Sends `pieces` one by one before each answer. Speaks TCP itself: node's server sends no such thing. */
async function sending(
  t: TestContext,
  pieces: readonly string[],
): Promise<{ url: string; connections: number }> {
  const it = { url: '', connections: 0 };
  const server = createServer({ noDelay: true }, (socket) => {
    it.connections += 1;
    socket.on('error', () => {});
    socket.on('data', async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.byteLength}\r\n\r\n${bytes}`);
    });
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  it.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return it;
}

for (const pieces of [[CONTINUE], [CONTINUE, HINTS], [...CONTINUE]]) {
  test(`a server that sends 1xx unasked, in ${pieces.length} pieces, gives its files on one connection`, async (t) => {
    const server = await sending(t, pieces);
    const { upstream } = rig(t, server.url);
    for (let i = 0; i < 3; i += 1) assertSame((await upstream.whole(ask())).bytes, bytes);
    assert.equal(server.connections, 1);
  });
}

test('a server that sends nothing but 1xx is waited for no longer than one that is silent', async (t) => {
  const server = await sending(
    t,
    Array.from({ length: 1_000_000 }, () => HINTS),
  );
  const { upstream } = rig(t, server.url, { timeouts: { firstByteMs: 200 } });
  assert.match((await failure(upstream.whole(ask()), 'upstream-down')).message, /no answer in time/);
});
