// Goal: whatever the line does to a download, the bytes are the right ones or there is an error.
// Method: a real server on loopback that plays each fault; bytes and requests counted there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RESUME_TAIL_BYTES } from '../../src/core/limits.ts';
import type { Progress } from '../../src/core/ports.ts';
import type { Timeouts } from '../../src/upstream/settings.ts';
import type { FaultyFile } from '../support/faulty-upstream.ts';
import { ask, assertSame, collect, failure, faulty, PATH, rig, someBytes } from './rig.ts';

const SIZE = 2_000_000;
const bytes = someBytes(SIZE);
const other = someBytes(SIZE, 2);
const etag = '"v1"';
const lastModified = 'Wed, 21 Oct 2015 07:28:00 GMT';

type Row = {
  file: FaultyFile;
  why: string;
  /** What the consumer must see; `bytes` if not said. */
  expected?: Uint8Array;
  /** Offsets of the start events; [0] if not said. */
  starts?: number[];
  /** Body bytes the server may have sent in all. */
  sentMax?: number;
};

const everyTenth = SIZE / 10;
const overlaps = 9 * RESUME_TAIL_BYTES;

// Short time-outs only where one is to be seen: server and client share a thread, and may stand still together.
function impatient(file: FaultyFile): Partial<Timeouts> {
  return file.stallAfter === undefined && file.isSilent === undefined
    ? {}
    : { stallMs: 500, firstByteMs: 500 };
}

