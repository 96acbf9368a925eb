// Goal: each server has its own places, all together have a bound, and those who wait fail with the one that found it silent.
// Method: places taken and given back by hand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerGates } from '../../src/git/server-gates.ts';

const { signal } = new AbortController();

test('a server that is full leaves places for others, up to the bound of all', async () => {
  const gates = new ServerGates({ outsideMax: 3, serverMax: 2 });
  const order: string[] = [];
  const enter = async (name: string) => {
    const leave = await gates.enter(name, signal);
    order.push(name);
    return leave;
  };
  const [a] = await Promise.all([enter('a'), enter('a')]);
  const third = enter('a');
  const [b, c] = [enter('b'), enter('c')];
  (await b)();
  await c;
  assert.deepEqual(order, ['a', 'a', 'b', 'c']);
  a();
  await third;
  assert.deepEqual(order, ['a', 'a', 'b', 'c', 'a']);
});

test('those who wait for a silent server fail together, and it can be asked again', async () => {
  const gates = new ServerGates({ outsideMax: 8, serverMax: 1 });
  const leave = await gates.enter('a', signal);
  const waiting = [gates.enter('a', signal), gates.enter('a', signal)];
  leave(() => new Error('silent'));
  for (const one of waiting) await assert.rejects(one, /silent/);
  (await gates.enter('a', signal))();
  (await gates.enter('a', signal))();
});

test('a request that is given up takes no place', async () => {
  const gates = new ServerGates({ outsideMax: 1, serverMax: 1 });
  const leave = await gates.enter('a', signal);
  const abort = new AbortController();
  const [same, other] = [gates.enter('a', abort.signal), gates.enter('b', abort.signal)];
  abort.abort(new Error('gone'));
  await assert.rejects(same, /gone/);
  await assert.rejects(other, /gone/);
  leave();
  (await gates.enter('b', signal))();
  (await gates.enter('a', signal))();
});
