// Goal: a small file is exactly what some upstream sent in one go, or joined under its word that it is one file.
// Method: servers whose files differ where no comparison of an overlap looks, and bodies that end with their connection.

import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { FaultyFile } from '../support/faulty-upstream.ts';
import { ask, assertSame, collect, failure, faulty, rig, someBytes } from './rig.ts';

const MOD = 'example.com/m/@v/v1.0.0.mod';
const CUT = 60_000;
const after = someBytes(100_000);
/** Another file of the same size, which differs in its first bytes only. */
const before = Buffer.concat([someBytes(100, 2), after.subarray(100)]);

/** The first answer is cut, and of another file than the rest. */
const changed: FaultyFile = {
  bytes: (n) => (n === 0 ? before : after),
  cutAfter: (n) => (n === 0 ? CUT : undefined),
};

const unvouched: { file: FaultyFile; why: string }[] = [
  { file: {}, why: 'no validator' },
  { file: { etag: 'W/"a"' }, why: 'a weak ETag' },
  { file: { lastModified: 'Wed, 21 Oct 2015 07:28:00 GMT' }, why: 'a date' },
  {
    file: { etag: (n) => (n === 0 ? '"a"' : undefined), range: 'unconditional' },
    why: 'a strong ETag that is not repeated',
  },
  { file: { etag: (n) => (n === 0 ? undefined : '"a"') }, why: 'a strong ETag of the second answer alone' },
  { file: { etag: (n) => (n === 0 ? '"a"' : '"b"') }, why: 'another strong ETag' },
  { file: { range: 'ignore' }, why: 'Range ignored' },
  { file: { isChunked: true }, why: 'no length' },
];
for (const { file, why } of unvouched) {
  test(`a small file is asked for anew as a whole where nothing vouches for its parts: ${why}`, async (t) => {
    const server = await faulty(t);
    server.serve(MOD, { ...changed, ...file });
    const { upstream } = rig(t, server.url);
    assertSame((await upstream.whole(ask(MOD))).bytes, after);
  });
}

test('a small file is joined under a strong ETag that is repeated', async (t) => {
  const server = await faulty(t);
  server.serve(MOD, { bytes: after, etag: '"a"', cutAfter: (n) => (n === 0 ? CUT : undefined) });
  const { upstream } = rig(t, server.url);
  assertSame((await upstream.whole(ask(MOD))).bytes, after);
  assert.match(server.seen[1]?.headers.range ?? '', /^bytes=\d+-$/);
});

test('a small file that is always cut at the same byte is given up', async (t) => {
  const server = await faulty(t);
  server.serve(MOD, { bytes: after, cutAfter: CUT });
  const { upstream, seen } = rig(t, server.url);
  const error = await failure(upstream.whole(ask(MOD)), 'upstream-failed');
  assert.match(error.message, /closed in the middle/);
  assert.ok(server.seen.length <= 9, `${server.seen.length} requests`);
  assert.deepEqual(seen.warnings, [], 'nothing started again');
});

test('a small file that breaks in the middle comes from the next member after a bar', async (t) => {
  const [broken, server] = [await faulty(t), await faulty(t)];
  broken.serve(MOD, { bytes: before, cutAfter: CUT });
  server.serve(MOD, { bytes: after });
  const { upstream } = rig(t, `${broken.url}|${server.url}`);
  const { bytes, upstream: name } = await upstream.whole(ask(MOD));
  assertSame(bytes, after);
  assert.equal(name, `127.0.0.1:${server.port}`);
  await failure(rig(t, `${broken.url},${server.url}`).upstream.whole(ask(MOD)), 'upstream-failed');
});

const untilClose: { file: FaultyFile; requests: number; why: string }[] = [
  { file: { isUntilClose: true }, requests: 2, why: 'twice the same' },
  {
    file: { isUntilClose: true, cutAfter: (n) => (n === 0 ? CUT : undefined) },
    requests: 3,
    why: 'half of it at first, with a clean end',
  },
  {
    file: { isUntilClose: true, cutAfter: (n) => [CUT, undefined, 500, undefined][n] },
    requests: 4,
    why: 'two of four',
  },
  { file: { isUntilClose: true, isGzipped: true }, requests: 1, why: 'gzip shows its end' },
  { file: { isChunked: true }, requests: 1, why: 'chunks show it' },
];
for (const { file, requests, why } of untilClose) {
  test(`a body whose end nothing shows counts when it has come twice: ${why}`, async (t) => {
    const server = await faulty(t);
    server.serve(MOD, { bytes: after, ...file });
    const { upstream } = rig(t, server.url);
    assertSame((await upstream.whole(ask(MOD))).bytes, after);
    assert.equal(server.seen.length, requests);
  });
}

test('a body whose end nothing shows, and that is another one each time, fails', async (t) => {
  const server = await faulty(t);
  server.serve(MOD, { bytes: after, isUntilClose: true, cutAfter: (n) => CUT + n });
  const { upstream } = rig(t, server.url);
  const error = await failure(upstream.whole(ask(MOD)), 'upstream-failed');
  assert.match(error.message, /nothing shows where it ends/);
  assert.equal(server.seen.length, 4);
});

test('a stream asks once: its content is checked', async (t) => {
  const server = await faulty(t);
  server.serve(MOD, { bytes: after, isUntilClose: true });
  const { upstream } = rig(t, server.url);
  assertSame((await collect(upstream.stream(ask(MOD)))).bytes, after);
  assert.equal(server.seen.length, 1);
});

/** Answers the first request by half of a go.mod and a reset, together; all others by the whole. */
async function resetting(t: TestContext, goMod: string): Promise<{ url: string; requests: () => number }> {
  let requests = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      requests += 1;
      const half = goMod.slice(0, goMod.length / 2);
      socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${requests === 1 ? half : goMod}`);
      if (requests === 1) socket.resetAndDestroy();
      else socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests: () => requests };
}

test('a reset that comes together with the last bytes is no clean end', async (t) => {
  const goMod = `module example.com/m\n\nrequire example.com/other v1.0.0\n`;
  const server = await resetting(t, goMod);
  const { upstream } = rig(t, server.url);
  assert.equal(Buffer.from((await upstream.whole(ask(MOD))).bytes).toString(), goMod);
  assert.equal(server.requests(), 3);
});
