// Goal: evicted zips go in two steps, never what was used since, waits for the bucket, has another owner or is read now;
// last uses keep their order over clocks that are set. Method: a writer and a reader on one file.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { StoreReader } from '../../src/store/reader.ts';
import { StoreWriter } from '../../src/store/writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { assertWhole, contentOf, put, query } from './stores.ts';

const HOUR_MS = 3_600_000;
const BEGIN = { usedAtMs: -1, key: '' };

function zipKey(name: string): string {
  return `example.com/${name}/@v/v1.0.0.zip`;
}

function open(t: TestContext, monotonicMs = () => 0) {
  const path = `${tempDir(t)}/a.db`;
  const writer = new StoreWriter(path, 'shared', monotonicMs);
  const reader = new StoreReader(path);
  t.after(() => reader.close());
  t.after(() => writer.close());
  const order = () =>
    reader.getLeastUsedZips({ after: BEGIN, limit: 10 }).zips.map(({ key }) => key.split('/')[1]);
  return { path, writer, reader, order };
}

test('zips come in the order of their last use, page by page, and nothing but zips', (t) => {
  const { writer, reader, order } = open(t);
  for (const [at, name] of ['c', 'a', 'b'].entries()) {
    put(writer, { key: zipKey(name), bytes: contentOf(10), nowMs: at });
    put(writer, { key: zipKey(name).replace('.zip', '.mod'), bytes: contentOf(10), nowMs: at });
  }
  assert.deepEqual(order(), ['c', 'a', 'b']);
  writer.touch({ keys: [zipKey('c')], nowMs: 3 });
  assert.deepEqual(order(), ['a', 'b', 'c']);
  const [first] = reader.getLeastUsedZips({ after: BEGIN, limit: 1 }).zips;
  assert.deepEqual(first, { key: zipKey('a'), size: 10, blob: undefined, source: 'upstream', usedAtMs: 1 });
  assert.equal(reader.getLeastUsedZips({ after: first ?? BEGIN, limit: 10 }).zips.length, 2);
});

test('a zip is let go unless it was used since, and its blob stays until nobody reads it', (t) => {
  const { path, writer, reader } = open(t);
  const [a, b] = [zipKey('a'), zipKey('b')];
  const blob = 1;
  put(writer, { key: a, bytes: contentOf(2 * CHUNK_BYTES, 1), blob, nowMs: 1 });
  put(writer, { key: b, bytes: contentOf(2 * CHUNK_BYTES, 2), blob: 2, nowMs: 1 });
  writer.touch({ keys: [b], nowMs: 5 });
  const gone = writer.letGo({ keys: [a, b, zipKey('none')], usedUntilMs: 4 });
  assert.deepEqual(gone, { files: 1, bodyBytes: 2 * CHUNK_BYTES });
  assert.equal(reader.getEntry({ key: a }).entry, undefined);
  assert.ok(reader.getEntry({ key: b }).entry);
  assert.deepEqual(writer.dropLeaving({ inUse: [blob] }), { dropped: 0, isDone: true });
  assert.equal(reader.getChunk({ blob, seq: 1 }).bytes?.byteLength, CHUNK_BYTES);
  assert.deepEqual(writer.dropLeaving({ inUse: [] }), { dropped: 1, isDone: true });
  assert.equal(reader.getChunk({ blob, seq: 1 }).bytes, undefined);
  assert.deepEqual(query(path, 'SELECT blob FROM leaving'), []);
  assertWhole(path);
});

test('a blob that has an owner again stays', (t) => {
  const { path, writer, reader } = open(t);
  const bytes = contentOf(CHUNK_BYTES);
  put(writer, { key: zipKey('a'), bytes: bytes.slice() });
  writer.letGo({ keys: [zipKey('a')], usedUntilMs: 1e15 });
  put(writer, { key: zipKey('b'), bytes: bytes.slice() });
  writer.dropLeaving({ inUse: [] });
  assert.equal(reader.getEntry({ key: zipKey('b') }).bytes?.byteLength, CHUNK_BYTES);
  assert.deepEqual(query(path, 'SELECT blob FROM leaving'), []);
  assertWhole(path);
});

test('what waits for the bucket is neither listed nor let go, until it is there', (t) => {
  const { path, writer, order } = open(t);
  const { reader } = { reader: new StoreReader(path) };
  t.after(() => reader.close());
  writer.keepUploads({ isOn: true });
  put(writer, { key: zipKey('a'), bytes: contentOf(10) });
  assert.deepEqual(order(), []);
  assert.deepEqual(writer.letGo({ keys: [zipKey('a')], usedUntilMs: 1e15 }), { files: 0, bodyBytes: 0 });
  const { rows } = reader.getUploads({ after: 0, nowMs: 1e15, limit: 10 });
  writer.endUploads({ done: rows.map(({ id }) => id), failed: [], queued: [], nowMs: 1 });
  assert.deepEqual(order(), ['a']);
});

test('a clock that is set forward takes the last uses along, one that is set back pulls them to now', (t) => {
  let monotonicMs = 0;
  const { writer, order, reader } = open(t, () => monotonicMs);
  const startMs = 1e12;
  const at = (hours: number) => startMs + hours * HOUR_MS;
  const expire = (nowMs: number) =>
    writer.expireActions({ nowMs, unusedMs: 1e12, storedBytesMax: Number.MAX_SAFE_INTEGER });
  expire(at(0));
  put(writer, { key: zipKey('before'), bytes: contentOf(10), nowMs: at(0) });
  monotonicMs += HOUR_MS;
  expire(at(1001)); // It is set by 1,000 hours.
  put(writer, { key: zipKey('after'), bytes: contentOf(10), nowMs: at(1001) });
  assert.deepEqual(order(), ['before', 'after']);
  const usedAt = () => reader.getLeastUsedZips({ after: BEGIN, limit: 10 }).zips.map((zip) => zip.usedAtMs);
  assert.deepEqual(usedAt(), [at(1000), at(1001)]);
  expire(at(5));
  assert.deepEqual(usedAt(), [at(5), at(5)], 'times from the future would never get old');
});
