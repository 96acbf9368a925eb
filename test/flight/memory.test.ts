// Goal: chunks of blobs cost the memory that is in use: what nobody reads goes at once, what somebody
// reads is shared, and who reads on gets the right bytes whatever was given back meanwhile.
// Method: a store that answers a chunk's own number, and a clock that is moved. CHUNK_BYTES are large,
// so that bounds here count a few chunks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredFile } from '../../src/core/answer.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import type { Store } from '../../src/core/store-port.ts';
import { freeEvicted, isIdle, Memory, type Piece } from '../../src/flight/memory.ts';
import { Singleflight } from '../../src/flight/singleflight.ts';
import { WeakCache } from '../../src/flight/weak-cache.ts';

const BLOB = 7;
const CHUNKS = 6;
/** A chunk as the cache counts it. */
const SLOT = CHUNK_BYTES * 1.25 + 1024;

function makeMemory({ strong, weak }: { strong: number; weak: number }) {
  const clock = { nowMs: 1_000 };
  const reads: number[] = [];
  const getChunk = async ({ seq }: { seq: number }) => {
    reads.push(seq);
    return { bytes: new Uint8Array(CHUNK_BYTES).fill(seq + 1) };
  };
  const cache = new WeakCache<StoredFile | Piece>({
    strongBytesMax: strong * SLOT,
    weakBytesMax: weak * SLOT,
    strongMs: 60_000,
    now: () => clock.nowMs,
    isIdle,
    onEvict: freeEvicted,
  });
  const flights = new Singleflight<Piece>({ flightsMax: 100, waitersMax: 100 });
  const memory = new Memory({ cache, store: { getChunk } as unknown as Store, flights });
  const stream = () => memory.stream(BLOB, CHUNKS * CHUNK_BYTES);
  /** Chunks of another blob, which push older ones out of the strong part. */
  const fill = (count: number) => {
    clock.nowMs += 100;
    for (let seq = 0; seq < count; seq++) memory.setPiece(BLOB + 1, seq, new Uint8Array(CHUNK_BYTES));
  };
  return { cache, memory, reads, stream, fill, clock };
}

test('a chunk that nobody reads goes, with its bytes, when the strong part is full', () => {
  const { cache, memory, fill } = makeMemory({ strong: 2, weak: 8 });
  const bytes = new Uint8Array(CHUNK_BYTES);
  memory.setPiece(BLOB, 0, bytes);
  fill(2);
  assert.equal(cache.size, 2);
  assert.equal(cache.bytes.weak, 0);
  assert.equal(bytes.byteLength, 0, 'given back at once, not when the collector comes');
});

test('a chunk that a slow client stands at is shared, and goes when it is done with it', async () => {
  const { cache, reads, stream, fill } = makeMemory({ strong: 2, weak: 8 });
  const slow = stream();
  const bytes = await slow.at(0);
  fill(2);
  assert.ok(cache.bytes.weak > 0, 'held for whoever reads it');
  assert.equal(bytes.byteLength, CHUNK_BYTES);
  const other = stream();
  assert.equal(other.at(0), bytes, 'at once, and the same');
  fill(2);
  slow.close();
  assert.equal(bytes.byteLength, CHUNK_BYTES, 'the other still reads it');
  other.close();
  assert.equal(bytes.byteLength, 0);
  assert.equal(cache.bytes.weak, 0);
  assert.equal(reads.filter((seq) => seq === 0).length, 1);
});

test('going on to the next chunk gives up the one before', async () => {
  const { cache, stream, fill } = makeMemory({ strong: 3, weak: 8 });
  const client = stream();
  const first = await client.at(0);
  fill(3);
  assert.equal(first.byteLength, CHUNK_BYTES);
  const second = await client.at(CHUNK_BYTES);
  assert.equal(second[0], 2);
  assert.equal(first.byteLength, 0);
  client.close();
  assert.equal(cache.bytes.weak, 0);
});

