// Goal: memory owns the bytes of its pieces and lends them for one turn of the event loop. Nothing is freed under a
// reader, every piece that leaves is freed, and every byte read is right.
// Method: a store whose chunks hold their own number. The bounds are a few chunks. A property test runs random reads,
// joins and evictions beside streams at different places.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import type { StoredFile } from '../../src/core/answer.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import type { Store } from '../../src/core/store-port.ts';
import { freeAfterTurn, isPiece, Memory, type Piece } from '../../src/flight/memory.ts';
import { Singleflight } from '../../src/flight/singleflight.ts';
import { WeakCache } from '../../src/flight/weak-cache.ts';

const BLOB = 7;
const CHUNKS = 6;
/** Two chunks and five bytes. */
const SHORT_BLOB = 9;
/** A chunk as the cache counts it. */
const SLOT = CHUNK_BYTES * 1.25 + 1024;

function makeMemory({ strong, weak }: { strong: number; weak: number }) {
  const clock = { nowMs: 1_000 };
  const reads: number[] = [];
  /** All chunks that were handed to memory. */
  const made: Uint8Array[] = [];
  const getChunk = async ({ blob, seq }: { blob: number; seq: number }) => {
    reads.push(seq);
    const bytes = new Uint8Array(blob === SHORT_BLOB && seq === 2 ? 5 : CHUNK_BYTES).fill(seq + 1);
    made.push(bytes);
    return { bytes };
  };
  const cache = new WeakCache<StoredFile | Piece>({
    strongBytesMax: strong * SLOT,
    weakBytesMax: weak * SLOT,
    strongMs: 60_000,
    now: () => clock.nowMs,
    isStrongOnly: isPiece,
    onDrop: freeAfterTurn,
  });
  const flights = new Singleflight<Piece>({ flightsMax: 100, waitersMax: 100 });
  const memory = new Memory({ cache, store: { getChunk } as unknown as Store, flights });
  const stream = () => memory.stream(BLOB, CHUNKS * CHUNK_BYTES);
  /** Chunks of another blob, which push older ones out of the strong part. */
  const fill = (count: number) => {
    clock.nowMs += 100;
    for (let seq = 0; seq < count; seq++) memory.setPiece(BLOB + 1, seq, new Uint8Array(CHUNK_BYTES));
  };
  return { cache, memory, reads, stream, fill, clock, made };
}

test('a chunk that leaves memory is freed when the turn is over, not before', async () => {
  const { cache, memory, fill } = makeMemory({ strong: 2, weak: 8 });
  const bytes = new Uint8Array(CHUNK_BYTES);
  memory.setPiece(BLOB, 0, bytes);
  fill(2);
  assert.equal(cache.size, 2);
  assert.equal(cache.bytes.weak, 0);
  assert.equal(bytes.byteLength, CHUNK_BYTES, 'its readers may hold it in this turn');
  await nextTurn();
  assert.equal(bytes.byteLength, 0, 'freed by hand, not when the collector comes');
});

test('a chunk that another one replaces is freed', async () => {
  const { memory } = makeMemory({ strong: 2, weak: 8 });
  const bytes = new Uint8Array(CHUNK_BYTES);
  memory.setPiece(BLOB, 0, bytes);
  memory.setPiece(BLOB, 0, new Uint8Array(CHUNK_BYTES));
  await nextTurn();
  assert.equal(bytes.byteLength, 0);
});

test('a piece of a larger buffer leaves the buffer to its other readers', async () => {
  const { memory, fill } = makeMemory({ strong: 1, weak: 0 });
  const bytes = new Uint8Array(CHUNK_BYTES).subarray(0, 10);
  memory.setPiece(BLOB, 0, bytes);
  fill(3);
  await nextTurn();
  assert.equal(bytes.byteLength, 10);
});

test('a reader goes on in a later turn, though its chunk was freed meanwhile', async () => {
  const { reads, stream, fill } = makeMemory({ strong: 2, weak: 8 });
  const client = stream();
  await client.at(0);
  fill(4);
  await nextTurn();
  const again = await client.at(10);
  assert.deepEqual([again.byteLength, again[0]], [CHUNK_BYTES - 10, 1]);
  assert.equal(reads.filter((seq) => seq === 0).length, 2);
});

test('a memory without room still gives all clients of one flight its bytes', async () => {
  const { reads, stream } = makeMemory({ strong: 0, weak: 0 });
  const clients = [stream(), stream(), stream()];
  const got = await Promise.all(clients.map(async (client) => [...(await client.at(5)).subarray(0, 2)]));
  assert.deepEqual(got, [
    [1, 1],
    [1, 1],
    [1, 1],
  ]);
  assert.equal(reads.filter((seq) => seq === 0).length, 1);
});

const step = fc.record({
  client: fc.nat(3),
  /** Chunks of another blob that come before the client reads. */
  fills: fc.nat(4),
  isNewTurn: fc.boolean(),
});