const survived: Row[] = [
  { file: {}, why: 'no fault', sentMax: SIZE },
  {
    file: { cutAfter: everyTenth + RESUME_TAIL_BYTES, etag },
    why: 'cuts, strong ETag: one overlap a break',
    sentMax: SIZE + overlaps,
  },
  {
    file: { cutAfter: everyTenth + RESUME_TAIL_BYTES, lastModified },
    why: 'cuts, date: the same',
    sentMax: SIZE + overlaps,
  },
  {
    file: {
      bytes: (n) => (n === 0 ? other : bytes),
      etag: (n) => (n === 0 ? '"v0"' : undefined),
      range: 'unconditional',
      cutAfter: (n) => (n === 0 ? 500_000 : undefined),
    },
    why: 'If-Range ignored, another file of the same size, and no ETag repeated: the overlap shows it',
    starts: [0, 0],
  },
  {
    file: { cutAfter: everyTenth + RESUME_TAIL_BYTES },
    why: 'cuts, no validator: one overlap a break',
    sentMax: SIZE + overlaps,
  },
  {
    file: { cutAfter: everyTenth, etag: 'W/"v1"' },
    why: 'cuts, weak ETag: the same',
    sentMax: SIZE + overlaps + RESUME_TAIL_BYTES,
  },
  { file: { cutAfter: everyTenth, cutBy: 'reset', etag }, why: 'cuts by RST', sentMax: 2 * SIZE },
  {
    file: { cutAfter: everyTenth, isChunked: true },
    why: 'chunked, cut',
    sentMax: SIZE + overlaps + RESUME_TAIL_BYTES,
  },
  {
    file: { cutAfter: everyTenth, isChunked: true, etag },
    why: 'chunked, cut, ETag',
    sentMax: SIZE + overlaps + RESUME_TAIL_BYTES,
  },
  { file: { isUntilClose: true }, why: 'no length, no chunks' },
  {
    file: { isUntilClose: true, cutAfter: (n) => (n === 0 ? 500_000 : undefined), cutBy: 'reset' },
    why: 'no length, no chunks: a reset is not its end',
  },
  {
    file: { cutAfter: (n) => (n === 0 ? SIZE - 1 : undefined), isChunked: true, etag },
    why: 'one byte short',
    sentMax: SIZE + RESUME_TAIL_BYTES,
  },
  {
    file: { cutAfter: (n) => (n + 1) * 600_000, range: 'ignore' },
    why: 'cuts, Range ignored: what came is skipped and compared, the caller sees one file',
    sentMax: 600_000 + 1_200_000 + 1_800_000 + SIZE,
  },
  { file: { cutAfter: (n) => (n + 1) * 600_000, range: 'ignore', etag }, why: 'the same by its ETag' },
  {
    file: {
      bytes: (n) => (n === 0 ? other : bytes),
      cutAfter: (n) => (n === 0 ? 500_000 : undefined),
      range: 'ignore',
    },
    why: 'another file at the second try, Range ignored',
    starts: [0, 0],
  },
  {
    file: { bytes: (n) => (n === 0 ? other : bytes), cutAfter: (n) => (n === 0 ? 500_000 : undefined) },
    why: 'another file of the same size at the second try, no validator: the overlap shows it',
    starts: [0, 0],
  },
  {
    file: {
      bytes: (n) => (n === 0 ? other : bytes),
      etag: (n) => (n === 0 ? '"v0"' : etag),
      cutAfter: (n) => (n === 0 ? 500_000 : undefined),
    },
    why: 'another ETag at the second try: If-Range brings the whole',
    starts: [0, 0],
    sentMax: SIZE + 500_000 + RESUME_TAIL_BYTES,
  },
  {
    file: {
      bytes: (n) => (n === 0 ? someBytes(SIZE + 5) : bytes),
      cutAfter: (n) => (n === 0 ? 500_000 : undefined),
    },
    why: 'the same beginning, another length',
    starts: [0, 0],
  },
  {
    file: {
      bytes: (n) => (n === 0 ? someBytes(SIZE + 5) : bytes),
      cutAfter: (n) => (n === 0 ? 500_000 : undefined),
      range: 'ignore',
    },
    why: 'the same beginning, another length, Range ignored',
    starts: [0, 0],
  },
  {
    file: {
      bytes: (n) => (n === 0 ? other : bytes.subarray(0, 1000)),
      cutAfter: (n) => (n === 0 ? 500_000 : undefined),
    },
    why: 'a shorter file at the second try: 416',
    expected: bytes.subarray(0, 1000),
    starts: [0, 0],
  },
  {
    file: { cutAfter: (n) => (n === 0 ? 500_000 : undefined), range: 'shifted', etag },
    why: 'a 206 from another byte than asked is not believed',
    starts: [0, 0],
  },
  {
    file: { cutAfter: (n) => (n === 0 ? 500_000 : undefined), partBytesMax: 300_000, etag },
    why: 'parts that are shorter than what is left',
  },
  {
    file: {
      ...{ cutAfter: (n: number) => (n === 0 ? 500_000 : undefined), partBytesMax: 300_000, isChunked: true },
      contentRange: (at: number) => `bytes ${at}-${Math.min(at + 300_000, SIZE) - 1}/*`,
    },
    why: 'parts of a file whose size nobody says: a part is no end',
  },
  {
    file: {
      ...{
        cutAfter: (n: number) => (n === 0 ? 500_000 : undefined),
        partBytesMax: 300_000,
        isChunked: true,
        etag,
      },
      contentRange: (at: number) => `bytes ${at}-${Math.min(at + 300_000, SIZE) - 1}/*`,
    },
    why: 'the same under an ETag',
  },
  {
    file: {
      ...{ cutAfter: (n: number) => (n === 0 ? 500_000 : undefined), partBytesMax: RESUME_TAIL_BYTES },
      ...{ isChunked: true, etag },
      contentRange: (at: number) => `bytes ${at}-${at + RESUME_TAIL_BYTES - 1}/*`,
    },
    why: 'parts that bring only what is here: the whole is asked for',
  },
  { file: { stallAfter: (n) => (n < 2 ? 500_000 : undefined), etag }, why: 'stalls', sentMax: 2 * SIZE },
  {
    file: { bytes: bytes.subarray(0, 3000), pieceBytes: 1 },
    why: 'trickles',
    expected: bytes.subarray(0, 3000),
  },
  { file: { status: (n) => (n < 6 ? 502 : 200) }, why: '502 six times, then the file' },
  {
    file: { status: (n) => (n % 2 === 0 ? 503 : 200), cutAfter: everyTenth, etag },
    why: '503 half of the time, and cuts',
  },
  { file: { status: (n) => (n === 0 ? 429 : 200), headers: { 'retry-after': '0' } }, why: '429 once' },
  { file: { isHungUp: (n) => n < 5 }, why: 'connections closed without an answer' },
  { file: { isGzipped: true }, why: 'gzip unasked' },
  {
    file: { isGzipped: true, cutAfter: (n) => (n === 0 ? 1_000_000 : undefined), etag },
    why: 'gzip unasked, cut: skipped, not joined',
  },
  { file: { bytes: new Uint8Array() }, why: 'an empty file', expected: new Uint8Array() },
  {
    file: { bytes: new Uint8Array(), isChunked: true },
    why: 'an empty chunked file',
    expected: new Uint8Array(),
  },
];

