// Goal: systemd hears of a start, of a stop, and of a server that lives, and nothing of one whose threads hang.
// Method: timers of the test's, and messages into a list.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceManager } from '../../src/serve/service-manager.ts';

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('the watchdog is fed three times in its time, until the server stops', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const sent: string[] = [];
  const manager = new ServiceManager({
    watchdogMs: 90_000,
    isAlive: () => Promise.reject(new Error('the store is gone: an answer all the same')),
    send: (message) => sent.push(message),
  });
  manager.ready();
  for (let time = 0; time < 3; time++) {
    t.mock.timers.tick(30_000);
    await settled();
  }
  assert.deepEqual(sent, ['READY=1', 'WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1']);
  manager.stopping();
  t.mock.timers.tick(90_000);
  await settled();
  assert.deepEqual(sent.slice(4), ['STOPPING=1']);
});

test('a server whose threads do not answer feeds no watchdog, and is asked once only', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const sent: string[] = [];
  const answer = Promise.withResolvers<void>();
  let asked = 0;
  const manager = new ServiceManager({
    watchdogMs: 90_000,
    isAlive: () => {
      asked++;
      return answer.promise;
    },
    send: (message) => sent.push(message),
  });
  manager.ready();
  t.mock.timers.tick(300_000);
  await settled();
  assert.deepEqual([sent, asked], [['READY=1'], 1]);
  manager.stopping();
  answer.resolve();
  await settled();
  assert.deepEqual(sent, ['READY=1', 'STOPPING=1'], 'what answers after the stop is not told any more');
});

test('without a watchdog only start and stop are told', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const sent: string[] = [];
  const manager = new ServiceManager({
    watchdogMs: undefined,
    isAlive: () => Promise.resolve(),
    send: (message) => sent.push(message),
  });
  manager.ready();
  t.mock.timers.tick(300_000);
  await settled();
  manager.stopping();
  assert.deepEqual(sent, ['READY=1', 'STOPPING=1']);
});
