// Goal: the build cache's rows hold what they promise: the first put wins, no wrong byte gets in, and expiry takes only what it may.
// Method: writer and reader of a real file; clocks are handed in; after each test the file is checked from outside.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ActionName, Encoding } from '../../src/core/build-cache-port.ts';
import { BadRequest, CheckFailed, NotFound, StoreFailed } from '../../src/core/errors.ts';
import { ACTION_NOTE_LENGTH_MAX, BUILD_CACHE_KEPT_MS, CHUNK_BYTES } from '../../src/core/limits.ts';
import { OUTPUT_PARTIAL_KEPT_MS } from '../../src/store/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { readStats } from '../../src/store/stats.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import {
  assertWhole,
  chunksOf,
  contentOf,
  outputOf,
  packed,
  put,
  putOutput,
  query,
  sha256Of,
} from './stores.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = 1_800_000_000_000;
const OLD_MS = NOW_MS - 2 * BUILD_CACHE_KEPT_MS;

class Opened {
  readonly path: string;
  writer: StoreWriter;
  readonly reader: StoreReader;
  monotonicMs = 0;
  /** Whether the wall clock that calls tell of went there by itself, and was not set. */
  isTrue = true;

  constructor(t: TestContext) {
    t.after(() => {
      this.reader.close();
      this.writer.close();
      assertWhole(this.path);
    });
    this.path = join(tempDir(t), 'a.db');
    this.writer = this.#open();
    this.reader = new StoreReader(this.path);
  }

  reopen(): void {
    this.writer.close();
    this.writer = this.#open();
  }

  #open(): StoreWriter {
    return new StoreWriter(this.path, 'shared', () => this.monotonicMs);
  }

  /** An action with an output of its own. */
  build(
    seed: number,
    nowMs: number,
    { size = 100, namespace = '' } = {},
  ): { name: ActionName; outputId: string } {
    if (this.isTrue) this.monotonicMs = nowMs;
    const bytes = contentOf(size, seed);
    const outputId = sha256Of(bytes);
    putOutput(this.writer, { bytes, blob: seed, nowMs });
    const name = { namespace, actionId: actionId(seed) };
    this.writer.inTransaction(() => this.writer.putAction({ ...name, outputId, time: '5', nowMs }));
    return { name, outputId };
  }

  /** What is left of actions, by their seeds. */
  left(): number[] {
    return query(this.path, 'SELECT time FROM action').length === 0
      ? []
      : Array.from({ length: 20 }, (_, seed) => seed).filter(
          (seed) =>
            this.reader.getAction({ namespaces: [''], actionId: actionId(seed), body: 'none' }).action,
        );
  }

  expire(
    nowMs: number,
    { unusedMs = 5 * BUILD_CACHE_KEPT_MS, storedBytesMax = 1e9, mayDropRecent = false } = {},
  ) {
    if (this.isTrue) this.monotonicMs = nowMs;
    const request = { nowMs, unusedMs, storedBytesMax, mayDropRecent };
    const total = { actions: 0, outputs: 0, storedBytes: 0 };
    for (;;) {
      const step = this.writer.inTransaction(() => this.writer.expireActions(request));
      total.actions += step.actions;
      total.outputs += step.outputs;
      total.storedBytes += step.storedBytes;
      if (step.isDone) return total;
    }
  }
}

function actionId(seed: number): string {
  return sha256Of(Buffer.from(`action ${seed}`));
}

const sizes: { size: number; why: string }[] = [
  { size: 0, why: 'an empty output' },
  { size: 1, why: 'one byte' },
  { size: CHUNK_BYTES, why: 'one full chunk' },
  { size: CHUNK_BYTES + 1, why: 'a second chunk of one byte' },
  { size: 3 * CHUNK_BYTES, why: 'full chunks only' },
];

