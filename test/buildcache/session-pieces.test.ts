// Goal: a stream that its client takes slowly holds none of the actions of its set: there may be 16,000, for minutes. It reads no more
// ahead than it may.
// Method: V8's collector is called while a stream waits; references that keep nothing alive tell what is left.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { sessionPieces } from '../../src/buildcache/session-pieces.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import type { SessionAction } from '../../src/core/session-port.ts';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

test('once its index is out, a stream holds neither actions nor index', async () => {
  const { pieces, refs } = begin();
  refs.push(new WeakRef((await pieces.next()).value ?? {}));
  const next = pieces.next(); // Waits for its first chunk.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  assert.deepEqual(
    refs.map((ref) => ref.deref()),
    refs.map(() => undefined),
  );
  void next;
});

for (const { aheadBytes, chunks } of [
  { aheadBytes: 3 * CHUNK_BYTES, chunks: 3 },
  { aheadBytes: 1, chunks: 1 },
]) {
  test(`${chunks} chunks are read ahead within ${aheadBytes} bytes`, async () => {
    const { pieces, loads } = begin(aheadBytes);
    await pieces.next();
    void pieces.next();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(loads.length, chunks);
  });
}

/** A stream whose chunks never come, and references to its actions. */
function begin(aheadBytes = 1e6) {
  const actions = Array.from({ length: 100 }, (_, at): SessionAction => {
    const id = createHash('sha256').update(String(at)).digest('hex');
    const times = { time: '1', storedAtMs: 0, usedAtMs: 0 };
    const output = { outputId: id, blob: at, size: 1_000_000, storedBytes: 1, encoding: 'zstd' } as const;
    return { ...times, ...output, namespace: '', actionId: id, note: undefined };
  });
  const refs: WeakRef<object>[] = actions.map((action) => new WeakRef(action));
  const loads: number[] = [];
  const load = (_output: unknown, seq: number) => {
    loads.push(seq);
    return new Promise<never>(() => {});
  };
  const pieces = sessionPieces({
    actions,
    apart: new Uint8Array(0),
    bytesMax: 1e9,
    load,
    aheadBytes: () => aheadBytes,
  });
  return { pieces, refs, loads };
}