for (const { file, why, expected = bytes, starts = [0], sentMax } of survived) {
  test(`survived: ${why}`, async (t) => {
    const server = await faulty(t);
    server.serve(PATH, { bytes, ...file });
    const { upstream } = rig(t, server.url, { timeouts: impatient(file) });
    const got = await collect(upstream.stream(ask()));
    assertSame(got.bytes, expected);
    assert.deepEqual(
      got.starts.map(({ offset }) => offset),
      starts,
    );
    if (sentMax !== undefined)
      assert.ok(server.bytesSent <= sentMax, `${server.bytesSent} bytes sent, at most ${sentMax}`);
  });
}

type Failing = {
  file: FaultyFile;
  kind: 'upstream-failed' | 'upstream-down' | 'loop';
  message: RegExp;
  why: string;
  requestsMax: number;
};

const failing: Failing[] = [
  {
    file: { cutAfter: 0 },
    kind: 'upstream-failed',
    message: /closed in the middle/,
    why: 'never a byte',
    requestsMax: 8,
  },
  {
    file: { cutAfter: 500_000, range: 'ignore' },
    kind: 'upstream-failed',
    message: /closed in the middle/,
    why: 'never past the same byte',
    requestsMax: 9,
  },
  {
    file: { lengthOff: 10 },
    kind: 'upstream-failed',
    message: /closed in the middle|more bytes|no sense/,
    why: 'fewer bytes than promised, for ever',
    requestsMax: 20,
  },
  {
    file: { bytes: (n) => someBytes(SIZE, n + 1), cutAfter: 500_000 },
    kind: 'upstream-failed',
    message: /another file each time/,
    why: 'another file each time',
    requestsMax: 8,
  },
  {
    file: { stallAfter: 500_000, range: 'ignore', etag },
    kind: 'upstream-down',
    message: /stalled/,
    why: 'stalls at the same byte for ever',
    requestsMax: 6,
  },
  {
    file: { isSilent: true },
    kind: 'upstream-down',
    message: /no answer in time/,
    why: 'never an answer: the whole wait is over',
    requestsMax: 1,
  },
  {
    file: { status: 502 },
    kind: 'upstream-failed',
    message: /502 Bad Gateway$/,
    why: 'always 502',
    requestsMax: 16,
  },
  {
    file: { status: 500 },
    kind: 'upstream-failed',
    message: /500 Internal Server Error$/,
    why: '500 is not tried again',
    requestsMax: 1,
  },
  {
    file: { status: 403, text: 'policy: no' },
    kind: 'upstream-failed',
    message: /403 Forbidden: policy: no$/,
    why: '403 with words',
    requestsMax: 1,
  },
  { file: { status: 204 }, kind: 'upstream-failed', message: /204 No Content$/, why: '204', requestsMax: 1 },
  {
    file: { status: 206, headers: { 'content-range': 'bytes 0-1/2' } },
    kind: 'upstream-failed',
    message: /206/,
    why: '206 unasked',
    requestsMax: 1,
  },
  { file: { status: 508 }, kind: 'loop', message: /508/, why: '508', requestsMax: 1 },
  {
    file: { bytes: Buffer.from('<!DOCTYPE html><p>Log in</p>') },
    kind: 'upstream-failed',
    message: /web page/,
    why: 'a captive portal',
    requestsMax: 1,
  },
  {
    file: { headers: { 'content-encoding': 'br' } },
    kind: 'upstream-failed',
    message: /encoded.*: br/,
    why: 'another encoding',
    requestsMax: 1,
  },
  {
    file: { headers: { 'content-encoding': 'gzip' } },
    kind: 'upstream-failed',
    message: /gzip/,
    why: 'gzip that is none',
    requestsMax: 8,
  },
  {
    file: { bytes: someBytes(3_000_001) },
    kind: 'upstream-failed',
    message: /larger than 3000000 bytes/,
    why: 'too large, said so',
    requestsMax: 1,
  },
  {
    file: { bytes: someBytes(3_000_001), isChunked: true },
    kind: 'upstream-failed',
    message: /larger than/,
    why: 'too large, not said',
    requestsMax: 1,
  },
  {
    file: { bytes: new Uint8Array(30_000_000), isGzipped: true },
    kind: 'upstream-failed',
    message: /larger than/,
    why: 'a bomb',
    requestsMax: 1,
  },
];