for (const encoding of ['identity', 'zstd'] as const satisfies Encoding[]) {
  for (const { size, why } of sizes) {
    test(`an output comes out as it went in, ${encoding}: ${why}`, (t) => {
      const { writer, reader } = new Opened(t);
      const bytes = contentOf(size, 3);
      const outputId = sha256Of(bytes);
      assert.deepEqual(putOutput(writer, { bytes, blob: 1, encoding }), { blob: 1, isNew: true });
      assert.deepEqual(putOutput(writer, { bytes, blob: 2 }), { blob: 1, isNew: false });
      assert.deepEqual(outputOf(reader, outputId), bytes);
      const { output, bytes: stored } = reader.getOutput({ outputId, body: 'stored' });
      assert.deepEqual([output?.size, output?.encoding], [size, encoding]);
      assert.deepEqual(
        stored && Buffer.from(stored),
        size === 0 ? undefined : Buffer.from(packed(bytes.slice(0, CHUNK_BYTES), encoding)),
      );
      assert.equal(reader.getOutput({ outputId, body: 'none' }).bytes, undefined);
      const outputIds = [outputId, actionId(1)];
      assert.deepEqual(reader.getOutputsStored({ outputIds }), { stored: [true, false] });
    });
  }
}

test('an action brings its output and the first chunk along, from the first namespace that has it', (t) => {
  const store = new Opened(t);
  const main = store.build(1, NOW_MS);
  const branch = store.build(2, NOW_MS, { namespace: 'branch' });
  const { actionId: id } = main.name;
  const found = store.reader.getAction({ namespaces: ['branch', ''], actionId: id, body: 'plain' });
  assert.deepEqual(
    { ...found, bytes: Buffer.from(found.bytes ?? []) },
    {
      action: {
        ...{ outputId: main.outputId, size: 100, encoding: 'identity', storedBytes: 100, blob: 1 },
        ...{ namespace: '', time: '5', storedAtMs: NOW_MS, usedAtMs: NOW_MS, note: undefined },
      },
      bytes: Buffer.from(contentOf(100, 1)),
    },
  );
  const other = { namespaces: [''], actionId: branch.name.actionId, body: 'none' } as const;
  assert.deepEqual(store.reader.getAction(other), {});
  assert.equal(store.reader.getAction({ ...other, namespaces: ['branch'] }).action?.namespace, 'branch');
});

test('the first put of an action wins: another output is refused, counted and listed', (t) => {
  const store = new Opened(t);
  const { name, outputId } = store.build(1, NOW_MS);
  const other = store.build(2, NOW_MS);
  const again = (id: string, nowMs: number) =>
    store.writer.putAction({ ...name, outputId: id, time: '9', nowMs }).outcome;
  assert.equal(again(outputId, NOW_MS + 1), 'known');
  assert.equal(again(other.outputId, NOW_MS + 2), 'refused');
  assert.equal(again(actionId(7), NOW_MS + 3), 'refused', 'an output that is not even stored');
  const { action } = store.reader.getAction({ namespaces: [''], ...name, body: 'none' });
  assert.deepEqual([action?.outputId, action?.time, action?.usedAtMs], [outputId, '5', NOW_MS + 1]);
  const { actions, outputs, conflictCount, conflicts } = readStats(store.path).buildCache;
  assert.deepEqual([actions, outputs, conflictCount], [2, 2, 1]);
  assert.deepEqual(conflicts, [
    { ...name, outputId, refusedOutputId: actionId(7), times: 2, atMs: NOW_MS + 3 },
  ]);
});

test('an action without its output is refused, and so are malformed names', (t) => {
  const { writer } = new Opened(t);
  const put = { namespace: '', actionId: actionId(1), outputId: actionId(2), time: '5', nowMs: NOW_MS };
  assert.throws(() => writer.putAction(put), NotFound);
  assert.throws(() => writer.putAction({ ...put, actionId: 'ab' }), BadRequest);
  assert.throws(() => writer.putAction({ ...put, outputId: '../x' }), BadRequest);
  assert.throws(() => writer.putAction({ ...put, namespace: 'x'.repeat(256) }), BadRequest);
  assert.throws(() => writer.putAction({ ...put, note: 'x'.repeat(ACTION_NOTE_LENGTH_MAX + 1) }), BadRequest);
});

test('notes of one action stand beside each other, each once, and the first ones stay where there is no room', (t) => {
  const store = new Opened(t);
  const { name, outputId } = store.build(1, NOW_MS);
  const long = 'x'.repeat(ACTION_NOTE_LENGTH_MAX - 'one two '.length + 1);
  for (const note of ['one', 'two', undefined, 'one', long]) {
    store.writer.putAction({ ...name, outputId, time: '5', nowMs: NOW_MS, ...(note && { note }) });
  }
  assert.equal(store.reader.getAction({ namespaces: [''], ...name, body: 'none' }).action?.note, 'one two');
});

