// Goal: many who ask the same at one time are one question; an answer and a "not there" are kept for their times, a
// failure is not.
// Method: questions that count themselves, and a clock that is set by hand.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NotFound, UpstreamDown } from '../../src/core/errors.ts';
import { KeptAnswers } from '../../src/git/kept-answers.ts';

test('an answer is kept for its time, however long it took', async () => {
  const { kept, clock, asked, answer } = world();
  const gate = Promise.withResolvers<string>();
  const all = Array.from({ length: 40 }, () => kept.get('a', answer(gate.promise)));
  clock.nowMs = 5_000;
  const late = kept.get('a', answer('other'));
  gate.resolve('one');
  assert.deepEqual(new Set(await Promise.all([...all, late])), new Set(['one']));
  clock.nowMs += 999;
  assert.equal(await kept.get('a', answer('two')), 'one');
  clock.nowMs += 1;
  assert.equal(await kept.get('a', answer('two')), 'two');
  assert.equal(asked.length, 2);
});

test('what is not there is kept for a shorter time', async () => {
  const { kept, clock, asked, answer } = world();
  const missing = () => kept.get('a', answer(new NotFound('none')));
  await assert.rejects(missing(), NotFound);
  await assert.rejects(missing(), NotFound);
  assert.equal(asked.length, 1);
  clock.nowMs += 100;
  assert.equal(await kept.get('a', answer('made')), 'made');
});

test('a failure is not kept, and an older answer stands in for it', async () => {
  const { kept, clock, asked, answer } = world();
  const failing = () => kept.get('a', answer(new UpstreamDown('down')));
  await assert.rejects(failing(), UpstreamDown);
  assert.equal(await kept.get('a', answer('one')), 'one');
  clock.nowMs += 1_000;
  for (let round = 0; round < 3; round++) assert.equal(await failing(), 'one');
  assert.equal(asked.length, 5);
  assert.equal(await kept.get('a', answer('two')), 'two');
});

test('the oldest go first, and all can be forgotten', async () => {
  const { kept, asked, answer } = world();
  for (const question of ['a', 'b', 'c', 'd', 'a']) await kept.get(question, answer(question));
  assert.equal(asked.length, 5);
  await kept.get('d', answer('d'));
  assert.equal(asked.length, 5);
  kept.clear();
  await kept.get('d', answer('d'));
  assert.equal(asked.length, 6);
});

function world() {
  const clock = { nowMs: 0, wallMs: () => 0, monotonicMs: () => clock.nowMs };
  const kept = new KeptAnswers<string>({ clock, keptMs: 1_000, missingMs: 100, keptMax: 3 });
  const asked: unknown[] = [];
  const answer = (value: string | Promise<string> | Error) => async () => {
    asked.push(value);
    if (value instanceof Error) throw value;
    return await value;
  };
  return { kept, clock, asked, answer };
}
