// Goal: rounds never overlap, a failed step keeps no other from being done, and nothing goes on after the end.
// Method: a store of fakes that a test holds up, and timers that go when the test says so.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Housekeeping } from '../../src/serve/housekeeping.ts';
import { SizeBound } from '../../src/workers/size-bound.ts';

const ROUND_MS = 60_000;

type Parts = ConstructorParameters<typeof Housekeeping>[1];

/** Housekeeping without a bound, over a store that notes what it is asked for. */
async function start(t: TestContext, changed: { tidy?: () => Promise<object>; flush?: () => Promise<void> }) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const asked: string[] = [];
  const failed: string[] = [];
  const store = {
    bound: new SizeBound(undefined),
    full: undefined,
    keepWithin: async () => ({}),
    tidy: () => {
      asked.push('tidy');
      return changed.tidy?.() ?? Promise.resolve({});
    },
    expireActions: async () => {
      asked.push('expire');
      return { isDone: true };
    },
    shrink: async () => {
      asked.push('shrink');
      return { isDone: true };
    },
  };
  const flushed = { flush: changed.flush ?? (async () => {}), close: async () => {} };
  const services = {
    vulndb: undefined,
    zips: { dropLeaving: async () => {} },
    cache: { tellUses: () => {} },
    lastUse: flushed,
    usedActions: flushed,
  };
  const status = { turnMinute: async () => asked.push('minute') };
  const events = { housekeepingFailed: (why: string) => failed.push(why) };
  const parts = { store, services, events, status, logins: undefined } as unknown as Parts;
  const config = { privatePatterns: '', noProxyPatterns: '', pinPatterns: '' };
  const house = new Housekeeping(config as unknown as ConstructorParameters<typeof Housekeeping>[0], parts);
  await house.start();
  const round = async () => {
    t.mock.timers.tick(ROUND_MS);
    await turns();
  };
  return { house, asked, failed, round };
}

/** What is done by fakes is done within a few turns. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await setImmediate();
}

test('a round does all of its steps', async (t) => {
  const { house, asked, round } = await start(t, {});
  await round();
  assert.deepEqual(asked, ['minute', 'tidy', 'expire', 'shrink']);
  await house.close();
});

test('while a round takes longer than a minute no other one begins, and minutes are counted all the same', async (t) => {
  const slow = Promise.withResolvers<object>();
  const { house, asked, round } = await start(t, { tidy: () => slow.promise });
  await round();
  await round();
  await round();
  assert.deepEqual(asked, ['minute', 'tidy', 'minute', 'minute']);
  slow.resolve({});
  await turns();
  await round();
  assert.equal(asked.filter((one) => one === 'tidy').length, 2, 'a later round begins anew');
  await house.close();
});

test('a step that fails is told, and the others are done', async (t) => {
  const flush = () => Promise.reject(new Error('cannot store: store is full'));
  const { house, asked, failed, round } = await start(t, { flush });
  await round();
  assert.deepEqual(asked, ['minute', 'tidy', 'expire', 'shrink']);
  assert.deepEqual(failed, ['cannot store: store is full', 'cannot store: store is full']);
  await house.close();
});

test('the end waits for the step under way, and no other one follows', async (t) => {
  const slow = Promise.withResolvers<object>();
  const { house, asked, round } = await start(t, { tidy: () => slow.promise });
  await round();
  let isClosed = false;
  const closed = house.close().then(() => {
    isClosed = true;
  });
  await turns();
  assert.equal(isClosed, false);
  slow.resolve({});
  await closed;
  assert.deepEqual(asked, ['minute', 'tidy']);
});
