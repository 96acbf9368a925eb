// Goal: puts come out of a request as they went in, and a request can't hold more of them than its bound says.
// Method: round trips, and requests that are cut at each byte or too long.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodePuts, encodePut, PUTS_MAX, type PutRecord } from '../../src/core/puts-wire.ts';

const PUT: PutRecord = {
  actionId: 'ab'.repeat(32),
  outputId: 'cd'.repeat(32),
  time: '1700000000000000000',
  size: 3,
  isPacked: false,
  note: undefined,
  body: Buffer.from('one'),
};
const SIGNED: PutRecord = { ...PUT, isPacked: true, note: `v1:${'0'.repeat(16)}:${'A'.repeat(86)}` };

test('puts come out as they went in', () => {
  assert.deepEqual(decodePuts(Buffer.concat([PUT, SIGNED].map(encodePut))), [PUT, SIGNED]);
});

test('a request that is cut anywhere is none', () => {
  const whole = encodePut(SIGNED);
  for (let end = 1; end < whole.length; end++) assert.throws(() => decodePuts(whole.subarray(0, end)));
});

test('a request of more puts than the bound is none', () => {
  const puts = Array.from({ length: PUTS_MAX }, () => encodePut(PUT));
  assert.equal(decodePuts(Buffer.concat(puts)).length, PUTS_MAX);
  assert.throws(() => decodePuts(Buffer.concat([...puts, encodePut(PUT)])));
});