const content = contentOf(CHUNK_BYTES + 10, 3);
const wrong: {
  chunks: Uint8Array[];
  size?: number;
  outputId?: string;
  encoding?: Encoding;
  of: new (message: string) => Error;
  why: string;
}[] = [
  { chunks: chunksOf(content), outputId: actionId(1), of: CheckFailed, why: 'another content' },
  { chunks: chunksOf(content), size: content.byteLength + 1, of: CheckFailed, why: 'another size' },
  { chunks: [], size: content.byteLength, of: CheckFailed, why: 'no chunk' },
  {
    chunks: [content.slice(0, 10), content.slice(10)],
    of: CheckFailed,
    why: 'a first chunk that is not full',
  },
  { chunks: [content], of: BadRequest, why: 'a chunk that is too long' },
  { chunks: chunksOf(content), encoding: 'zstd', of: BadRequest, why: 'chunks that are not packed' },
  {
    chunks: [packed(new Uint8Array(2 * CHUNK_BYTES), 'zstd')],
    encoding: 'zstd',
    of: BadRequest,
    why: 'a chunk that unpacks to more than one',
  },
  {
    chunks: chunksOf(content).map((chunk) => packed(chunk, 'zstd')),
    outputId: actionId(1),
    encoding: 'zstd',
    of: CheckFailed,
    why: 'packed chunks of another content',
  },
];

for (const { chunks, size = content.byteLength, outputId = sha256Of(content), encoding, of, why } of wrong) {
  test(`an output is refused and leaves nothing: ${why}`, (t) => {
    const { writer, path } = new Opened(t);
    const upload = () => {
      writer.openOutput({ blob: 1, outputId, encoding: encoding ?? 'identity', nowMs: NOW_MS });
      chunks.forEach((bytes, seq) => {
        writer.putChunk({ blob: 1, seq, bytes });
      });
      writer.sealOutput({ blob: 1, outputId, size, nowMs: NOW_MS });
    };
    assert.throws(upload, of);
    writer.dropBlob({ blob: 1 });
    assert.deepEqual(query(path, 'SELECT id FROM blob UNION SELECT id FROM chunk'), []);
  });
}

test('a small output of another content or size is refused and leaves nothing', (t) => {
  const { writer, path } = new Opened(t);
  const bytes = contentOf(10);
  const put = { blob: 1, outputId: sha256Of(bytes), size: 10, encoding: 'identity', nowMs: NOW_MS } as const;
  assert.throws(() => writer.putOutput({ ...put, bytes: contentOf(10, 2) }), CheckFailed);
  assert.throws(() => writer.putOutput({ ...put, size: 11, bytes }), CheckFailed);
  assert.throws(() => writer.putOutput({ ...put, encoding: 'zstd', bytes }), BadRequest);
  assert.deepEqual(query(path, 'SELECT id FROM blob UNION SELECT id FROM chunk'), []);
});

for (const at of [1, 2, 3]) {
  test(`an upload whose writer was restarted before step ${at} is hashed from its rows`, (t) => {
    const store = new Opened(t);
    const bytes = contentOf(2 * CHUNK_BYTES + 5, 4);
    const outputId = sha256Of(bytes);
    store.writer.openOutput({ blob: 1, outputId, encoding: 'zstd', nowMs: NOW_MS });
    chunksOf(bytes).forEach((chunk, seq) => {
      if (seq === at) store.reopen();
      store.writer.putChunk({ blob: 1, seq, bytes: packed(chunk, 'zstd') });
    });
    if (at === 3) store.reopen();
    const seal = { blob: 1, outputId, size: bytes.byteLength, nowMs: NOW_MS };
    assert.deepEqual(store.writer.sealOutput(seal), { blob: 1, isNew: true });
    assert.deepEqual(store.writer.sealOutput(seal), { blob: 1, isNew: false }, 'sent again');
    assert.deepEqual(outputOf(store.reader, outputId), bytes);
  });
}

test('two uploads of one output at a time: the first to be sealed stays, the other is told so', (t) => {
  const { writer, path } = new Opened(t);
  const bytes = contentOf(CHUNK_BYTES + 5, 4);
  const outputId = sha256Of(bytes);
  for (const blob of [1, 2]) writer.openOutput({ blob, outputId, encoding: 'identity', nowMs: NOW_MS });
  for (const blob of [1, 2]) {
    chunksOf(bytes).forEach((chunk, seq) => {
      writer.putChunk({ blob, seq, bytes: chunk });
    });
  }
  const seal = (blob: number) => writer.sealOutput({ blob, outputId, size: bytes.byteLength, nowMs: NOW_MS });
  assert.deepEqual(
    [seal(2), seal(1)],
    [
      { blob: 2, isNew: true },
      { blob: 2, isNew: false },
    ],
  );
  assert.deepEqual(query(path, 'SELECT id FROM blob'), [2]);
});

