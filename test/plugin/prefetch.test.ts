// Goal: what a command will ask for comes in one request; whatever is wrong with a stream, no get gets a wrong byte or waits long.
// Method: a real HTTP server on loopback whose streams each test makes up, and a real local directory.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { brotliCompressSync, zstdCompressSync } from 'node:zlib';
import { encodeDelta } from '../../src/core/delta.ts';
import { encodeFrameHead, encodeIndex, FRAME, PREFETCH_HEADER } from '../../src/core/session-wire.ts';
import { HOST_MARK } from '../../src/plugin/host-bound.ts';
import { PREFETCH_VAIN_MS_MAX, PREFETCH_WAIT_MS } from '../../src/plugin/limits.ts';
import { LocalCache } from '../../src/plugin/local-cache.ts';
import { heldActions, openPrefetch } from '../../src/plugin/open-prefetch.ts';
import { Prefetch } from '../../src/plugin/prefetch.ts';
import { RemoteCache } from '../../src/plugin/remote-cache.ts';
import { RemoteSessions } from '../../src/plugin/remote-sessions.ts';
import { withChange } from '../support/go-archive.ts';
import { tempDir } from '../support/temp-dir.ts';
import { wideFrame } from '../support/wide-window.ts';

const NAME = { key: id('key'), project: id('project'), module: id('module'), label: 'go build' };

