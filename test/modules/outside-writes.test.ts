// Goal: a command's write beside a server never disturbs a download, and no client gets the old file after it.
// Method: the real flights and memory over a store that answers when the test says so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoredFile } from '../../src/core/answer.ts';
import { BadRequest, Busy } from '../../src/core/errors.ts';
import { Memory } from '../../src/flight/memory.ts';
import { ReadThrough } from '../../src/flight/read-through.ts';
import { Singleflight } from '../../src/flight/singleflight.ts';
import { WeakCache } from '../../src/flight/weak-cache.ts';
import type { Found, Read } from '../../src/modules/found.ts';
import { OutsideWrites } from '../../src/modules/outside-writes.ts';

const KEY = 'example.com/a/@v/v1.0.0.mod';
const put = { key: KEY, status: 200, source: 'import', nowMs: 1, blob: 1 } as const;
const bytes = Buffer.from('module example.com/a\n');

function stored(body: Uint8Array | undefined): StoredFile {
  const of = {
    kind: 'mod',
    status: 200,
    size: 1,
    blob: undefined,
    sha256: '',
    freshUntilMs: Infinity,
    visibility: 'public',
  } as const;
  return new StoredFile({ ...of, body });
}

function rig() {
  const bounds = { flightsMax: 10, waitersMax: 10 };
  const cache = new WeakCache<never>({ strongBytesMax: 1e6, weakBytesMax: 1e6, strongMs: 1e6, now: () => 0 });
  const reads = new Singleflight<Read>(bounds);
  const fetches = new Singleflight<Found>(bounds);
  const memory = new Memory({ cache, store: {} as never, flights: new Singleflight(bounds) });
  let commit = () => {};
  const committed = new Promise<void>((resolve) => (commit = resolve));
  const calls: string[] = [];
  const store = {
    putEntry: async () => {
      calls.push('put');
      await committed;
      return { sha256: 'ab', blob: undefined, kept: true };
    },
    sealBlob: async () => {
      calls.push('seal');
      await committed;
      return { sha256: 'cd', blob: 42 };
    },
    forget: async () => {
      calls.push('forget');
      await committed;
      return { answers: 1, negatives: 0, partials: 0, bodyBytes: 1 };
    },
    letGo: async () => {
      calls.push('let go');
      await committed;
      return { files: 1, bodyBytes: 1 };
    },
    dropEntry: async () => {
      calls.push('drop');
      await committed;
      return {};
    },
  };
  const writes = new OutsideWrites({ store, memory, readThrough: new ReadThrough({ reads, fetches }) });
  return { writes, memory, reads, fetches, commit, calls };
}

test('a client that asks during a write gets the written file', async () => {
  const { writes, fetches, commit } = rig();
  const writing = writes.putEntry({ ...put, bytes });
  const asked = fetches.do(`fetch:${KEY}`, () => assert.fail('no second flight'));
  commit();
  const found = await asked;
  assert.ok('file' in found && found.origin === 'store');
  assert.deepEqual(found.file.body, bytes);
  assert.equal((await writing).sha256, 'ab');
  assert.equal(fetches.size, 0, 'the key is free again');
});

test('a client that asks during the write of a zip gets its blob, not its bytes', async () => {
  const { writes, fetches, commit } = rig();
  const key = 'example.com/a/@v/v1.0.0.zip';
  const writing = writes.sealBlob({ blob: 7, key, size: 1e6, source: 'import', nowMs: 1 });
  const asked = fetches.do(`fetch:${key}`, () => assert.fail('no second flight'));
  commit();
  const found = await asked;
  assert.ok('file' in found);
  assert.deepEqual([found.file.blob, found.file.size, found.file.kind], [42, 1e6, 'zip']);
  await writing;
});

test('a write of a key that is being fetched is refused, and the store stays as it is', async () => {
  const { writes, fetches, calls } = rig();
  let land: (found: Found) => void = () => {};
  const fetching = fetches.do(`fetch:${KEY}`, () => new Promise((resolve) => (land = resolve)));
  await assert.rejects(writes.putEntry({ ...put, bytes }), Busy);
  await assert.rejects(writes.forget({ keys: ['other', KEY] }), Busy);
  assert.deepEqual(calls, []);
  land({ file: stored(bytes), origin: 'upstream' });
  await fetching;
});

test('memory forgets the old file, even one that a read under way brings', async () => {
  for (const write of ['putEntry', 'forget'] as const) {
    const { writes, memory, reads, commit } = rig();
    memory.setFile(KEY, stored(Buffer.from('old')));
    let land = () => {};
    const reading = reads.do(`read:${KEY}`, async () => {
      await new Promise<void>((resolve) => (land = resolve));
      memory.setFile(KEY, stored(Buffer.from('old')));
      return { file: undefined, partial: undefined };
    });
    const writing = write === 'forget' ? writes.forget({ keys: [KEY] }) : writes.putEntry({ ...put, bytes });
    commit();
    land();
    await Promise.all([reading, writing]);
    assert.equal(memory.file(KEY), undefined, write);
  }
});

test('a write that fails is not remembered', async () => {
  const { memory, reads, fetches } = rig();
  const store = { putEntry: () => Promise.reject(new Busy('no room')) } as never;
  const writes = new OutsideWrites({ store, memory, readThrough: new ReadThrough({ reads, fetches }) });
  await assert.rejects(writes.putEntry({ ...put, bytes }), /no room/);
  assert.equal(fetches.size, 0);
});

test('only files of versions are taken', async () => {
  const { writes, calls } = rig();
  for (const key of ['example.com/a/@v/list', 'example.com/a/@latest', 'example.com/a/@v/main.info', 'x']) {
    await assert.rejects(writes.putEntry({ ...put, key, bytes }), BadRequest, key);
  }
  assert.deepEqual(calls, []);
});
