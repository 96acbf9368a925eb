// Goal: one flight per key. All its callers get its outcome, a failure is never remembered, and both bounds hold.
// Method: flights that land when the test says so. Waiters check the order of microtasks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Busy } from '../../src/core/errors.ts';
import { Singleflight } from '../../src/flight/singleflight.ts';

function deferred<V>(): { promise: Promise<V>; resolve: (value: V) => void; reject: (error: Error) => void } {
  return Promise.withResolvers<V>();
}

function makeFlights(bounds: { flightsMax?: number; waitersMax?: number } = {}) {
  let joined = 0;
  const flights = new Singleflight<number>({
    flightsMax: 10,
    waitersMax: 10,
    ...bounds,
    onJoin: () => joined++,
  });
  return { flights, joined: () => joined };
}

test('callers of one key share one start, callers of two keys do not', async () => {
  const { flights, joined } = makeFlights();
  const landing = deferred<number>();
  let starts = 0;
  const start = () => {
    starts++;
    return landing.promise;
  };
  const calls = ['a', 'a', 'b', 'a'].map((key) => flights.do(key, start));
  assert.equal(starts, 2);
  assert.equal(joined(), 2);
  assert.equal(flights.size, 2);
  assert.ok(flights.has('a') && !flights.has('c'));
  landing.resolve(7);
  assert.deepEqual(await Promise.all(calls), [7, 7, 7, 7]);
  assert.equal(flights.size, 0);
});

test('a success is not remembered either', async () => {
  const { flights } = makeFlights();
  assert.equal(await flights.do('a', async () => 1), 1);
  assert.equal(await flights.do('a', async () => 2), 2);
});

for (const outcome of ['success', 'failure'] as const) {
  test(`after a ${outcome} the key is free before any waiter resumes`, async () => {
    const { flights } = makeFlights();
    const landing = deferred<number>();
    const seen: number[] = [];
    const calls = [1, 2, 3].map(() =>
      flights
        .do('a', () => landing.promise)
        .then(
          () => seen.push(flights.size),
          () => seen.push(flights.size),
        ),
    );
    if (outcome === 'success') landing.resolve(1);
    else landing.reject(new Error('down'));
    await Promise.all(calls);
    assert.deepEqual(seen, [0, 0, 0]);
  });
}

test('all waiters get a failure, and the next caller starts a new flight', async () => {
  const { flights } = makeFlights();
  const failure = new Error('down');
  const landing = deferred<number>();
  const calls = [1, 2, 3].map(() => flights.do('a', () => landing.promise));
  landing.reject(failure);
  const outcomes = await Promise.allSettled(calls);
  for (const outcome of outcomes) assert.ok(outcome.status === 'rejected' && outcome.reason === failure);
  assert.equal(await flights.do('a', async () => 5), 5);
});

test('a waiter that asks once more after a failure starts a flight of its own', async () => {
  const { flights } = makeFlights();
  const again = await flights
    .do('a', () => Promise.reject(new Error('down')))
    .catch(() => flights.do('a', async () => 8));
  assert.equal(again, 8);
});

for (const outcome of ['kept', 'not kept'] as const) {
  test(`a held key stays taken until its hold settles (${outcome}), and gives its answer at once`, async () => {
    const { flights } = makeFlights();
    const holding = deferred<number>();
    const first = await flights.do('a', async (hold) => {
      hold(holding.promise);
      return 1;
    });
    assert.equal(first, 1, 'the answer does not wait');
    assert.ok(flights.has('a'));
    assert.equal(await flights.do('a', async () => 2), 1, 'who comes now joins');
    if (outcome === 'kept') holding.resolve(0);
    else holding.reject(new Error('full disk'));
    await holding.promise.catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(!flights.has('a'));
    assert.equal(await flights.do('a', async () => 2), 2);
  });
}

test('a failed flight does not hold its key, even if it called hold', async () => {
  const { flights } = makeFlights();
  await flights
    .do('a', async (hold) => {
      hold(new Promise(() => {}));
      throw new Error('down');
    })
    .catch(() => {});
  assert.equal(flights.size, 0);
});

test('a flight may fail together with what holds its key', async () => {
  const { flights } = makeFlights();
  const landing = deferred<number>();
  const call = flights.do('a', (hold) => {
    hold(landing.promise.then(() => {}));
    return landing.promise;
  });
  landing.reject(new TypeError('a bug'));
  await assert.rejects(call, TypeError);
  await new Promise(setImmediate); // A rejection that nobody has heard would end the process here.
  assert.equal(flights.size, 0);
});

test('past the bound on flights a new key is refused with Busy; known keys are joined', async () => {
  const { flights } = makeFlights({ flightsMax: 2 });
  const landing = deferred<number>();
  const calls = ['a', 'b', 'a'].map((key) => flights.do(key, () => landing.promise));
  let isStarted = false;
  const refused = flights.do('c', async () => {
    isStarted = true;
    return 1;
  });
  await assert.rejects(refused, Busy);
  assert.equal(isStarted, false);
  landing.resolve(1);
  await Promise.all(calls);
  assert.equal(await flights.do('c', async () => 3), 3);
});

test('past the bound on waiters a caller is refused with Busy; answered waiters no longer count', async () => {
  const { flights, joined } = makeFlights({ waitersMax: 3 });
  const landing = deferred<number>();
  const holding = deferred<number>();
  const start = (hold: (until: Promise<unknown>) => void) => {
    hold(holding.promise);
    return landing.promise;
  };
  const calls = [1, 2, 3].map(() => flights.do('a', start));
  await assert.rejects(flights.do('a', start), Busy);
  assert.equal(joined(), 2, 'a refused one has not joined');
  landing.resolve(4);
  assert.deepEqual(await Promise.all(calls), [4, 4, 4]);
  assert.equal(await flights.do('a', start), 4, 'the flight is held, its waiters have gone');
  holding.resolve(0);
});
