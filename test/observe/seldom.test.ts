// Goal: a key is told of once in a while, and the memory of it is bounded.
// Method: times that the test gives.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Seldom } from '../../src/observe/seldom.ts';

test('a key is due again after the pause, which begins with the last word', () => {
  const seldom = new Seldom({ pauseMs: 100, keysMax: 10 });
  const due = (key: string, ...times: number[]) => times.filter((ms) => seldom.isDue(key, ms));
  assert.deepEqual(due('a', 0, 50, 99, 100, 150, 199, 200), [0, 100, 200]);
  assert.deepEqual(due('b', 200), [200], 'each for itself');
});

test('past the bound the key that was told of longest ago is forgotten', () => {
  const seldom = new Seldom({ pauseMs: 100, keysMax: 2 });
  for (const key of ['a', 'b', 'a', 'c']) seldom.isDue(key, key === 'a' ? 1 : 2);
  assert.equal(seldom.isDue('b', 3), false);
  assert.equal(seldom.isDue('a', 3), true);
});
