// Goal: no more requests are open, and no more wait, than the gate allows; first come, first served.
// Method: enter without awaiting, note who came in.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Busy, UpstreamDown } from '../../src/core/errors.ts';
import { Gate } from '../../src/core/gate.ts';

const never = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('who waits gets in in the order of coming', async () => {
  const gate = new Gate({ placesMax: 1, queueMax: 3 });
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

test('past the queue is Busy', async () => {
  const gate = new Gate({ placesMax: 1, queueMax: 1 });
  await gate.enter(never);
  const second = gate.enter(never);
  await assert.rejects(gate.enter(never), Busy);
  gate.leave();
  await second;
});

test('who gives up while waiting takes no place', async () => {
  const gate = new Gate({ placesMax: 1, queueMax: 2 });
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

test('all who wait can be turned away', async () => {
  const gate = new Gate({ placesMax: 1, queueMax: 2 });
  await gate.enter(never);
  const waiting = [gate.enter(never), gate.enter(never)];
  gate.refuseWaiting(() => new UpstreamDown('down'));
  for (const each of waiting) await assert.rejects(each, UpstreamDown);
  gate.leave();
  assert.ok(!gate.isFull);
});
