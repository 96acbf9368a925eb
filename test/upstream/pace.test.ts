// Goal: a body that hardly comes is noticed, whichever file it is of; a small file has a mean rate to keep.
// Method: node's mocked timers; then a server that trickles, at every place where a body is read.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { SMALL_ANSWER_BYTES_PER_MS, STALL_BYTES_MIN } from '../../src/upstream/limits.ts';
import { Pace } from '../../src/upstream/pace.ts';
import type { FaultyFile } from '../support/faulty-upstream.ts';
import { ask, assertSame, collect, failure, faulty, PATH, rig, someBytes } from './rig.ts';

const STALL_MS = 30_000;
const SMALL_MS = 60_000;
const MOD = 'example.com/m/@v/v1.0.0.mod';

function made(t: TestContext, isSmall: boolean) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const slow: string[] = [];
  const timeouts = { stallMs: STALL_MS, smallMs: SMALL_MS };
  const pace = new Pace({ timeouts, isSmall, onSlow: ({ kind }) => slow.push(kind) });
  pace.begin();
  // A timer that a timer sets begins at the end of the mock's tick: hence second by second.
  const seconds = (count: number, bytes: number) => {
    for (let i = 0; i < count && slow.length === 0; i += 1) {
      pace.got(bytes);
      t.mock.timers.tick(1_000);
    }
  };
  return { pace, slow, seconds };
}

const rows: { isSmall: boolean; bytesPerSecond: number; seconds: number; slow: string[]; why: string }[] = [
  { isSmall: false, bytesPerSecond: 0, seconds: 29, slow: [], why: 'silent, but not for long' },
  { isSmall: false, bytesPerSecond: 0, seconds: 30, slow: ['stall'], why: 'silent' },
  { isSmall: false, bytesPerSecond: 1, seconds: 30, slow: ['stall'], why: 'a trickle' },
  {
    isSmall: false,
    bytesPerSecond: Math.ceil(STALL_BYTES_MIN / 29),
    seconds: 3_600,
    slow: [],
    why: 'a zip over a very slow line',
  },
  { isSmall: true, bytesPerSecond: 0, seconds: 30, slow: ['stall'], why: 'a small file, silent' },
  { isSmall: true, bytesPerSecond: 1, seconds: 59, slow: [], why: 'a small file, a trickle, in its time' },
  { isSmall: true, bytesPerSecond: 1, seconds: 60, slow: ['slow'], why: 'a small file, a trickle' },
  { isSmall: true, bytesPerSecond: 900, seconds: 59, slow: [], why: 'a small file, slow, but it has time' },
  { isSmall: true, bytesPerSecond: 900, seconds: 60, slow: ['slow'], why: 'a small file, slow' },
  {
    isSmall: true,
    bytesPerSecond: 1_000 * SMALL_ANSWER_BYTES_PER_MS + 1,
    seconds: 3_600,
    slow: [],
    why: 'a small file at the least rate',
  },
];
for (const { isSmall, bytesPerSecond, seconds, slow, why } of rows) {
  test(`pace: ${why}: ${bytesPerSecond} bytes a second for ${seconds} s`, (t) => {
    const it = made(t, isSmall);
    it.seconds(seconds, bytesPerSecond);
    assert.deepEqual(it.slow, slow);
  });
}

test('pace: what came in one go counts for as long as it would have taken', (t) => {
  const { slow, pace, seconds } = made(t, true);
  pace.got(100_000);
  seconds(90, 20);
  assert.deepEqual(slow, []);
  seconds(20, 20);
  assert.deepEqual(slow, ['slow']);
});

test('pace: a pause is no stall, and an ended body is not watched', (t) => {
  const { slow, pace } = made(t, false);
  pace.pause();
  t.mock.timers.tick(10 * STALL_MS);
  pace.resume();
  t.mock.timers.tick(STALL_MS - 1);
  assert.deepEqual(slow, []);
  pace.end();
  t.mock.timers.tick(10 * STALL_MS);
  assert.deepEqual(slow, []);
});

const trickle: FaultyFile = { pieceBytes: 10, pauseMs: 20 };
// 10 bytes in 20 ms are half of the mean rate, and many more than a stall has.
const bytes = someBytes(100_000);
const timeouts = { smallMs: 300, wordsMs: 100 };

test('a small file that trickles is asked for anew', async (t) => {
  const server = await faulty(t);
  server.fallback = () => (server.seen.length === 1 ? { bytes, ...trickle } : { bytes });
  const { upstream } = rig(t, server.url, { timeouts });
  assertSame((await upstream.whole(ask(MOD))).bytes, bytes);
  assert.equal(server.seen.length, 2);
});

test('a small file that always trickles fails, and its upstream is not down', async (t) => {
  const server = await faulty(t);
  server.serve(MOD, { bytes, etag: '"a"', ...trickle });
  const { upstream, seen } = rig(t, server.url, { timeouts });
  assert.match((await failure(upstream.whole(ask(MOD)), 'upstream-down')).message, /too slowly/);
  assert.equal(server.seen.length, 2);
  assert.deepEqual(seen.down, []);
});

test('a file that comes byte by byte over ever new connections is given up', async (t) => {
  const server = await faulty(t);
  server.serve(MOD, { bytes, etag: '"a"', cutAfter: (n) => (n === 0 ? 1 : Math.min(n + 1, 4097)) });
  for (const method of ['whole', 'stream'] as const) {
    server.seen.length = 0;
    const { upstream } = rig(t, server.url);
    const got = method === 'whole' ? upstream.whole(ask(MOD)) : collect(upstream.stream(ask(MOD)));
    await failure(got, 'upstream-failed');
    assert.ok(server.seen.length <= 16, `${server.seen.length} requests`);
  }
});

const elsewhere: { file: FaultyFile; works: boolean; why: string }[] = [
  { file: { status: 404, text: 'x'.repeat(9_000), ...trickle }, works: false, why: "an error's body" },
  { file: { status: 503, text: 'x'.repeat(9_000), ...trickle }, works: false, why: 'the body of a "later"' },
  {
    file: { status: 302, text: 'x'.repeat(9_000), headers: { location: '/there' }, ...trickle },
    works: true,
    why: "a redirect's body",
  },
];
for (const { file, works, why } of elsewhere) {
  for (const method of ['whole', 'head'] as const) {
    test(`nobody waits for ${why} that trickles: ${method}`, async (t) => {
      const server = await faulty(t);
      server.serve(MOD, file);
      server.serve('there', { bytes });
      // Neither bound on a body of its own may be what ends it.
      const { upstream } = rig(t, server.url, { timeouts: { wordsMs: 100 } });
      const done = upstream[method](ask(MOD));
      if (works) await done;
      else await assert.rejects(done, /404 Not Found|503 Service Unavailable/);
    });
  }
}

test('HEAD by GET does not wait for a body that trickles', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes, status: (n) => (n === 0 ? 405 : 200), ...trickle });
  const { upstream } = rig(t, server.url, { timeouts: { wordsMs: 100 } });
  assert.equal((await upstream.head(ask())).size, bytes.byteLength);
});
