// Goal: each minute has what was counted in it, and no more than an hour is kept.
// Method: figures and a clock that the test moves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOTALS, type Totals } from '../../src/core/status.ts';
import { MINUTES_KEPT } from '../../src/observe/limits.ts';
import { Minutes } from '../../src/observe/minutes.ts';

function figures(some: Partial<Totals> = {}): Totals {
  return { ...(Object.fromEntries(TOTALS.map((name) => [name, 0])) as Totals), ...some };
}

test('a minute has the differences, and the current one is the last', async () => {
  let now = figures({ memory: 5 });
  let atMs = 1_000;
  const minutes = new Minutes({ totals: async () => now, wallMs: () => atMs });
  assert.deepEqual((await minutes.take()).hour, [{ fromMs: 1_000, memory: 5 }]);
  atMs = 61_000;
  await minutes.turn();
  now = figures({ memory: 7, upstreamBytes: 100 });
  const { hour, total } = await minutes.take();
  assert.deepEqual(hour, [
    { fromMs: 1_000, memory: 5 },
    { fromMs: 61_000, memory: 2, upstreamBytes: 100 },
  ]);
  assert.deepEqual(total, now);
});

test('after a day there is one hour', async () => {
  let store = 0;
  const minutes = new Minutes({ totals: async () => figures({ store }), wallMs: () => store * 60_000 });
  for (; store < 24 * 60; store++) await minutes.turn();
  const { hour } = await minutes.take();
  assert.equal(hour.length, MINUTES_KEPT);
  assert.equal(hour.at(-1)?.store, 1);
  assert.deepEqual(new Set(hour.map(({ store }) => store)), new Set([1]));
});
