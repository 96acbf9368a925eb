// Goal: the store's bound says in time when to drop, when to wait, when to shrink and when nothing more can be stored.
// Method: sizes as the writer and the disk would tell them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from '../../src/core/limits.ts';
import { SizeBound } from '../../src/workers/size-bound.ts';

/** A bound of 1,024 MiB: its marks are 32 MiB apart. */
function boundWith(usedMiB: number, fileMiB = usedMiB, queuedMiB = 0): SizeBound {
  const bound = new SizeBound(1024 * MiB);
  bound.queuedBytes = queuedMiB * MiB;
  bound.noteSizes({ fileBytes: fileMiB * MiB, usedBytes: usedMiB * MiB });
  return bound;
}

test('without a bound nothing is dropped, awaited or refused', () => {
  const bound = new SizeBound(undefined);
  bound.noteSizes({ fileBytes: 1e15, usedBytes: 1e15 });
  bound.noteDisk(-1e9);
  assert.deepEqual(
    [bound.isHigh, bound.isTooLong, bound.isWaiting, bound.full],
    [false, false, false, undefined],
  );
  assert.equal(bound.bytesMax, Infinity);
});

const cases: { why: string; bound: SizeBound; isHigh: boolean; overLowMiB: number; isWaiting: boolean }[] = [
  { why: 'at the lower mark', bound: boundWith(960), isHigh: false, overLowMiB: 0, isWaiting: false },
  { why: 'at the upper mark', bound: boundWith(992), isHigh: false, overLowMiB: 32, isWaiting: false },
  { why: 'past it', bound: boundWith(993), isHigh: true, overLowMiB: 33, isWaiting: false },
  {
    why: 'with what is queued',
    bound: boundWith(989, 989, 4),
    isHigh: true,
    overLowMiB: 33,
    isWaiting: false,
  },
  { why: 'free pages are room', bound: boundWith(960, 1024), isHigh: false, overLowMiB: 0, isWaiting: false },
  { why: 'close to the bound', bound: boundWith(1009), isHigh: true, overLowMiB: 49, isWaiting: true },
];

for (const { why, bound, isHigh, overLowMiB, isWaiting } of cases) {
  test(`marks: ${why}`, () => {
    assert.equal(bound.isHigh, isHigh);
    assert.equal(bound.bytesOverLow, overLowMiB * MiB);
    assert.equal(bound.isWaiting, isWaiting);
    assert.equal(bound.full, undefined);
  });
}

test('when nothing can be dropped nobody waits, and the store is full only past its bound', () => {
  const bound = boundWith(1010);
  let looks = 0;
  bound.onRoom = () => looks++;
  bound.setStuck(true);
  assert.deepEqual([bound.isWaiting, bound.full, looks], [false, undefined, 1]);
  bound.noteSizes({ fileBytes: 1025 * MiB, usedBytes: 1025 * MiB });
  assert.match(bound.full ?? '', /^store is full: [^\n]*\(--max-size\)$/);
  bound.noteSizes({ fileBytes: 1025 * MiB, usedBytes: 900 * MiB });
  assert.equal(bound.full, undefined, 'somebody forgot something');
});

test('a disk that others fill lowers the bound, to a half at most, and raises it again', () => {
  const bound = boundWith(900);
  bound.noteDisk(-100 * MiB);
  assert.equal(bound.bytesMax, 800 * MiB);
  assert.ok(bound.isHigh);
  bound.noteSizes({ fileBytes: 900 * MiB, usedBytes: 700 * MiB });
  assert.ok(bound.isTooLong, 'the file is to give its free pages back');
  bound.noteDisk(-800 * MiB);
  assert.equal(bound.bytesMax, 512 * MiB);
  bound.noteDisk(500 * MiB);
  assert.equal(bound.bytesMax, 1024 * MiB);
});

test('those who wait for room are told when the disk has some again', () => {
  const bound = boundWith(900);
  let looks = 0;
  bound.onRoom = () => looks++;
  bound.noteDisk(0);
  assert.deepEqual([bound.isWaiting, looks], [true, 0]);
  bound.noteDisk(500 * MiB);
  assert.deepEqual([bound.isWaiting, looks], [false, 1]);
});
