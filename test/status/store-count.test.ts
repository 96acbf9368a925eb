// Goal: a store is counted now and then, and nobody who looks waits long for it.
// Method: a reader whose counts the test ends, and a clock that it moves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoreStats } from '../../src/core/store-stats.ts';
import { COUNT_MS, COUNT_TIMES } from '../../src/status/limits.ts';
import { StoreCount } from '../../src/status/store-count.ts';
import { FakeClock, settled } from '../support/fakes.ts';

const tally = { status: 200, oldestAtMs: 1, newestAtMs: 2 } as const;

function statsOf(storeBytes: number): StoreStats {
  return {
    storeBytes,
    walBytes: 2,
    freeBytes: 3,
    tallies: [
      { ...tally, kind: 'mod', source: 'upstream', entries: 5, bytes: 50 },
      { ...tally, kind: 'zip', source: 'upstream', entries: 1, bytes: 900 },
      { ...tally, kind: 'mod', source: 'import', entries: 2, bytes: 20 },
      { ...tally, kind: 'list', status: 404, source: 'upstream', entries: 9, bytes: 90 },
    ],
    blobs: { count: 1, bytes: 900 },
    partials: [],
    partialCount: 4,
    buildCache: { actions: 1, outputs: 1, bytes: 8, storedBytes: 4, conflictCount: 0, conflicts: [] },
    bytesMax: 5_000,
    pinned: { zips: 1, bytes: 800 },
    uploads: { waiting: 3, oldestAtMs: 5, lost: 1, skipped: 0, lostFiles: [] },
    unchecked: 6,
    unconfirmed: 7,
    unknown: 0,
  };
}

/** Each look sees a new write. */
let writes = 0;

class Reader {
  asked = 0;
  #pending = Promise.withResolvers<StoreStats>();

  getStats = () => {
    this.asked += 1;
    this.#pending = Promise.withResolvers();
    return this.#pending.promise;
  };

  end(stats: StoreStats | Error): Promise<void> {
    if (stats instanceof Error) this.#pending.reject(stats);
    else this.#pending.resolve(stats);
    return settled();
  }
}

test('figures are summed by kind, and 404s are apart', async () => {
  const reader = new Reader();
  const clock = new FakeClock();
  const count = new StoreCount({ reader, clock, full: () => 'disk is full' });
  const first = count.figures(writes++);
  await reader.end(statsOf(1));
  assert.deepEqual(await first, {
    countedAtMs: clock.wallMs(),
    fileBytes: 1,
    freeBytes: 3,
    walBytes: 2,
    kinds: [
      { kind: 'zip', entries: 1, bytes: 900 },
      { kind: 'mod', entries: 7, bytes: 70 },
    ],
    absent: 9,
    partials: 4,
    buildCache: { actions: 1, outputs: 1, bytes: 8, storedBytes: 4 },
    limit: { bytesMax: 5_000, pinnedBytes: 800 },
    uploads: { waiting: 3, oldestAtMs: 5, refused: 1 },
    unchecked: 6,
    unconfirmed: 7,
    full: 'disk is full',
  });
});

test('a count that takes long holds nobody up, and comes again the more rarely', async () => {
  const reader = new Reader();
  const clock = new FakeClock();
  const count = new StoreCount({ reader, clock, full: () => undefined });
  assert.equal(await count.figures(writes++), undefined, 'not counted yet');
  clock.pass(60_000);
  assert.equal(await count.figures(writes++), undefined);
  assert.equal(reader.asked, 1, 'one count at a time');
  await reader.end(statsOf(1));
  assert.equal((await count.figures(writes++))?.fileBytes, 1);
  clock.pass(60_000 * COUNT_TIMES - 1);
  await count.figures(writes++);
  assert.equal(reader.asked, 1);
  clock.pass(1);
  assert.equal((await count.figures(writes++))?.fileBytes, 1, 'from before, while it is counted');
  assert.equal(reader.asked, 2);
  await reader.end(statsOf(2));
  clock.pass(COUNT_MS - 1);
  assert.equal((await count.figures(writes++))?.fileBytes, 2);
  assert.equal(reader.asked, 2);
});

test('a store that can’t be read has no figures, and is tried again', async () => {
  const reader = new Reader();
  const clock = new FakeClock();
  const count = new StoreCount({ reader, clock, full: () => undefined });
  const first = count.figures(writes++);
  await reader.end(new Error('gone'));
  assert.equal(await first, undefined);
  clock.pass(COUNT_MS);
  const again = count.figures(writes++);
  await reader.end(statsOf(1));
  assert.equal((await again)?.fileBytes, 1);
});

test('a store without new writes is not counted anew', async () => {
  const reader = new Reader();
  const clock = new FakeClock();
  const count = new StoreCount({ reader, clock, full: () => undefined });
  const first = count.figures(7);
  await reader.end(statsOf(1));
  await first;
  clock.pass(10 * COUNT_MS);
  assert.equal((await count.figures(7))?.fileBytes, 1);
  assert.equal(reader.asked, 1);
  await count.figures(8);
  assert.equal(reader.asked, 2);
});
