// Goal: a piece's buffer is given back when nobody can need it, and never one that others hold.
// Method: a table of pieces, each looked at after it was taken.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { YoungGarbage } from '../../src/flight/young-garbage.ts';

const KiB = 1024;

const cases: { piece: () => Uint8Array; isGivenBack: boolean; why: string }[] = [
  { piece: () => new Uint8Array(64 * KiB), isGivenBack: true, why: 'a whole buffer' },
  { piece: () => new Uint8Array(64 * KiB).subarray(300), isGivenBack: true, why: 'all behind a head' },
  {
    piece: () => new Uint8Array(64 * KiB).subarray(0, 63 * KiB),
    isGivenBack: false,
    why: 'a parser reads on behind it',
  },
  {
    piece: () => {
      const pool = new Uint8Array(Buffer.poolSize);
      return pool.subarray(4 * KiB);
    },
    isGivenBack: false,
    why: 'it may be the end of the pool that Node cuts small buffers from',
  },
  {
    piece: () => new Uint8Array(new SharedArrayBuffer(64 * KiB)),
    isGivenBack: false,
    why: 'shared memory is never given away',
  },
];

for (const { piece, isGivenBack, why } of cases) {
  test(`YoungGarbage.took: ${why}`, () => {
    const taken = piece();
    const { byteLength } = taken;
    new YoungGarbage().took(taken);
    assert.equal(taken.byteLength, isGivenBack ? 0 : byteLength);
  });
}
