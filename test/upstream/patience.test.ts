// Goal: tries are counted without progress only, and waits grow, within bounds.
// Method: a table of tries with no wait at all; node's mocked timers for the waits.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Patience, type PatienceOptions } from '../../src/upstream/patience.ts';
import { Setback, type SetbackKind } from '../../src/upstream/setback.ts';

const { signal } = new AbortController();

function made(more: Partial<PatienceOptions> = {}): Patience {
  return new Patience({
    backoff: { baseMs: 0, capMs: 0 },
    random: () => 0,
    signal,
    firstByteMs: 60_000,
    isShort: () => false,
    ...more,
  });
}

const rows: { kind: SetbackKind; hasBegun: boolean; isShort: boolean; tries: number }[] = [
  { kind: 'connect', hasBegun: false, isShort: false, tries: 3 },
  { kind: 'connect', hasBegun: true, isShort: false, tries: 10 },
  { kind: 'silence', hasBegun: false, isShort: false, tries: 1 },
  { kind: 'silence', hasBegun: true, isShort: false, tries: 1 },
  { kind: 'stall', hasBegun: false, isShort: false, tries: 2 },
  { kind: 'stall', hasBegun: true, isShort: true, tries: 3 },
  { kind: 'slow', hasBegun: false, isShort: false, tries: 2 },
  { kind: 'slow', hasBegun: true, isShort: false, tries: 2 },
  { kind: 'cut', hasBegun: false, isShort: false, tries: 8 },
  { kind: 'cut', hasBegun: false, isShort: true, tries: 3 },
  { kind: 'cut', hasBegun: true, isShort: true, tries: 8 },
  { kind: 'answer', hasBegun: false, isShort: false, tries: 16 },
  { kind: 'answer', hasBegun: false, isShort: true, tries: 3 },
  { kind: 'local', hasBegun: false, isShort: false, tries: 3 },
  { kind: 'local', hasBegun: true, isShort: false, tries: 10 },
  { kind: 'refused', hasBegun: false, isShort: false, tries: 1 },
];
for (const { kind, hasBegun, isShort, tries } of rows) {
  test(`${kind}, ${hasBegun ? 'in the middle' : 'at first'}${isShort ? ', short' : ''}: ${tries} tries`, async () => {
    const patience = made({ isShort: () => isShort });
    const state = { hasBegun, hasGained: false };
    for (let i = 1; i < tries; i += 1)
      assert.ok(await patience.after(new Setback(kind, ''), state), `try ${i}`);
    assert.ok(!(await patience.after(new Setback(kind, ''), state)));
  });
}

test('a new byte starts the count anew', async () => {
  const patience = made();
  for (let i = 0; i < 100; i += 1) {
    const state = { hasBegun: true, hasGained: i % 5 === 0 };
    assert.ok(await patience.after(new Setback('cut', ''), state));
  }
});

test('new bytes that come too slowly are no reason to go on', async () => {
  const patience = made();
  const state = { hasBegun: true, hasGained: true };
  assert.ok(await patience.after(new Setback('slow', ''), state));
  assert.ok(!(await patience.after(new Setback('slow', ''), state)));
});

/** Waits for an answer for `ms`, as nobody's clock shows it but the one that counts. */
async function waitFor(t: TestContext, patience: Patience, ms: number): Promise<number> {
  let told = 0;
  const now = Math.floor(performance.now()); // Sums of fractions are rounded.
  const clock = t.mock.method(performance, 'now', () => now);
  await patience.waiting(async (waitMs) => {
    told = waitMs;
    clock.mock.mockImplementation(() => now + ms);
  });
  clock.mock.restore();
  return told;
}

test('all tries until an answer begins share one wait', async (t) => {
  const patience = made({ firstByteMs: 1_000 });
  const state = { hasBegun: false, hasGained: false };
  assert.equal(await waitFor(t, patience, 400), 1_000);
  assert.ok(await patience.after(new Setback('answer', ''), state));
  assert.equal(await waitFor(t, patience, 400), 600);
  assert.ok(await patience.after(new Setback('cut', ''), state));
  assert.equal(await waitFor(t, patience, 200), 200);
  assert.ok(!(await patience.after(new Setback('answer', ''), state)), 'it is used up');
});

test('new bytes give a new wait', async (t) => {
  const patience = made({ firstByteMs: 1_000 });
  assert.equal(await waitFor(t, patience, 1_000), 1_000);
  assert.ok(await patience.after(new Setback('cut', ''), { hasBegun: true, hasGained: true }));
  assert.equal(await waitFor(t, patience, 0), 1_000);
});

/** The wait before the next try, by ticking until it comes. */
async function waited(t: TestContext, wait: Promise<boolean>): Promise<number> {
  let isOver = false;
  wait.then(() => {
    isOver = true;
  });
  for (let ms = 0; ms <= 10_000; ms += 50) {
    await new Promise((resolve) => setImmediate(resolve));
    if (isOver) return ms;
    t.mock.timers.tick(50);
  }
  return Number.POSITIVE_INFINITY;
}

const waits: { hasBegun: boolean; retryAfterMs: number; expected: number[]; why: string }[] = [
  {
    hasBegun: true,
    retryAfterMs: 0,
    expected: [100, 200, 400, 800, 1600, 3200, 5000],
    why: 'doubling to the cap',
  },
  {
    hasBegun: false,
    retryAfterMs: 0,
    expected: [100, 200, 400, 500, 500],
    why: 'somebody else may be asked',
  },
  { hasBegun: false, retryAfterMs: 2_000, expected: [2_000, 2_000], why: 'Retry-After' },
  { hasBegun: false, retryAfterMs: 3_600_000, expected: [5_000], why: 'Retry-After, but not for an hour' },
];
for (const { hasBegun, retryAfterMs, expected, why } of waits) {
  test(`waits: ${why}`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const patience = made({ backoff: { baseMs: 100, capMs: 5_000 }, random: () => 1 });
    for (const ms of expected) {
      const wait = patience.after(new Setback('answer', '', retryAfterMs), { hasBegun, hasGained: false });
      assert.equal(await waited(t, wait), ms);
    }
  });
}

test('chance shortens a wait to no less than half', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const patience = made({ backoff: { baseMs: 1_000, capMs: 5_000 }, random: () => 0 });
  const wait = patience.after(new Setback('cut', ''), { hasBegun: true, hasGained: false });
  assert.equal(await waited(t, wait), 500);
});

test('a wait ends when nobody wants its end any more', async () => {
  const aborter = new AbortController();
  const patience = made({ backoff: { baseMs: 60_000, capMs: 60_000 }, signal: aborter.signal });
  const wait = patience.after(new Setback('cut', ''), { hasBegun: true, hasGained: false });
  aborter.abort(new Error('left'));
  await assert.rejects(wait, /left/);
});