test('a blob lives as long as any owner: an answer and an output share it, packed it is two', (t) => {
  const store = new Opened(t);
  const bytes = contentOf(100_000, 5);
  const outputId = sha256Of(bytes);
  const key = 'example.com/a/@v/v1.0.0.zip';
  const ids = () => query(store.path, 'SELECT id FROM blob');
  put(store.writer, { key, bytes, blob: 1 });
  putOutput(store.writer, { bytes, blob: 2 });
  assert.deepEqual(ids(), [1]);
  store.writer.forget({ keys: [key] });
  assert.deepEqual(outputOf(store.reader, outputId), bytes, 'the answer went');
  put(store.writer, { key, bytes, blob: 3 });
  store.writer.dropOutput({ blob: 1 });
  assert.equal(store.reader.getEntry({ key }).entry?.blob, 1, 'the output went');
  store.writer.forget({ keys: [key] });
  assert.deepEqual(ids(), []);
  putOutput(store.writer, { bytes, blob: 4, encoding: 'zstd' });
  put(store.writer, { key, bytes, blob: 5 });
  assert.deepEqual(ids(), [4, 5]);
});

test('dropping an output takes all its actions; dropping an action takes an output that nothing else has', (t) => {
  const store = new Opened(t);
  const { outputId, name } = store.build(1, NOW_MS);
  store.writer.putAction({ namespace: '', actionId: actionId(2), outputId, time: '5', nowMs: NOW_MS });
  store.build(3, NOW_MS);
  store.writer.dropAction(name);
  assert.deepEqual([store.left(), outputOf(store.reader, outputId)?.byteLength], [[2, 3], 100]);
  assert.deepEqual(store.writer.dropOutput({ blob: 1 }), { actions: 1 });
  assert.deepEqual(store.writer.dropOutput({ blob: 1 }), { actions: 0 });
  assert.deepEqual(store.left(), [3]);
  store.writer.dropAction({ namespace: '', actionId: actionId(3) });
  assert.deepEqual(query(store.path, 'SELECT id FROM blob'), []);
});

test('actions that nobody used for so long go, and those that were asked for stay', (t) => {
  const store = new Opened(t);
  const unusedMs = 10 * BUILD_CACHE_KEPT_MS;
  for (const seed of [1, 2, 3]) store.build(seed, NOW_MS - unusedMs - seed);
  store.build(4, NOW_MS - unusedMs + HOUR_MS);
  store.monotonicMs = NOW_MS;
  store.writer.touchActions({ actions: [{ namespace: '', actionId: actionId(2) }], nowMs: NOW_MS });
  assert.deepEqual(store.expire(NOW_MS, { unusedMs }), { actions: 2, outputs: 2, storedBytes: 200 });
  assert.deepEqual(store.left(), [2, 4]);
});

test('past the bound in bytes the least used go, but none of the last day', (t) => {
  const store = new Opened(t);
  for (const seed of [1, 2, 3, 4]) store.build(seed, OLD_MS + seed, { size: 1_000 });
  for (const seed of [5, 6]) store.build(seed, NOW_MS - HOUR_MS, { size: 1_000 });
  store.expire(NOW_MS, { storedBytesMax: 6_000 });
  assert.deepEqual(store.left(), [1, 2, 3, 4, 5, 6]);
  store.expire(NOW_MS, { storedBytesMax: 4_500 });
  assert.deepEqual(store.left(), [3, 4, 5, 6]);
  store.expire(NOW_MS, { storedBytesMax: 0 });
  assert.deepEqual(store.left(), [5, 6]);
  store.expire(NOW_MS, { storedBytesMax: 1_000, mayDropRecent: true });
  assert.deepEqual(store.left(), [6], 'the disk is full');
});

test('outputs that no action has go before actions do', (t) => {
  const store = new Opened(t);
  store.build(1, OLD_MS, { size: 1_000 });
  putOutput(store.writer, { bytes: contentOf(1_000, 9), blob: 9, nowMs: OLD_MS + HOUR_MS / 2 });
  assert.deepEqual(store.expire(NOW_MS, { storedBytesMax: 1_500 }), {
    actions: 0,
    outputs: 1,
    storedBytes: 1_000,
  });
  assert.deepEqual(store.left(), [1]);
});

