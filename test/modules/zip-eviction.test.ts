// Goal: a round of eviction takes the least used zips, gives those that were used since a second chance, and takes none
// that is pinned, fetched or read. Method: a real store, and a memory that says what a test wants.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ZipEviction, type ZipEvictionOptions } from '../../src/modules/zip-eviction.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { contentOf } from '../store/stores.ts';
import { tempDir } from '../support/temp-dir.ts';

const ZIP_BYTES = 10_000;
/** More than one read has. */
const ZIPS = 600;

function keyOf(at: number): string {
  return `a.example/m${String(at).padStart(3, '0')}/@v/v1.0.0.zip`;
}

/** Zips 0, 1, 2 … were used at these times. */
function open(
  t: TestContext,
  parts: Partial<ZipEvictionOptions> & { used?: Set<string>; read?: Set<number> },
) {
  const path = `${tempDir(t)}/a.db`;
  const writer = new StoreWriter(path);
  const reader = new StoreReader(path);
  t.after(() => reader.close());
  t.after(() => writer.close());
  writer.inTransaction(() => {
    for (let at = 0; at < ZIPS; at++)
      writer.putEntry({
        ...{ key: keyOf(at), status: 200, source: 'upstream', nowMs: at },
        ...{ blob: at + 1, bytes: contentOf(ZIP_BYTES, at) },
      });
  });
  const { used = new Set(), read = new Set() } = parts;
  const zips = new ZipEviction({
    store: {
      getLeastUsedZips: async (request) => reader.getLeastUsedZips(request),
      touch: async (request) => writer.touch(request),
      dropLeaving: async (request) => writer.dropLeaving(request),
    },
    outsideWrites: { letGo: async (request) => writer.letGo(request) },
    memory: {
      takeUse: (key) => used.delete(key),
      get openBlobs() {
        return Array.from(read);
      },
    },
    lastUse: { takeUnwritten: () => false },
    readThrough: { isFetching: () => false },
    clock: { wallMs: () => 1_000_000 },
    isPinned: () => false,
    ...parts,
  });
  const left = () =>
    reader.getLeastUsedZips({ after: { usedAtMs: -1, key: '' }, limit: ZIPS }).zips.map(({ key }) => key);
  return { writer, zips, left };
}

function keys(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, at) => keyOf(from + at));
}

test('steps take the least used zips, in order, over more than one read', async (t) => {
  const { zips, left } = open(t, {});
  const round = zips.round();
  assert.deepEqual(await round.step(3 * ZIP_BYTES), { files: 3, bytes: 3 * ZIP_BYTES, usedAtMs: 2 });
  assert.deepEqual(left(), keys(3, ZIPS));
  for (let step = 0; step < 5; step++) await round.step(100 * ZIP_BYTES);
  assert.ok(left().length <= ZIPS - 3 - 5 * 80, 'a step may end where a read does');
  assert.deepEqual(left(), keys(ZIPS - left().length, ZIPS));
  while ((await round.step(100 * ZIP_BYTES)) !== undefined);
  assert.deepEqual(left(), []);
});

test('what was used since goes behind all others, and goes if that is too little', async (t) => {
  const used = new Set(keys(0, 10));
  const { zips, left } = open(t, { used });
  const round = zips.round();
  await round.step(ZIP_BYTES);
  assert.deepEqual(left(), [...keys(11, ZIPS), ...keys(0, 10)]);
  for (let at = 0; left().length > 10; at++) {
    assert.ok(at < ZIPS);
    await round.step(10 * ZIP_BYTES);
  }
  await round.step(3 * ZIP_BYTES);
  assert.ok(left().length > 0 && left().length <= 7);
  assert.deepEqual(left(), keys(10 - left().length, 10));
});

test('what is used between a read and its turn stays', async (t) => {
  const { writer, zips, left } = open(t, {});
  const round = zips.round();
  await round.step(ZIP_BYTES);
  writer.touch({ keys: [keyOf(1)], nowMs: 2_000_000 });
  await round.step(2 * ZIP_BYTES);
  assert.deepEqual(left(), [...keys(3, ZIPS), keyOf(1)]);
});

test('nothing goes that is pinned, fetched or read, and then there is nothing left', async (t) => {
  const read = new Set([3]); // The blob of zip 2.
  const { zips, left } = open(t, {
    read,
    isPinned: ({ key }) => key === keyOf(0),
    readThrough: { isFetching: (key) => key === keyOf(1) },
  });
  const round = zips.round();
  while ((await round.step(200 * ZIP_BYTES)) !== undefined);
  assert.deepEqual(left(), keys(0, 3));
  await zips.dropLeaving();
});