test('a position inside a chunk, asked for again and again, counts its reader once', async () => {
  const { cache, stream, fill } = makeMemory({ strong: 2, weak: 8 });
  const client = stream();
  const bytes = await client.at(0);
  for (const offset of [10, 1000, CHUNK_BYTES - 1]) {
    assert.equal((await client.at(offset)).byteLength, CHUNK_BYTES - offset);
  }
  fill(2);
  client.close();
  client.close();
  assert.equal(bytes.byteLength, 0);
  assert.equal(cache.bytes.weak, 0);
});

test('past the weak bound even what is read is given back: its reader finds it empty, and reads it again', async () => {
  const { reads, stream, fill } = makeMemory({ strong: 2, weak: 0 });
  const client = stream();
  const bytes = await client.at(0);
  fill(2);
  assert.equal(bytes.byteLength, 0);
  const again = await client.at(0);
  assert.deepEqual([again.byteLength, again[0]], [CHUNK_BYTES, 1]);
  assert.equal(reads.filter((seq) => seq === 0).length, 2);
});

test('a client that has gone before its chunk came holds nothing', async () => {
  const { cache, stream, fill } = makeMemory({ strong: 2, weak: 8 });
  const client = stream();
  const loading = client.at(0);
  client.close();
  const bytes = await loading;
  fill(2);
  assert.equal(bytes.byteLength, 0);
  assert.equal(cache.bytes.weak, 0);
});

const SHORT = 2 * CHUNK_BYTES + 5;

/** The short blob's bytes at the beginning of each of its chunks, as one stream gives them now; all at once. */
function beginnings(memory: Memory): unknown[] {
  const client = memory.stream(BLOB, SHORT);
  const parts = [0, CHUNK_BYTES, 2 * CHUNK_BYTES].map((offset) => client.at(offset));
  client.close();
  return parts.map((part) => (part instanceof Promise ? 'not there' : [part.byteLength, part[0]]));
}

function setShort(memory: Memory, seqs: readonly number[] = [0, 1, 2]): Uint8Array[] {
  return seqs.map((seq) => {
    const bytes = new Uint8Array(seq === 2 ? 5 : CHUNK_BYTES).fill(seq + 1);
    memory.setPiece(BLOB, seq, bytes);
    return bytes;
  });
}

test('a short blob whose chunks are all in memory is one piece from then on, in their place', () => {
  const { cache, memory, clock } = makeMemory({ strong: 8, weak: 8 });
  const chunks = setShort(memory);
  clock.nowMs += 100;
  const whole = [
    [SHORT, 1],
    [CHUNK_BYTES + 5, 2],
    [5, 3],
  ];
  assert.deepEqual(beginnings(memory), whole);
  assert.equal(cache.size, 1);
  assert.deepEqual(
    chunks.map(({ byteLength }) => byteLength),
    [0, 0, 0],
    'given back at once',
  );
  assert.equal(memory.stream(BLOB, SHORT).at(0), memory.stream(BLOB, SHORT).at(0), 'no copy for each client');
});

test('a short blob some of which is not in memory goes by chunks', () => {
  const { memory } = makeMemory({ strong: 8, weak: 8 });
  setShort(memory, [0, 2]);
  assert.deepEqual(beginnings(memory), [[CHUNK_BYTES, 1], 'not there', [5, 3]]);
});

test('whoever reads a short blob in first goes by chunks to its end', async () => {
  const { memory, cache } = makeMemory({ strong: 8, weak: 8 });
  const [first] = setShort(memory, [0]);
  const client = memory.stream(BLOB, SHORT);
  assert.equal(client.at(0), first);
  setShort(memory, [1, 2]);
  assert.equal((await client.at(CHUNK_BYTES)).byteLength, CHUNK_BYTES);
  assert.equal(cache.size, 3);
});

test('a chunk that a client stands at is not given back when its blob becomes one piece', async () => {
  const { memory, clock } = makeMemory({ strong: 8, weak: 8 });
  const [first] = setShort(memory, [0]);
  const slow = memory.stream(BLOB, SHORT);
  slow.at(0);
  setShort(memory, [1, 2]);
  clock.nowMs += 100;
  beginnings(memory);
  assert.equal(first?.byteLength, CHUNK_BYTES);
  assert.equal((await slow.at(CHUNK_BYTES)).byteLength, CHUNK_BYTES + 5, 'and goes on in that piece');
});

test('a long blob goes by chunks though they are in memory', () => {
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