function id(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

async function rig(t: TestContext, answer: Answer, { bytesMax = 1e9, trusts = true } = {}) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    request.resume();
    // The client asks for something short to learn how far the server is.
    if (request.method === 'HEAD') response.writeHead(404).end();
    else {
      requests.push(request);
      answer(response, request);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const url = new URL(`http://127.0.0.1:${port}`);
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  const directory = join(tempDir(t), 'cache');
  const local = new LocalCache({ directory, namespace: 'main', now: Date.now, warn });
  const signatures = { accepts: () => trusts, sign: () => undefined };
  const [timeoutMs, namespace, now] = [1_000, 'main', Date.now];
  const remote = new RemoteCache({
    url,
    token: undefined,
    timeoutMs,
    shareCgo: 'off',
    host: { actionFor: async () => undefined },
    namespace,
    signatures,
    now,
    warn,
  });
  const options = { prefetchBytesMax: bytesMax, deltas: true, shareCgo: 'off' } as const;
  const parts = { name: NAME, local, sessions: new RemoteSessions(remote.server), signatures, options, now };
  t.after(() => remote.close());
  const open = () => {
    const prefetch = openPrefetch(parts);
    t.after(() => prefetch.close());
    return prefetch;
  };
  return { local, requests, warnings, parts, open };
}

const OUTPUTS = [randomBytes(100_000), Buffer.alloc(0), randomBytes(10), randomBytes(3)];
const ROWS = OUTPUTS.map((bytes, at) => ({
  actionId: id(`action ${at}`),
  outputId: id(bytes),
  size: bytes.length,
  time: `170000000000000000${at}`,
  note: undefined,
}));

function framesOf(row: number, bytes: Uint8Array, length = bytes.length): Buffer {
  return Buffer.concat([encodeFrameHead({ row, kind: FRAME.bytes, length }), bytes]);
}

/** As a server sends it, with some rows' frames exchanged. */
function streamOf(frames: Readonly<Record<number, Buffer>> = {}): Buffer {
  const all = OUTPUTS.map((bytes, row) => frames[row] ?? (bytes.length === 0 ? bytes : framesOf(row, bytes)));
  return Buffer.concat([encodeIndex(ROWS), ...all]);
}

type Got = 'entry' | 'miss' | 'alone';

/** What the gets of all rows come to; what they give is what the row names. */
async function gets({ open }: Pick<Awaited<ReturnType<typeof rig>>, 'open'>): Promise<Got[]> {
  const prefetch = open();
  const got = await Promise.all(ROWS.map(({ actionId }) => prefetch.get(actionId)));
  return got.map((one, at) => {
    if (one === 'alone') return 'alone';
    if (one.entry === undefined) return 'miss';
    assert.equal(id(readFileSync(one.entry.path)), ROWS[at]?.outputId);
    assert.equal(one.entry.time, ROWS[at]?.time);
    return 'entry';
  });
}

test('all gets are answered by one request, and the next command says what is here', async (t) => {
  const made = await rig(t, (response) => response.end(streamOf()));
  assert.deepEqual(await gets(made), ['entry', 'entry', 'entry', 'entry']);
  assert.equal(made.requests.length, 1);
  assert.equal(made.requests[0]?.headers[PREFETCH_HEADER], '1000000000');
  for (const { actionId } of ROWS) assert.ok(made.local.get(actionId));
  heldActions(made.parts).add(ROWS.map(({ actionId }) => actionId));
  await gets(made);
  assert.equal(made.requests[1]?.headers['content-length'], '32');
});

const packings = [
  { encoding: 'zstd', pack: zstdCompressSync },
  { encoding: 'br', pack: brotliCompressSync },
];
for (const { encoding, pack } of packings) {
  test(`a packed stream is unpacked: ${encoding}`, async (t) => {
    const made = await rig(t, (response) =>
      response.writeHead(200, { 'content-encoding': encoding }).end(pack(streamOf())),
    );
    assert.deepEqual(await gets(made), ['entry', 'entry', 'entry', 'entry']);
  });
}

test('a stream that asks for a wide window is not read', async (t) => {
  const stream = await wideFrame(streamOf());
  const made = await rig(t, (response) =>
    response.writeHead(200, { 'content-encoding': 'zstd' }).end(stream),
  );
  assert.deepEqual(await gets(made), ['alone', 'alone', 'alone', 'alone']);
});

const FAULTS: { why: string; answer: Answer; got: readonly Got[] }[] = [
  {
    why: 'other bytes than the ID names cost that row',
    answer: (response) => response.end(streamOf({ 0: framesOf(0, randomBytes(100_000)) })),
    got: ['alone', 'entry', 'entry', 'entry'],
  },
  {
    why: 'too many bytes cost that row',
    answer: (response) => response.end(streamOf({ 2: framesOf(2, randomBytes(50_000)) })),
    got: ['entry', 'entry', 'alone', 'entry'],
  },
  {
    why: 'too few bytes cost that row',
    answer: (response) => response.end(streamOf({ 2: framesOf(2, randomBytes(9)) })),
    got: ['entry', 'entry', 'alone', 'entry'],
  },
  {
    why: 'a row that the server can not read is asked for alone',
    answer: (response) =>
      response.end(streamOf({ 2: encodeFrameHead({ row: 2, kind: FRAME.gone, length: 0 }) })),
    got: ['entry', 'entry', 'alone', 'entry'],
  },
  {
    why: 'a row that is none costs nothing',
    answer: (response) => response.end(streamOf({ 1: framesOf(9_999, randomBytes(7)) })),
    got: ['entry', 'entry', 'entry', 'entry'],
  },
  {
    why: 'a frame of no known kind ends the stream',
    answer: (response) => response.end(streamOf({ 2: encodeFrameHead({ row: 2, kind: 9, length: 1 }) })),
    got: ['entry', 'entry', 'alone', 'alone'],
  },
  {
    why: 'a stream that is cut costs what did not come',
    answer: (response) => response.writeHead(200).write(streamOf().subarray(0, -8), () => response.destroy()),
    got: ['entry', 'entry', 'entry', 'alone'],
  },
  {
    why: 'a stream that stands still costs what did not come',
    answer: (response) => response.writeHead(200).write(streamOf().subarray(0, -8)),
    got: ['entry', 'entry', 'entry', 'alone'],
  },
  {
    why: 'an index that comes byte by byte',
    answer: (response) => {
      let at = 0;
      response.writeHead(200);
      const timer = setInterval(() => response.write(streamOf().subarray(at, ++at)), 300);
      response.on('close', () => clearInterval(timer));
    },
    got: ['alone', 'alone', 'alone', 'alone'],
  },
  { why: 'no answer', answer: () => {}, got: ['alone', 'alone', 'alone', 'alone'] },
  {
    why: 'a page instead of a stream',
    answer: (response) => response.end('<html>hello</html>'),
    got: ['alone', 'alone', 'alone', 'alone'],
  },
  {
    why: 'packed, it says, and is not',
    answer: (response) => response.writeHead(200, { 'content-encoding': 'zstd' }).end(streamOf()),
    got: ['alone', 'alone', 'alone', 'alone'],
  },
  {
    why: 'a session that nobody put',
    answer: (response) => response.writeHead(404).end(),
    got: ['alone', 'alone', 'alone', 'alone'],
  },
];
for (const { why, answer, got } of FAULTS) {
  test(`what is wrong with a stream costs round trips only: ${why}`, async (t) => {
    assert.deepEqual(await gets(await rig(t, answer)), got);
  });
}

test('a stream that crawls holds gets up for a bounded time in all', async (t) => {
  const rows = Array.from({ length: 40 }, (_, at) => ({
    actionId: id(`row ${at}`),
    outputId: id(`output ${at}`),
    size: 1_000,
    time: '1',
    note: undefined,
  }));
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() });
  const { open } = await rig(t, (response) => response.writeHead(200).write(encodeIndex(rows)));
  const beganMs = Date.now();
  const prefetch = open();
  await prefetch.get(id('not in the index'));
  for (let at = 0; at < rows.length; at += 4) {
    let isOver = false;
    const some = rows.slice(at, at + 4).map(({ actionId }) => prefetch.get(actionId));
    const all = Promise.all(some).finally(() => {
      isOver = true;
    });
    for (;;) {
      await new Promise(setImmediate);
      if (isOver) break;
      t.mock.timers.tick(PREFETCH_WAIT_MS);
    }
    assert.deepEqual(await all, ['alone', 'alone', 'alone', 'alone']);
  }
  assert.equal(Date.now() - beganMs, PREFETCH_VAIN_MS_MAX);
});

