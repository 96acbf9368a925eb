// Goal: after one slow refresh other clients do not wait, until a refresh succeeds.
// Method: refreshes are promises that the test settles.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Overdue } from '../../src/flight/overdue.ts';

function refreshOf(overdue: Overdue) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  overdue.watch(promise);
  return { promise, resolve, reject };
}

test('nothing is silent before a refresh is overdue', () => {
  const overdue = new Overdue();
  refreshOf(overdue);
  assert.equal(overdue.isSilent, false);
});

for (const [why, end] of [
  ['what it was waited for comes', (own: ReturnType<typeof refreshOf>) => own.resolve()],
  ['it fails', (own: ReturnType<typeof refreshOf>) => own.reject(new Error('down'))],
  ['another brings something', (_: unknown, other: ReturnType<typeof refreshOf>) => other.resolve()],
] as const) {
  test(`an overdue refresh is silence until ${why}`, async () => {
    const overdue = new Overdue();
    const [own, other] = [refreshOf(overdue), refreshOf(overdue)];
    overdue.add(own.promise);
    assert.equal(overdue.isSilent, true);
    end(own, other);
    await Promise.allSettled([Promise.race([own.promise, other.promise])]);
    await Promise.resolve();
    assert.equal(overdue.isSilent, false);
  });
}

test('the failure of another refresh does not end the silence', async () => {
  const overdue = new Overdue();
  const [own, other] = [refreshOf(overdue), refreshOf(overdue)];
  overdue.add(own.promise);
  other.reject(new Error('down'));
  await Promise.allSettled([other.promise]);
  assert.equal(overdue.isSilent, true);
});