for (const { file, kind, message, why, requestsMax } of failing) {
  test(`failed: ${why}`, async (t) => {
    const server = await faulty(t);
    server.serve(PATH, { bytes, ...file });
    const { upstream } = rig(t, server.url, { timeouts: impatient(file) });
    const error = await failure(collect(upstream.stream(ask(PATH, { bytesMax: 3_000_000 }))), kind);
    assert.match(error.message, message);
    assert.ok(error.message.includes(`"${PATH}" from 127.0.0.1:${server.port}`), error.message);
    assert.ok(server.seen.length <= requestsMax, `${server.seen.length} requests, at most ${requestsMax}`);
  });
}

test('a 404 in the middle of a file is no 404', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes, cutAfter: 500_000, status: (n) => (n === 0 ? 200 : 404), text: 'gone' });
  const { upstream } = rig(t, server.url);
  const error = await failure(collect(upstream.stream(ask())), 'upstream-failed');
  assert.match(error.message, /gone in the middle/);
});

const patched: { etag: (nth: number) => string | undefined; isPatched: boolean; why: string }[] = [
  { etag: () => etag, isPatched: false, why: 'the strong ETag is repeated' },
  { etag: (n) => (n === 0 ? etag : undefined), isPatched: true, why: 'the ETag is not repeated' },
  { etag: () => 'W/"v1"', isPatched: true, why: 'a weak ETag vouches for nothing' },
  { etag: (n) => (n === 0 ? undefined : etag), isPatched: true, why: 'the first answer had no ETag' },
];
for (const range of ['unconditional', 'ignore'] as const) {
  for (const { etag, isPatched, why } of patched) {
    test(`content must be checked where bytes are joined unvouched: Range ${range}: ${why}`, async (t) => {
      const server = await faulty(t);
      server.serve(PATH, { bytes, etag, range, cutAfter: (n) => (n === 0 ? 500_000 : undefined) });
      const { upstream } = rig(t, server.url);
      let isMarked = false;
      for await (const event of upstream.stream(ask())) {
        if (event.kind === 'bytes' && event.isPatched) isMarked = true;
      }
      assert.equal(isMarked, isPatched);
    });
  }
}

const half = SIZE / 2;
const tail = bytes.subarray(half - RESUME_TAIL_BYTES, half);
const had: Progress = { offset: half, tail, size: SIZE, validator: {} };

