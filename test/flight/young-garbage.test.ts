// Goal: a piece's buffer is freed when nobody can need it, and a buffer that others hold is never freed.
// Method: a table of pieces. Each is looked at after `took`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { YoungGarbage } from '../../src/flight/young-garbage.ts';

const KiB = 1024;

const cases: { piece: () => Uint8Array; isFreed: boolean; why: string }[] = [
  { piece: () => new Uint8Array(64 * KiB), isFreed: true, why: 'a whole buffer' },
  {
    piece: () => new Uint8Array(64 * KiB).subarray(300),
    isFreed: true,
    why: 'all of the buffer behind a header',
  },
  {
    piece: () => new Uint8Array(64 * KiB).subarray(0, 63 * KiB),
    isFreed: false,
    why: 'a parser reads on behind it',
  },
  {
    piece: () => {
      const pool = new Uint8Array(Buffer.poolSize);
      return pool.subarray(4 * KiB);
    },
    isFreed: false,
    why: 'it may be part of the pool of small buffers',
  },
  {
    piece: () => new Uint8Array(Buffer.allocUnsafe(1).buffer, 4 * KiB),
    isFreed: false,
    why: 'it is part of the pool of small buffers that is in use',
  },
  {
    piece: () => new Uint8Array(new SharedArrayBuffer(64 * KiB)),
    isFreed: false,
    why: 'shared memory is never freed',
  },
];

for (const { piece, isFreed, why } of cases) {
  test(`YoungGarbage.took: ${why}`, () => {
    const taken = piece();
    const { byteLength } = taken;
    new YoungGarbage().took(taken);
    assert.equal(taken.byteLength, isFreed ? 0 : byteLength);
  });
}
