// Goal: a command beside a running server writes as if the store were its own, and no more than that.
// Method: both ends over a real socket, with a store that records its calls; raw bytes for the hostile.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connectControl, type ServerStore } from '../../src/control/control-client.ts';
import { CONTROL_PROTOCOL } from '../../src/control/control-messages.ts';
import { controlPath } from '../../src/control/control-path.ts';
import { type ControlHandlers, ControlServer } from '../../src/control/control-server.ts';
import {
  CONTROL_BYTES_IN_FLIGHT_MAX,
  CONTROL_CALLS_MAX,
  CONTROL_FRAME_BYTES_MAX,
} from '../../src/control/limits.ts';
import { Busy, StoreFailed } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { packStreamFrame } from '../../src/wire/stream-frame.ts';
import { tempDir } from '../support/temp-dir.ts';

type Call = { readonly call: string; readonly args: Record<string, unknown> };

class Rig {
  readonly path: string;
  readonly calls: Call[] = [];
  readonly refused: string[] = [];
  readonly bugs: unknown[] = [];
  /** What calls wait for before they answer. */
  gate: Promise<unknown> = Promise.resolve();
  server: ControlServer | undefined;
  #lastBlob = 100;
  #onCall: () => void = () => {};

  constructor(path: string) {
    this.path = path;
  }

