// Goal: the gate bounds the open requests and the waiting ones; first come, first served.
// Method: calls of `enter` without await; the test notes the ones that got a place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Busy, UpstreamDown } from '../../src/core/errors.ts';
import { Gate } from '../../src/core/gate.ts';

const never = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('waiters get places in the order of their calls', async () => {
  const gate = new Gate({ placesMax: 1, queueMax: 3, full: 'too many wait' });
  await gate.enter(never);
  assert.ok(gate.isFull);
  const order: number[] = [];
  for (const i of [1, 2, 3]) gate.enter(never).then(() => order.push(i));
  await turn();
  assert.deepEqual(order, []);
  for (const expected of [[1], [1, 2], [1, 2, 3]]) {
    gate.leave();
    await turn();
    assert.deepEqual(order, expected);
  }
  gate.leave();
  assert.ok(!gate.isFull);
});

test('a request past the queue gets Busy', async () => {
  const gate = new Gate({ placesMax: 1, queueMax: 1, full: 'too many wait' });
  await gate.enter(never);
  const second = gate.enter(never);
  await assert.rejects(
    gate.enter(never),
    (error) => error instanceof Busy && error.message === 'too many wait',
  );
  gate.leave();
  await second;
});

test('a waiter that gives up takes no place', async () => {
  const gate = new Gate({ placesMax: 1, queueMax: 2, full: 'too many wait' });
  await gate.enter(never);
  const aborter = new AbortController();
  const left = gate.enter(aborter.signal);
  const stays = gate.enter(never);
  aborter.abort(new Error('left'));
  await assert.rejects(left, /left/);
  gate.leave();
  await stays;
  gate.leave();
  assert.ok(!gate.isFull);
});

test('all waiters can be refused', async () => {
  const gate = new Gate({ placesMax: 1, queueMax: 2, full: 'too many wait' });
  await gate.enter(never);
  const waiting = [gate.enter(never), gate.enter(never)];
  gate.refuseWaiting(() => new UpstreamDown('down'));
  for (const each of waiting) await assert.rejects(each, UpstreamDown);
  gate.leave();
  assert.ok(!gate.isFull);
});