test('an output that no action has stays for a day, and one that was just found again survives its action', (t) => {
  const store = new Opened(t);
  const bytes = contentOf(50, 9);
  putOutput(store.writer, { bytes, blob: 9, nowMs: NOW_MS - HOUR_MS });
  const { outputId } = store.build(1, OLD_MS);
  putOutput(store.writer, { bytes: contentOf(100, 1), blob: 10, nowMs: NOW_MS });
  assert.deepEqual(store.expire(NOW_MS, { unusedMs: 0 }), { actions: 1, outputs: 0, storedBytes: 0 });
  assert.ok(outputOf(store.reader, outputId));
  assert.equal(store.expire(NOW_MS + 2 * BUILD_CACHE_KEPT_MS).outputs, 2);
});

test('a clock that is set forward makes nothing old, in a transaction that is undone before too', (t) => {
  const store = new Opened(t);
  const later = NOW_MS + 100 * BUILD_CACHE_KEPT_MS;
  store.isTrue = false;
  store.build(1, OLD_MS);
  store.reopen();
  store.build(2, NOW_MS);
  putOutput(store.writer, { bytes: contentOf(9, 3), blob: 3, nowMs: NOW_MS });
  store.monotonicMs += HOUR_MS;
  const undone = new Error('undone');
  const attempt = () =>
    store.writer.inTransaction(() => {
      store.writer.expireActions({ nowMs: later, unusedMs: 0, storedBytesMax: 0 });
      throw undone;
    });
  assert.throws(attempt, undone);
  assert.deepEqual(store.expire(later, { unusedMs: 0, storedBytesMax: 0 }), {
    ...{ actions: 1, outputs: 1, storedBytes: 100 },
  });
  assert.deepEqual(store.left(), [2]);
  store.monotonicMs += 2 * BUILD_CACHE_KEPT_MS;
  store.expire(later + 2 * BUILD_CACHE_KEPT_MS, { unusedMs: 0 });
  assert.deepEqual(store.left(), [], 'it gets old as all do');
});

test('a time from the future does not keep an action for ever', (t) => {
  const store = new Opened(t);
  store.build(1, NOW_MS + 1_000 * BUILD_CACHE_KEPT_MS);
  store.reopen();
  store.expire(NOW_MS, { unusedMs: 0 });
  assert.deepEqual(store.left(), [1]);
  store.expire(NOW_MS + 2 * BUILD_CACHE_KEPT_MS, { unusedMs: 0 });
  assert.deepEqual(store.left(), []);
});

test('a step of an expiry is bounded, in actions and in bytes', (t) => {
  const store = new Opened(t);
  store.writer.inTransaction(() => {
    for (let seed = 1; seed <= 300; seed++) store.build(seed, OLD_MS, { size: 8 });
  });
  const step = () => store.writer.inTransaction(() => store.writer.forgetActions({}));
  assert.deepEqual(step(), { actions: 128, outputs: 128, storedBytes: 1024, isDone: false });
  assert.equal(step().isDone, false);
  assert.equal(step().isDone, false);
  assert.deepEqual(step(), { actions: 0, outputs: 0, storedBytes: 0, isDone: true });
});

test('an upload that nobody ended goes within hours, and is no partial download', (t) => {
  const store = new Opened(t);
  const outputId = actionId(1);
  store.writer.openOutput({ blob: 1, outputId, encoding: 'identity', nowMs: NOW_MS });
  store.writer.putChunk({ blob: 1, seq: 0, bytes: contentOf(CHUNK_BYTES) });
  assert.deepEqual(store.reader.getPartialKeys({ prefix: '', after: '' }), { rows: [] });
  assert.equal(readStats(store.path).partialCount, 0);
  store.writer.tidy({ nowMs: NOW_MS });
  assert.deepEqual(query(store.path, 'SELECT id FROM blob'), [1]);
  store.writer.tidy({ nowMs: NOW_MS + OUTPUT_PARTIAL_KEPT_MS + 1 });
  assert.deepEqual(query(store.path, 'SELECT id FROM blob'), []);
  assert.throws(() => store.writer.putChunk({ blob: 1, seq: 1, bytes: contentOf(1) }), StoreFailed);
});
