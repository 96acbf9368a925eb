// Goal: a dead line fails all that wait for it at once; a line that is only full does not.
// Method: node's mocked timers.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LineWatch, type Waiting } from '../../src/upstream/line-watch.ts';
import { TIMEOUTS } from '../../src/upstream/settings.ts';

function made(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const failed: string[] = [];
  const state = { silences: 0 };
  const watch: LineWatch = new LineWatch({ ...TIMEOUTS, silenceMs: 3_000, connectMs: 10_000 }, () => {
    state.silences += 1;
  });
  const waiting = (name: string): Waiting => {
    const it: Waiting = {
      fail: () => {
        failed.push(name);
        watch.ended(it);
      },
    };
    watch.began(it);
    return it;
  };
  // A timer that a timer sets begins at the end of the mock's tick: hence one by one.
  const tick = (ms: number) => {
    for (let i = 0; i < ms; i += 1) t.mock.timers.tick(1);
  };
  return { watch, waiting, failed, state, tick };
}

test('after a silence all that wait for a connection fail together', (t) => {
  const { waiting, failed, state, tick } = made(t);
  waiting('a');
  tick(2_000);
  waiting('b');
  tick(999);
  assert.deepEqual(failed, []);
  tick(1);
  assert.deepEqual(failed, ['a', 'b']);
  tick(60_000);
  assert.equal(state.silences, 1);
});

test('who waits for an answer on an older connection fails with them, who came later does not', (t) => {
  const { watch, waiting, failed, tick } = made(t);
  watch.connected(waiting('old'));
  waiting('late');
  tick(10);
  watch.connected(waiting('new'));
  tick(2_990);
  assert.deepEqual(failed, ['old', 'late']);
});

test('a connection that is there is not counted down', (t) => {
  const { watch, waiting, failed, state, tick } = made(t);
  watch.connected(waiting('a'));
  tick(60_000);
  assert.deepEqual(failed, []);
  assert.equal(state.silences, 0);
});

test('while something is heard, a new connection has its whole time, and then fails alone', (t) => {
  const { watch, waiting, failed, state, tick } = made(t);
  waiting('a');
  for (let ms = 0; ms < 9_999; ms += 1) {
    tick(1);
    watch.heard();
  }
  watch.connected(waiting('b'));
  assert.deepEqual(failed, []);
  tick(1);
  assert.deepEqual(failed, ['a']);
  assert.equal(state.silences, 0);
});

test('a line that falls silent later is noticed too', (t) => {
  const { watch, waiting, failed, state, tick } = made(t);
  waiting('a');
  tick(1);
  watch.heard();
  tick(5_998);
  assert.deepEqual(failed, []);
  tick(1);
  assert.deepEqual(failed, ['a']);
  assert.equal(state.silences, 1);
});

test('a line that was slow to connect is given twice that, up to the whole', (t) => {
  const { watch } = made(t);
  assert.equal(watch.silenceMs, 3_000);
  watch.connectTook(2_000);
  assert.equal(watch.silenceMs, 4_000);
  watch.connectTook(1_000);
  assert.equal(watch.silenceMs, 3_000, 'forgotten by and by');
  watch.connectTook(9_000);
  assert.equal(watch.silenceMs, 10_000);
});