test('every byte is right and every piece is freed after any order of reads, joins and evictions', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 8 }),
      fc.array(step, { maxLength: 40 }),
      async (strong, steps) => {
        const { cache, memory, fill, made, clock } = makeMemory({ strong, weak: 2 });
        const size = 2 * CHUNK_BYTES + 5;
        const clients = Array.from({ length: 4 }, () => ({
          stream: memory.stream(SHORT_BLOB, size),
          offset: 0,
        }));
        for (const { client: at, fills, isNewTurn } of steps) {
          if (isNewTurn) await nextTurn();
          fill(fills);
          const client = clients[at];
          assert.ok(client);
          if (client.offset >= size)
            Object.assign(client, { stream: memory.stream(SHORT_BLOB, size), offset: 0 });
          const bytes = await client.stream.at(client.offset);
          assert.ok(bytes.byteLength > 0, 'nothing is empty under its reader');
          for (let i = 0; i < bytes.byteLength; i += CHUNK_BYTES / 4) {
            assert.equal(bytes[i], Math.floor((client.offset + i) / CHUNK_BYTES) + 1);
          }
          client.offset += Math.min(bytes.byteLength, CHUNK_BYTES / 2);
        }
        clock.nowMs += 60_000;
        cache.sweep();
        clock.nowMs += 60_000;
        cache.sweep();
        await nextTurn();
        assert.equal(cache.size, 0);
        assert.ok(
          made.every(({ byteLength }) => byteLength === 0),
          'every piece came back',
        );
      },
    ),
    { numRuns: 60 },
  );
});

const SHORT = 2 * CHUNK_BYTES + 5;

/** The short blob's bytes at the beginning of each of its chunks, as one stream gives them now; all at once. */
function beginnings(memory: Memory): unknown[] {
  const client = memory.stream(BLOB, SHORT);
  const parts = [0, CHUNK_BYTES, 2 * CHUNK_BYTES].map((offset) => client.at(offset));
  return parts.map((part) => (part instanceof Promise ? 'not there' : [part.byteLength, part[0]]));
}

function setShort(memory: Memory, seqs: readonly number[] = [0, 1, 2]): Uint8Array[] {
  return seqs.map((seq) => {
    const bytes = new Uint8Array(seq === 2 ? 5 : CHUNK_BYTES).fill(seq + 1);
    memory.setPiece(BLOB, seq, bytes);
    return bytes;
  });
}

test('the chunks of a short blob that are all in memory are replaced by one piece', async () => {
  const { cache, memory } = makeMemory({ strong: 8, weak: 8 });
  const chunks = setShort(memory);
  const whole = [
    [SHORT, 1],
    [CHUNK_BYTES + 5, 2],
    [5, 3],
  ];
  assert.deepEqual(beginnings(memory), whole);
  assert.equal(cache.size, 1);
  await nextTurn();
  assert.deepEqual(
    chunks.map(({ byteLength }) => byteLength),
    [0, 0, 0],
    'freed',
  );
  const buffers = [1, 2].map(() => (memory.stream(BLOB, SHORT).at(0) as Uint8Array).buffer);
  assert.equal(buffers[0], buffers[1], 'no copy for each client');
});

test('a short blob goes out by chunks if one of them is not in memory', () => {
  const { memory } = makeMemory({ strong: 8, weak: 8 });
  setShort(memory, [0, 2]);
  assert.deepEqual(beginnings(memory), [[CHUNK_BYTES, 1], 'not there', [5, 3]]);
});

test('the first reader of a short blob gets it by chunks to its end', async () => {
  const { memory, cache } = makeMemory({ strong: 8, weak: 8 });
  const [first] = setShort(memory, [0]);
  const client = memory.stream(BLOB, SHORT);
  assert.deepEqual(client.at(0), first);
  setShort(memory, [1, 2]);
  assert.equal((await client.at(CHUNK_BYTES)).byteLength, CHUNK_BYTES);
  assert.equal(cache.size, 3);
});

test('a client in the middle of a blob goes on in the piece that replaced its chunks', async () => {
  const { memory } = makeMemory({ strong: 8, weak: 8 });
  setShort(memory, [0]);
  const slow = memory.stream(BLOB, SHORT);
  slow.at(0);
  setShort(memory, [1, 2]);
  beginnings(memory);
  await nextTurn();
  const rest = await slow.at(CHUNK_BYTES);
  assert.deepEqual([rest.byteLength, rest[0]], [CHUNK_BYTES + 5, 2]);
});

test('a long blob goes out by chunks, even if all are in memory', () => {
  const { memory, fill, cache } = makeMemory({ strong: 8, weak: 8 });
  fill(6);
  const client = memory.stream(BLOB + 1, 6 * CHUNK_BYTES);
  assert.equal((client.at(0) as Uint8Array).byteLength, CHUNK_BYTES);
  assert.equal(cache.size, 6);
});

test('a chunk that is shorter than it should be is not joined to the others', () => {
  const { memory } = makeMemory({ strong: 8, weak: 8 });
  setShort(memory, [0, 1]);
  memory.setPiece(BLOB, 2, new Uint8Array(4).fill(3));
  assert.deepEqual(beginnings(memory)[2], [4, 3]);
});
