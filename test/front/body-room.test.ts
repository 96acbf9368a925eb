// Goal: bodies together stay near their bound: what may come at once counts for a while, and the next ones go in their order.
// Method: a room with the clock of the test.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BodyRoom } from '../../src/front/body-room.ts';
import {
  REQUEST_BODIES_AHEAD_BYTES,
  REQUEST_BODY_BURST_BYTES,
  REQUEST_BODY_BURST_MS,
} from '../../src/front/limits.ts';

const BURSTS = REQUEST_BODIES_AHEAD_BYTES / REQUEST_BODY_BURST_BYTES;

function rig(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const gone: string[] = [];
  const goes = (name: string) => () => void gone.push(name);
  return { room: new BodyRoom(), gone, goes };
}

/** Of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('bytes that nobody has read yet have room together, and give it back', () => {
  const room = new BodyRoom(10);
  assert.equal(room.take(6), true);
  assert.equal(room.take(6), false, 'it would be more than there is');
  room.read(6);
  assert.equal(room.take(10), true);
});

test('no more may go at once than bursts have room, and others when these are over', async (t) => {
  const { room, gone, goes } = rig(t);
  for (let count = 0; count < BURSTS; count++) assert.equal(room.mayGo(assert.fail, Infinity), true);
  const leaves = goes('leaves');
  for (const go of [goes('first'), leaves, goes('second')]) assert.equal(room.mayGo(go, 1), false);
  room.leave(leaves);
  t.mock.timers.tick(REQUEST_BODY_BURST_MS - 1);
  await turn();
  assert.deepEqual(gone, []);
  t.mock.timers.tick(1);
  await turn();
  assert.deepEqual(gone, ['first', 'second']);
});

test('bytes count while readers work on them', async (t) => {
  const { room, gone, goes } = rig(t);
  room.take(REQUEST_BODIES_AHEAD_BYTES);
  room.read(REQUEST_BODIES_AHEAD_BYTES);
  assert.equal(room.mayGo(goes('next'), 1), false);
  const next = room.turn();
  room.done(1);
  assert.deepEqual(gone, ['next'], 'it takes the room that there was');
  room.done(1);
  await next;
});

test('bytes of a body that is gathered count when it is whole', (t) => {
  const { room, gone, goes } = rig(t);
  room.take(REQUEST_BODIES_AHEAD_BYTES);
  assert.equal(room.mayGo(goes('rest'), 1), false);
  room.gather(REQUEST_BODIES_AHEAD_BYTES);
  assert.deepEqual(gone, ['rest'], 'else it would wait for itself');
  room.gathered(REQUEST_BODIES_AHEAD_BYTES);
  assert.equal(room.mayGo(goes('next'), 1), false);
});