const resumed: { file: FaultyFile; resume: Progress; start: number; sentMax: number; why: string }[] = [
  { file: {}, resume: had, start: half, sentMax: half + RESUME_TAIL_BYTES, why: 'the tail is compared' },
  {
    file: { etag },
    resume: { ...had, validator: { etag } },
    start: half,
    sentMax: half + RESUME_TAIL_BYTES,
    why: 'by ETag',
  },
  {
    file: { etag },
    resume: { ...had, validator: { etag: '"v0"' } },
    start: 0,
    sentMax: SIZE,
    why: 'by an old ETag',
  },
  {
    file: {},
    resume: { ...had, size: undefined },
    start: half,
    sentMax: half + RESUME_TAIL_BYTES,
    why: 'size not known',
  },
  { file: {}, resume: { ...had, size: SIZE - 1 }, start: 0, sentMax: 2 * SIZE, why: 'another size' },
  {
    file: {},
    resume: { ...had, tail: new Uint8Array(10) },
    start: 0,
    sentMax: 2 * SIZE,
    why: 'another tail',
  },
  {
    file: {},
    resume: { ...had, tail: new Uint8Array() },
    start: 0,
    sentMax: SIZE,
    why: 'nothing to compare',
  },
  {
    file: { range: 'ignore' },
    resume: had,
    start: half,
    sentMax: SIZE,
    why: 'Range ignored, but the tail is there',
  },
  { file: {}, resume: { ...had, offset: -1 }, start: 0, sentMax: SIZE, why: 'progress that cannot be' },
  {
    file: { etag },
    resume: { offset: SIZE, tail: bytes.subarray(-10), size: SIZE, validator: { etag } },
    start: SIZE,
    sentMax: 10,
    why: 'all is here',
  },
  {
    file: {},
    resume: { offset: SIZE, tail: bytes.subarray(-10), size: undefined, validator: {} },
    start: SIZE,
    sentMax: 10,
    why: 'all is here, nobody knew',
  },
];

for (const { file, resume, start, sentMax, why } of resumed) {
  test(`resumed after a restart: ${why}`, async (t) => {
    const server = await faulty(t);
    server.serve(PATH, { bytes, ...file });
    const { upstream } = rig(t, server.url);
    const before = Buffer.from(bytes.subarray(0, Math.max(resume.offset, 0)));
    const got = await collect(upstream.stream(ask(PATH, { resume })), before);
    assertSame(got.bytes, bytes);
    assert.deepEqual(
      got.starts.map(({ offset }) => offset),
      [start],
    );
    assert.ok(server.bytesSent <= sentMax, `${server.bytesSent} bytes sent, at most ${sentMax}`);
  });
}

test('the first event says size, validator and upstream', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes, etag, lastModified });
  const { upstream } = rig(t, server.url);
  const { starts } = await collect(upstream.stream(ask()));
  const expected = {
    kind: 'start',
    offset: 0,
    size: SIZE,
    validator: { etag, lastModified },
    upstream: `127.0.0.1:${server.port}`,
  };
  assert.deepEqual(starts, [expected]);
});

test('twenty breaks are survived, since each try gets further, and are counted', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes, cutAfter: SIZE / 20 + RESUME_TAIL_BYTES, etag });
  const { upstream, seen } = rig(t, server.url);
  assertSame((await collect(upstream.stream(ask()))).bytes, bytes);
  assert.equal(seen.resumes, 19);
  assert.equal(server.seen.length, 20);
});

test('leaving the iteration closes the connection', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes: someBytes(20_000_000) });
  const { upstream } = rig(t, server.url);
  for await (const event of upstream.stream(ask())) if (event.kind === 'bytes') break;
  await server.idle();
  assert.ok(server.bytesSent < 20_000_000, `${server.bytesSent} bytes sent`);
});

test('return() ends a stream that waits for bytes', async (t) => {
  const server = await faulty(t);
  server.serve(PATH, { bytes, stallAfter: 0 });
  const { upstream } = rig(t, server.url);
  const events = upstream.stream(ask())[Symbol.asyncIterator]();
  const pending = events.next();
  await server.asked(1);
  await events.return?.();
  assert.equal((await pending).done, true);
  await server.idle();
});

test('a consumer that takes nothing stops the server', async (t) => {
  const server = await faulty(t);
  const large = someBytes(30_000_000);
  server.serve(PATH, { bytes: large });
  const { upstream } = rig(t, server.url, { timeouts: { stallMs: 300 } });
  const events = upstream.stream(ask())[Symbol.asyncIterator]();
  await events.next();
  await server.stuck();
  assert.ok(server.bytesSent < 15_000_000, `${server.bytesSent} bytes were sent to nobody`);
  const rest: Uint8Array[] = [];
  for (let next = await events.next(); !next.done; next = await events.next()) {
    if (next.value.kind === 'bytes') rest.push(next.value.bytes);
  }
  assertSame(Buffer.concat(rest), large);
  assert.equal(server.seen.length, 1, 'a pause is no stall');
});
