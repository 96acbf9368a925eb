// Goal: a time of use is written once an hour, all of them in few calls, and no more are held than the bound says.
// Method: uses of files at given times, and the calls that come out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEYS_PER_CALL_MAX } from '../../src/core/limits.ts';
import { LastUse } from '../../src/flight/last-use.ts';
import { LAST_USES_MAX } from '../../src/flight/limits.ts';

const HOUR_MS = 3_600_000;

test('a use is noted when the last noted one is an hour away, before or after', async () => {
  const { lastUse, calls } = rig();
  const file = { usedAtMs: 10 * HOUR_MS };
  for (const nowMs of [9 * HOUR_MS + 1, 10 * HOUR_MS, 11 * HOUR_MS - 1]) lastUse.note('A', file, nowMs);
  await lastUse.flush(11 * HOUR_MS);
  assert.deepEqual(calls, []);
  lastUse.note('A', file, 11 * HOUR_MS);
  assert.equal(file.usedAtMs, 11 * HOUR_MS);
  lastUse.note('B', { usedAtMs: 12 * HOUR_MS }, 11 * HOUR_MS);
  await lastUse.flush(11 * HOUR_MS);
  await lastUse.flush(11 * HOUR_MS);
  assert.deepEqual(calls, [{ names: ['A', 'B'], nowMs: 11 * HOUR_MS }]);
});

test('names with one id are one name', async () => {
  const { lastUse, calls } = rig((name) => name.slice(-1));
  for (const name of ['A', 'also A']) lastUse.note(name, { usedAtMs: 0 }, HOUR_MS);
  await lastUse.flush(HOUR_MS);
  assert.deepEqual(calls, [{ names: ['also A'], nowMs: HOUR_MS }]);
});

test('beyond the bound a use is not noted, so that the next one is', async () => {
  const { lastUse, calls } = rig();
  for (let i = 0; i < LAST_USES_MAX; i++) lastUse.note(String(i), { usedAtMs: 0 }, HOUR_MS);
  const file = { usedAtMs: 0 };
  lastUse.note('late', file, HOUR_MS);
  assert.equal(file.usedAtMs, 0);
  await lastUse.flush(HOUR_MS);
  const names = calls.flatMap((call) => call.names);
  assert.equal(names.length, LAST_USES_MAX);
  assert.ok(!names.includes('late'));
  assert.ok(calls.every((call) => call.names.length <= KEYS_PER_CALL_MAX));
  lastUse.note('late', file, HOUR_MS);
  assert.equal(file.usedAtMs, HOUR_MS);
});

test('a use that is too soon to be written is known, once, and written at the end', async () => {
  const { lastUse, calls } = rig();
  const file = { usedAtMs: HOUR_MS };
  lastUse.note('A', file, HOUR_MS + 5);
  lastUse.note('B', file, HOUR_MS + 6);
  lastUse.note('A', file, HOUR_MS + 7);
  await lastUse.flush(HOUR_MS + 8);
  assert.deepEqual(calls, []);
  assert.deepEqual([lastUse.takeUnwritten('B'), lastUse.takeUnwritten('B')], [true, false]);
  lastUse.note('C', file, HOUR_MS + 9);
  lastUse.note('D', { usedAtMs: 0 }, HOUR_MS + 9);
  await lastUse.close(HOUR_MS + 10);
  assert.deepEqual(calls.length, 2);
  await lastUse.close(HOUR_MS + 11);
  assert.deepEqual(calls, [
    { names: ['D'], nowMs: HOUR_MS + 10 },
    { names: ['A', 'C'], nowMs: HOUR_MS + 9 },
  ]);
});

function rig(idOf?: (name: string) => string) {
  const calls: { names: string[]; nowMs: number }[] = [];
  const lastUse = new LastUse<string>(async (names, nowMs) => {
    calls.push({ names, nowMs });
  }, idOf);
  return { lastUse, calls };
}