test('outputs past the bound are asked for alone, at once', async (t) => {
  const made = await rig(t, (response) => response.writeHead(200).write(streamOf({ 0: Buffer.alloc(0) })), {
    bytesMax: 50,
  });
  assert.deepEqual(await gets(made), ['alone', 'entry', 'entry', 'entry']);
});

test('an entry that nobody trusted has signed is a miss, an empty one too', async (t) => {
  const made = await rig(t, (response) => response.end(streamOf()), { trusts: false });
  assert.deepEqual(await gets(made), ['miss', 'miss', 'miss', 'miss']);
  for (const { actionId } of ROWS) assert.equal(made.local.get(actionId), undefined);
});

for (const { why, bytes, got } of [
  {
    why: "another machine's module index is a miss",
    bytes: Buffer.from('go index v2\n'),
    got: { entry: undefined },
  },
  { why: 'an output that depends on the host is asked for alone', bytes: HOST_MARK, got: 'alone' },
])
  test(why, async (t) => {
    const row = {
      ...ROWS[0],
      actionId: id('a'),
      outputId: id(bytes),
      size: bytes.length,
      time: '1',
      note: undefined,
    };
    const { open } = await rig(t, (response) =>
      response.end(Buffer.concat([encodeIndex([row]), framesOf(0, bytes)])),
    );
    assert.deepEqual(await open().get(row.actionId), got);
  });

test('at the end of a command all that waits is let go', async (t) => {
  const { open } = await rig(t, (response) => response.writeHead(200).write(encodeIndex(ROWS)));
  const prefetch = open();
  const get = prefetch.get(ROWS[0]?.actionId ?? '');
  await prefetch.get(ROWS[1]?.actionId ?? ''); // The index is here.
  prefetch.close();
  assert.equal(await get, 'alone');
  const late = open();
  late.close();
  assert.equal(await late.get(ROWS[0]?.actionId ?? ''), 'alone');
});

for (const { why, write, wrong } of [
  {
    why: 'a full disk',
    write: () => {
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' });
    },
    wrong: [],
  },
  { why: 'another output', write: () => {}, wrong: [0] },
]) {
  test(`whether a row is told to be wrong: ${why}`, async () => {
    const told: number[] = [];
    const seal = () => {
      throw new Error('body does not match its OutputID');
    };
    const put = { write, seal, abort: () => {}, isWhole: true };
    const row = { actionId: id('a'), outputId: id('b'), size: 1, time: '1', note: undefined };
    const prefetch = new Prefetch({
      local: { beginPut: () => put } as unknown as LocalCache,
      bytesMax: 10,
      open: async () => ({
        read: async (sink) => {
          sink.onIndex([row]);
          sink.onBytes(0, Buffer.from('x'));
        },
        onWrong: (number) => told.push(number),
        close: () => {},
      }),
      accepts: () => true,
      isShareable: () => true,
      now: () => 0,
    });
    assert.equal(await prefetch.get(row.actionId), 'alone');
    assert.deepEqual(told, wrong);
  });
}

test('a list of held actions that is damaged names fewer of them', async (t) => {
  const { parts } = await rig(t, () => {});
  const held = heldActions(parts);
  held.add([id('a'), id('b')]);
  assert.deepEqual(held.read(), [id('a'), id('b')]);
  held.add([id('b'), id('c')]);
  assert.deepEqual(held.read(), [id('b'), id('c'), id('a')]);
  writeFileSync(parts.local.ownPath(`sessions/${NAME.module}`), Buffer.alloc(33));
  assert.deepEqual(held.read(), ['0'.repeat(64)]);
});

const NEW = withChange(OUTPUTS[0] ?? Buffer.alloc(0), 50_000);
const NEW_ROW = {
  actionId: id('new action'),
  outputId: id(NEW),
  size: NEW.length,
  time: '1',
  note: undefined,
};