  async listen(change: Partial<ControlHandlers> = {}): Promise<this> {
    this.server = await ControlServer.listen({
      path: this.path,
      handlers: { ...this.#handlers(), ...change },
      onRefused: (why) => this.refused.push(why),
      onBug: (_, error) => this.bugs.push(error),
    });
    return this;
  }

  /** Waits until `calls` came in all. */
  async until(calls: number): Promise<void> {
    while (this.calls.length < calls) await new Promise<void>((resolve) => (this.#onCall = resolve));
  }

  #handlers(): ControlHandlers {
    const answer = (call: string, reply: object) => async (args: object) => {
      this.calls.push({ call, args: args as Call['args'] });
      this.#onCall();
      await this.gate;
      return reply as never;
    };
    return {
      getStored: answer('getStored', { stored: [true, false] }),
      getKeys: answer('getKeys', { rows: [] }),
      getPartialKeys: answer('getPartialKeys', { rows: [] }),
      putEntry: answer('putEntry', { sha256: 'ab', blob: 7, kept: true }),
      openBlob: answer('openBlob', {}),
      putChunk: answer('putChunk', {}),
      sealBlob: answer('sealBlob', { sha256: 'cd', blob: 8 }),
      dropBlob: answer('dropBlob', {}),
      dropUnused: answer('dropUnused', {}),
      dropOutput: answer('dropOutput', { actions: 1 }),
      dropAction: answer('dropAction', {}),
      forgetActions: answer('forgetActions', { actions: 1, outputs: 1, storedBytes: 5, isDone: true }),
      forget: answer('forget', { answers: 1, negatives: 0, partials: 0, bodyBytes: 5 }),
      fetch: answer('fetch', { origin: 'upstream' }),
      pushUploads: answer('pushUploads', { queued: 3 }),
      bringSet: answer('bringSet', { brought: 3, lost: 1, bytes: 5 }),
      lookUp: answer('lookUp', { kind: 'private' }),
      forgetSumdb: answer('forgetSumdb', { files: 1, verdicts: 2 }),
      refreshVulns: answer('refreshVulns', {}),
      sumdbHead: answer('sumdbHead', { state: 'proxied', size: 5 }),
      sumdbLearn: answer('sumdbLearn', { state: 'proxied', size: 6 }),
      nextBlob: () => ++this.#lastBlob,
      waitForRoom: () => Promise.resolve(),
    };
  }
}

async function listening(t: TestContext, change: Partial<ControlHandlers> = {}): Promise<Rig> {
  const rig = await new Rig(join(tempDir(t), 'a.db.sock')).listen(change);
  t.after(() => rig.server?.stop());
  return rig;
}

async function connected(t: TestContext, rig: Rig): Promise<ServerStore> {
  const client = await connectControl(rig.path);
  assert.ok(client);
  t.after(() => client.close());
  return client;
}

/** Time for whatever else would come to come: each turn reads all sockets. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const KEY = 'example.com/a/@v/v1.0.0.zip';
const open = { key: `import:${KEY}`, size: 9, etag: undefined, lastModified: undefined, nowMs: 1 };
const seal = { key: KEY, size: 9, source: 'import', nowMs: 1 } as const;

test('calls and replies cross as they are', async (t) => {
  const rig = await listening(t);
  const client = await connected(t, rig);
  assert.deepEqual(await client.getStored({ keys: ['a', 'b'] }), { stored: [true, false] });
  const bytes = new Uint8Array(100_000).fill(7);
  const put = { key: KEY, status: 200, source: 'import', nowMs: 5, blob: client.nextBlob(), bytes } as const;
  assert.deepEqual(await client.putEntry(put), { sha256: 'ab', blob: 7, kept: true });
  assert.deepEqual(await client.fetch({ key: KEY }), { origin: 'upstream' });
  assert.deepEqual(await client.lookUp({ key: KEY }), { kind: 'private' });
  const [stored, entry, fetched] = rig.calls;
  assert.deepEqual(stored, { call: 'getStored', args: { keys: ['a', 'b'] } });
  assert.deepEqual(fetched, { call: 'fetch', args: { key: KEY } });
  assert.ok(Buffer.from(entry?.args.bytes as Uint8Array).equals(bytes));
  assert.equal(entry?.args.blob, 101, 'the serving process gives out blob ids');
});

test('a growing blob has one real id from its opening to its seal', async (t) => {
  const rig = await listening(t);
  const [one, two] = [await connected(t, rig), await connected(t, rig)];
  for (const client of [one, two]) {
    const blob = client.nextBlob();
    await client.openBlob({ ...open, blob });
    await client.putChunk({ blob, seq: 0, bytes: new Uint8Array(9) });
    await client.sealBlob({ ...seal, blob });
  }
  assert.deepEqual(
    rig.calls.map(({ call, args }) => [call, args.blob]),
    [101, 102].flatMap((blob) => ['openBlob', 'putChunk', 'sealBlob'].map((call) => [call, blob])),
  );
});

test('calls reach the store in their order, without waiting for each other', async (t) => {
  const rig = await listening(t);
  const client = await connected(t, rig);
  let release = () => {};
  rig.gate = new Promise<void>((resolve) => (release = resolve));
  const blob = client.nextBlob();
  const sent = [client.openBlob({ ...open, blob })];
  for (let seq = 0; seq < 5; seq++) sent.push(client.putChunk({ blob, seq, bytes: new Uint8Array(1) }));
  await rig.until(6);
  assert.deepEqual(
    rig.calls.map(({ args }) => args.seq),
    [undefined, 0, 1, 2, 3, 4],
  );
  release();
  await Promise.all(sent);
});

test('errors cross with their kind', async (t) => {
  const rig = await listening(t, { forget: () => Promise.reject(new Busy('it is just being fetched')) });
  const client = await connected(t, rig);
  await assert.rejects(
    client.forget({ keys: ['a'] }),
    (error: unknown) => error instanceof Busy && error.message === 'it is just being fetched',
  );
});

test('a bug in a call is the failure of that call alone, and is told', async (t) => {
  const rig = await listening(t, { getKeys: () => Promise.reject(new TypeError('oops')) });
  const client = await connected(t, rig);
  await assert.rejects(client.getKeys({ prefix: '', after: '' }), StoreFailed);
  assert.equal(rig.bugs.length, 1);
  assert.ok(await client.getStored({ keys: [] }));
});

test('who hangs up loses its growing blobs, and nobody else does', async (t) => {
  const rig = await listening(t);
  const [one, two] = [await connected(t, rig), await connected(t, rig)];
  await one.openBlob({ ...open, blob: 1 });
  await two.openBlob({ ...open, blob: 1 });
  one.close();
  await rig.until(3);
  assert.deepEqual(rig.calls[2], { call: 'dropBlob', args: { blob: 101 } });
  await two.sealBlob({ ...seal, blob: 1 });
  two.close();
  await rig.server?.stop();
  assert.equal(rig.calls.length, 4, 'a sealed blob is not dropped');
});

test('bytes that nobody commits are not read past their bound', async (t) => {
  const rig = await listening(t);
  const client = await connected(t, rig);
  let release = () => {};
  rig.gate = new Promise<void>((resolve) => (release = resolve));
  const count = (3 * CONTROL_BYTES_IN_FLIGHT_MAX) / CHUNK_BYTES;
  const sent = [client.openBlob({ ...open, blob: 1 })];
  for (let seq = 0; seq < count; seq++) {
    sent.push(client.putChunk({ blob: 1, seq, bytes: new Uint8Array(CHUNK_BYTES) }));
  }
  let hasRoom = false;
  void client.waitForRoom().then(() => {
    hasRoom = true;
  });
  const taken = CONTROL_BYTES_IN_FLIGHT_MAX / CHUNK_BYTES + 1;
  await rig.until(taken);
  await turns();
  assert.equal(rig.calls.length, taken);
  assert.equal(hasRoom, false, 'the sender is told to wait too');
  release();
  await Promise.all(sent);
  assert.equal(rig.calls.length, 1 + count);
});

test('calls that nobody answers are not taken past their bound', async (t) => {
  const rig = await listening(t);
  const client = await connected(t, rig);
  let release = () => {};
  rig.gate = new Promise<void>((resolve) => (release = resolve));
  const sent = Array.from({ length: 3 * CONTROL_CALLS_MAX }, () => client.fetch({ key: KEY }));
  await rig.until(CONTROL_CALLS_MAX);
  await turns();
  assert.equal(rig.calls.length, CONTROL_CALLS_MAX);
  release();
  await Promise.all(sent);
});

test('the socket is for its owner alone, and gone after the stop', async (t) => {
  const rig = await listening(t);
  assert.equal(statSync(rig.path).mode & 0o777, 0o600);
  await rig.server?.stop();
  assert.equal(existsSync(rig.path), false);
  assert.equal(await connectControl(rig.path), undefined, 'then nobody listens');
});

test("a dead server's socket is replaced", async (t) => {
  const path = join(tempDir(t), 'a.db.sock');
  const holder = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  const { spawnSync } = await import('node:child_process');
  spawnSync(process.execPath, ['-e', holder, path]);
  assert.ok(statSync(path).isSocket(), 'it was left behind');
  assert.equal(await connectControl(path), undefined);
  const rig = await new Rig(path).listen();
  t.after(() => rig.server?.stop());
  assert.ok(await connected(t, rig));
});

test("somebody's file of that name is left alone", async (t) => {
  const path = join(tempDir(t), 'a.db.sock');
  writeFileSync(path, 'mine');
  await assert.rejects(
    new Rig(path).listen(),
    /^StoreFailed: cannot open control socket "[^"\n]+": there is/,
  );
  assert.equal(readFileSync(path, 'utf8'), 'mine');
});

test('a server that goes away fails what is under way and all that comes', async (t) => {
  const rig = await listening(t);
  const client = await connected(t, rig);
  rig.gate = new Promise((resolve) => setImmediate(resolve));
  const underWay = assert.rejects(client.fetch({ key: KEY }), /^StoreFailed: cannot go on: lost the running/);
  await rig.until(1);
  await rig.server?.stop();
  await underWay;
  await assert.rejects(client.fetch({ key: KEY }), /run the same command again$/);
  await client.waitForRoom();
});

test('what is no server of ours is refused in one line', async (t) => {
  for (const [says, line] of [
    [
      packStreamFrame({ protocol: CONTROL_PROTOCOL + 1 }),
      new RegExp(`speaks protocol ${CONTROL_PROTOCOL + 1}, this command ${CONTROL_PROTOCOL};`),
    ],
    [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /it sent something else/],
    [Buffer.alloc(0), /it closed the connection/],
  ] as const) {
    const path = join(tempDir(t), 's');
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(says);
    }).listen(path);
    t.after(() => server.close());
    await once(server, 'listening');
    await assert.rejects(connectControl(path), (error: unknown) => {
      assert.ok(error instanceof StoreFailed);
      assert.match(error.message, line);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  }
});

const hello = packStreamFrame({ protocol: CONTROL_PROTOCOL });
const request = (value: object) => Buffer.concat([hello, packStreamFrame(value)]);
const length = (bytes: number) => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(bytes);
  return head;
};

const hostile: { bytes: Buffer; line: RegExp; why: string }[] = [
  { bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n'), line: /frame of \d+ bytes/, why: 'another protocol' },
  { bytes: length(CONTROL_FRAME_BYTES_MAX + 1), line: /frame of \d+ bytes/, why: 'a frame over the bound' },
  { bytes: Buffer.concat([length(3), Buffer.from('\x81\xa1')]), line: /no message/, why: 'no msgpack' },
  { bytes: packStreamFrame(7), line: /not an object/, why: 'a greeting that is none' },
  { bytes: packStreamFrame({ protocol: 99 }), line: /another Astera: protocol 99/, why: 'another Astera' },
  { bytes: request({ id: 1, call: 'checkpoint', args: {} }), line: /no such call/, why: 'a call not for it' },
  { bytes: request({ id: 1, call: 'toString', args: {} }), line: /no such call/, why: 'an inherited name' },
  {
    bytes: request({ id: -1, call: 'fetch', args: { key: 'k' } }),
    line: /not a count/,
    why: 'an id below 0',
  },
  {
    bytes: request({ id: 1, call: 'fetch', args: { key: 5 } }),
    line: /not a text/,
    why: 'a key of a number',
  },
  {
    bytes: request({ id: 1, call: 'fetch', args: { key: 'x'.repeat(5000) } }),
    line: /not a text/,
    why: 'an endless key',
  },
  {
    bytes: request({ id: 1, call: 'forget', args: { keys: Array(2000).fill('k') } }),
    line: /not a list/,
    why: 'too many keys',
  },
  {
    bytes: request({
      id: 1,
      call: 'putChunk',
      args: { blob: 1, seq: 0, bytes: Buffer.alloc(CHUNK_BYTES + 1) },
    }),
    line: /not the bytes/,
    why: 'a chunk that is too large',
  },
  {
    why: 'a chunk in the place of another blob',
    bytes: request({ id: 1, call: 'putChunk', args: { blob: 1, seq: 2 ** 20, bytes: Buffer.alloc(1) } }),
    line: /not a number up to/,
  },
  {
    bytes: request({ id: 1, call: 'putChunk', args: { blob: 1, seq: 1.5, bytes: Buffer.alloc(1) } }),
    line: /not a count/,
    why: 'half a chunk',
  },
];

for (const { bytes, line, why } of hostile) {
  test(`cut off, with a line in the log: ${why}`, async (t) => {
    const rig = await listening(t);
    const socket = connect(rig.path);
    socket.on('error', () => {}); // A reset is as good as an end.
    socket.resume();
    socket.write(bytes);
    await once(socket, 'close');
    await rig.server?.stop();
    assert.equal(rig.refused.length, 1);
    assert.match(rig.refused[0] ?? '', line);
    assert.deepEqual(rig.calls, []);
  });
}

test("another connection's blob is refused", async (t) => {
  const rig = await listening(t);
  const [one, two] = [await connected(t, rig), await connected(t, rig)];
  await one.openBlob({ ...open, blob: 1 });
  for (const call of [
    () => two.putChunk({ blob: 1, seq: 0, bytes: new Uint8Array(1) }),
    () => two.sealBlob({ ...seal, blob: 1 }),
    () => two.dropBlob({ blob: 1 }),
  ]) {
    await assert.rejects(call(), /^BadRequest: no blob 1 grows$/);
  }
  assert.equal(rig.calls.length, 1);
});

test('a number that names a growing blob cannot name another one, and can when that is whole', async (t) => {
  const rig = await listening(t);
  const client = await connected(t, rig);
  await client.openBlob({ ...open, blob: 1 });
  await assert.rejects(client.openBlob({ ...open, blob: 1 }), /^BadRequest: blob 1 grows already$/);
  await client.sealBlob({ ...seal, blob: 1 });
  await client.openBlob({ ...open, blob: 1 });
  const opened = rig.calls.filter(({ call }) => call === 'openBlob').map(({ args }) => args.blob);
  assert.equal(new Set(opened).size, 2, 'each has a real number of its own');
});

test('a path too long for a socket is said, or named from here', () => {
  assert.equal(controlPath('/x/a.db'), '/x/a.db.sock');
  const long = join(process.cwd(), 'd'.repeat(60), 'a.db');
  assert.equal(controlPath(long), `${'d'.repeat(60)}/a.db.sock`);
  assert.throws(() => controlPath(`/${'d'.repeat(200)}/a.db`), /^StoreFailed: cannot use control socket/);
});
