// Goal: when the fetching ahead has ended, for whatever reason, nothing of it goes on, and nothing begins after its end.
// Method: reports that a test lets come when it says so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { StoreFailed } from '../../src/core/errors.ts';
import { VulnKeeper } from '../../src/vulndb/vuln-keeper.ts';

const ids = ['GO-2024-0001', 'GO-2024-0002', 'GO-2024-0003', 'GO-2024-0004', 'GO-2024-0005', 'GO-2024-0006'];
const modules = [{ path: 'stdlib', vulns: ids.map((id) => ({ id, modified: '2024-01-01T00:00:00Z' })) }];

function keeperOf() {
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  const stopped: string[] = [];
  const keeper = new VulnKeeper({
    store: { getVersions: async () => ({ versions: [] }) },
    keep: (id) => {
      const report = Promise.withResolvers<void>();
      waiting.set(id, report);
      return report.promise;
    },
    onStopped: (why) => stopped.push(why),
  });
  const turns = async () => {
    for (let turn = 0; turn < 10; turn++) await setImmediate();
  };
  return { keeper, waiting, stopped, turns };
}

test('after a failure the work has ended only when all that was under way has', async () => {
  const { keeper, waiting, stopped, turns } = keeperOf();
  keeper.start(modules as never);
  await turns();
  const [first, ...others] = waiting.values();
  assert.ok(first !== undefined && others.length > 0, 'several at a time');
  let hasEnded = false;
  const settled = keeper.settled().then(() => {
    hasEnded = true;
  });
  first.reject(new StoreFailed('cannot use store: SQLITE_FULL'));
  await turns();
  assert.equal(hasEnded, false);
  for (const other of others) other.resolve();
  await settled;
  assert.deepEqual(stopped, ['cannot use store: SQLITE_FULL']);
  assert.equal(waiting.size, 1 + others.length, 'no other report was asked for');
});

test('what fails while it is being stopped is told to nobody', async () => {
  const { keeper, waiting, stopped, turns } = keeperOf();
  keeper.start(modules as never);
  await turns();
  const end = keeper.stop();
  for (const report of waiting.values()) report.reject(new StoreFailed('cannot write store: it is closed'));
  await end;
  assert.deepEqual(stopped, []);
});

test('an index that comes after the end starts nothing', async () => {
  const { keeper, waiting, turns } = keeperOf();
  await keeper.stop();
  keeper.start(modules as never);
  await turns();
  await keeper.settled();
  assert.equal(waiting.size, 0);
});
