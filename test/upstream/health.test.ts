// Goal: an upstream counts as down after three failures in a row, for 10 s doubling to 2 m.
// Method: a clock moved by hand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from '../../src/upstream/health.ts';
import { HandClock } from './rig.ts';

function made() {
  const clock = new HandClock();
  const downs: number[] = [];
  const health = new Health({ clock, probeGapMs: 1_000, onDown: (forMs) => downs.push(forMs) });
  return { clock, downs, health };
}

test('two failures are none, three are', () => {
  const { health, downs } = made();
  health.failed();
  health.failed();
  assert.ok(!health.isDown && !health.isSuspect);
  health.failed();
  assert.ok(health.isDown && health.isSuspect);
  assert.deepEqual(downs, [10_000]);
});

test('only failures in a row count', () => {
  const { health } = made();
  for (let i = 0; i < 9; i += 1) {
    health.failed();
    health.failed();
    health.heard();
  }
  assert.ok(!health.isDown);
});

test('a silence stands for three failures', () => {
  const { health } = made();
  health.silent();
  assert.ok(health.isDown);
});

test('periods double up to two minutes, and begin anew after a success', () => {
  const { health, clock, downs } = made();
  for (let i = 0; i < 6; i += 1) {
    health.silent();
    clock.nowMs += downs.at(-1) ?? 0;
  }
  assert.deepEqual(downs, [10_000, 20_000, 40_000, 80_000, 120_000, 120_000]);
  health.heard();
  health.silent();
  assert.equal(downs.at(-1), 10_000);
});

test('failures within the period are part of the same event', () => {
  const { health, downs } = made();
  for (let i = 0; i < 9; i += 1) health.failed();
  assert.deepEqual(downs, [10_000]);
});

test('when the period is over somebody may wait for the answer, but one at a time probes', () => {
  const { health, clock } = made();
  health.silent();
  clock.nowMs += 9_999;
  assert.ok(health.isDown);
  clock.nowMs += 1;
  assert.ok(!health.isDown && health.isSuspect);
  assert.ok(health.mayProbe);
  health.probing();
  assert.ok(health.isDown && !health.mayProbe);
  health.probed();
  assert.ok(!health.mayProbe, 'a rest between probes');
  clock.nowMs += 1_000;
  assert.ok(health.mayProbe);
});
