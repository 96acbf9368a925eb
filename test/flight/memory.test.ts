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
const SLOT = CHUNK_BYTES + 1024;

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
  return { cache, memory, reads, stream, fill };
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

test('a span is held where all its chunks are, and else not at all', async () => {
  const { stream, fill, reads } = makeMemory({ strong: 8, weak: 0 });
  const client = stream();
  for (const seq of [1, 2, 3]) await client.at(seq * CHUNK_BYTES);
  const parts = client.held(CHUNK_BYTES + 10, 3 * CHUNK_BYTES + 5) ?? [];
  assert.deepEqual(
    parts.map((part) => [part.byteLength, part[0]]),
    [
      [CHUNK_BYTES - 10, 2],
      [CHUNK_BYTES, 3],
      [5, 4],
    ],
  );
  const { length } = reads;
  assert.ok(client.held(0, 2 * CHUNK_BYTES) === undefined, 'the first one is not there');
  assert.equal(reads.length, length, 'and is not read for that');
  client.close();
  for (let round = 0; round < 2; round++) fill(8); // What was used stays for one.
  assert.ok(client.held(CHUNK_BYTES, 2 * CHUNK_BYTES) === undefined, 'given back');
});