/** The frames of `NEW` as a server sends them, some of them exchanged. */
function deltaFrames({
  base = Buffer.from(id(OUTPUTS[0] ?? ''), 'hex'),
  delta = Buffer.from(encodeDelta({ at: 0, content: NEW }, { at: 0, bytes: OUTPUTS[0] ?? Buffer.alloc(0) })),
} = {}): Buffer {
  return Buffer.concat([
    encodeFrameHead({ row: 0, kind: FRAME.base, length: base.length }),
    base,
    encodeFrameHead({ row: 0, kind: FRAME.delta, length: delta.length }),
    delta,
    framesOf(1, OUTPUTS[2] ?? Buffer.alloc(0)),
  ]);
}

/** A client that has the first output; then what its gets of the new one, and of another, come to. */
async function getNew(
  t: TestContext,
  frames: Buffer,
  { before = (_path: string) => {}, pieceBytes = 1e9 } = {},
) {
  const index = encodeIndex([NEW_ROW, ...ROWS.slice(2, 3)]);
  const made = await rig(t, (response) => {
    const stream = Buffer.concat([index, frames]);
    for (let at = 0; at < stream.length; at += pieceBytes)
      response.write(stream.subarray(at, at + pieceBytes));
    response.end();
  });
  const old = made.local.beginPut(ROWS[0] ?? NEW_ROW);
  old.write(OUTPUTS[0] ?? Buffer.alloc(0));
  const path = old.seal();
  before(path);
  const prefetch = made.open();
  const [got, other] = [await prefetch.get(NEW_ROW.actionId), await prefetch.get(ROWS[2]?.actionId ?? '')];
  assert.ok(other !== 'alone' && other.entry !== undefined, 'the stream goes on');
  if (got !== 'alone') assert.equal(id(readFileSync(got.entry?.path ?? '')), NEW_ROW.outputId);
  return { got, prefetch, path };
}

test('an output comes as a delta against one that is here, in pieces of any size', async (t) => {
  for (const pieceBytes of [1e9, 1]) {
    const { got, prefetch } = await getNew(t, deltaFrames(), { pieceBytes });
    assert.notEqual(got, 'alone');
    assert.equal(prefetch.deltaContentBytes, NEW.length);
    assert.ok(prefetch.deltaBytes < 100);
  }
});

const BAD_DELTAS: { why: string; frames: Buffer; before?: (path: string) => void }[] = [
  { why: 'the old output is gone', frames: deltaFrames(), before: (path) => rmSync(path) },
  {
    why: 'the old output is another',
    frames: deltaFrames(),
    before: (path) => writeFileSync(path, randomBytes(100_000)),
  },
  {
    why: 'the old output is cut',
    frames: deltaFrames(),
    before: (path) => writeFileSync(path, randomBytes(10)),
  },
  { why: 'no such output', frames: deltaFrames({ base: randomBytes(32) }) },
  { why: 'garbage', frames: deltaFrames({ delta: randomBytes(500) }) },
  { why: 'copies from nowhere', frames: deltaFrames({ delta: Buffer.from('00ffff7f00', 'hex') }) },
  { why: 'too many bytes', frames: deltaFrames({ delta: Buffer.from('00a08d0600', 'hex') }) },
  { why: 'nothing in it', frames: deltaFrames({ delta: Buffer.alloc(0) }) },
  { why: 'no old output is named', frames: deltaFrames().subarray(9 + 32) },
];
for (const { why, frames, before } of BAD_DELTAS) {
  test(`what is wrong with a delta costs that row: ${why}`, async (t) => {
    const { got } = await getNew(t, frames, before === undefined ? {} : { before });
    assert.equal(got, 'alone');
  });
}

test('a damaged old output is removed when what was made of it is wrong; a good one stays', async (t) => {
  const damage = (path: string) => writeFileSync(path, randomBytes(100_000));
  const damaged = await getNew(t, deltaFrames(), { before: damage });
  assert.equal(existsSync(damaged.path), false);
  const wrong = await getNew(t, deltaFrames({ delta: Buffer.concat([Buffer.from([3, 1, 2, 3, 0])]) }));
  assert.equal(existsSync(wrong.path), true);
});

test('a frame of a delta that is too long ends the stream', async (t) => {
  const frames = encodeFrameHead({ row: 0, kind: FRAME.delta, length: 2 ** 31 });
  const { open } = await rig(t, (response) => response.end(Buffer.concat([encodeIndex([NEW_ROW]), frames])));
  assert.equal(await open().get(NEW_ROW.actionId), 'alone');
});
