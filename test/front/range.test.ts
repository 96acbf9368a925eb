// Goal: ranges and conditions as RFC 9110 has them, in the parts that a GOPROXY's clients can use.
// Method: tables after RFC 9110, 13.1.2 and 14.1.2, and any header there is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesTag, parseRange, type Span } from '../../src/front/range.ts';

const SIZE = 10_000;

const ranges: { header: string; size?: number; expect: Span | 'unsatisfiable' | undefined; why: string }[] = [
  { header: 'bytes=0-499', expect: { from: 0, to: 500 }, why: 'RFC 9110: the first 500 bytes' },
  { header: 'bytes=500-999', expect: { from: 500, to: 1_000 }, why: 'RFC 9110: the second 500 bytes' },
  { header: 'bytes=-500', expect: { from: 9_500, to: SIZE }, why: 'RFC 9110: the final 500 bytes' },
  { header: 'bytes=9500-', expect: { from: 9_500, to: SIZE }, why: 'RFC 9110: the same' },
  { header: 'bytes=0-0', expect: { from: 0, to: 1 }, why: 'RFC 9110: the first byte' },
  { header: 'bytes=-1', expect: { from: 9_999, to: SIZE }, why: 'RFC 9110: the last byte' },
  { header: 'bytes=0-', expect: { from: 0, to: SIZE }, why: 'all' },
  { header: 'bytes=9000-20000', expect: { from: 9_000, to: SIZE }, why: 'a last position behind the end' },
  { header: 'bytes=-20000', expect: { from: 0, to: SIZE }, why: 'a suffix longer than the body' },
  { header: 'bytes=9999-9999', expect: { from: 9_999, to: SIZE }, why: 'the last byte by position' },
  { header: 'bytes=10000-', expect: 'unsatisfiable', why: 'begins behind the end' },
  { header: 'bytes=999999999999999-', expect: 'unsatisfiable', why: 'absurdly far behind' },
  { header: 'bytes=-0', expect: 'unsatisfiable', why: 'a suffix of nothing' },
  { header: 'bytes=0-', size: 0, expect: 'unsatisfiable', why: 'an empty body has no first byte' },
  { header: 'bytes=-5', size: 0, expect: 'unsatisfiable', why: 'nor a last one' },
  { header: 'bytes=500-499', expect: undefined, why: 'last before first is malformed' },
  { header: 'bytes=0-1,5-6', expect: undefined, why: 'several ranges are answered whole' },
  { header: 'bytes=-', expect: undefined, why: 'neither position' },
  { header: 'bytes=', expect: undefined, why: 'nothing' },
  { header: 'bytes', expect: undefined, why: 'no ranges' },
  { header: '', expect: undefined, why: 'no header' },
  { header: 'items=0-5', expect: undefined, why: 'another unit' },
  { header: 'bytes=a-b', expect: undefined, why: 'no numbers' },
  { header: 'bytes=0x1-5', expect: undefined, why: 'no decimal number' },
  { header: 'bytes=1e3-', expect: undefined, why: 'no plain number' },
  { header: 'bytes=+1-5', expect: undefined, why: 'a sign' },
  { header: 'bytes=1.5-9', expect: undefined, why: 'a fraction' },
  { header: `bytes=${'9'.repeat(400)}-`, expect: undefined, why: 'a number no computer counts to' },
];

for (const { header, size = SIZE, expect, why } of ranges) {
  test(`parseRange: ${why}: ${header.slice(0, 30)}`, () => {
    assert.deepEqual(parseRange(header, size), expect);
  });
}

test('whatever is asked for lies within the body, and is not empty', () => {
  const number = fc.oneof(fc.constant(''), fc.nat().map(String), fc.stringMatching(/^[0-9]{1,20}$/));
  const header = fc.oneof(
    fc.string(),
    fc.tuple(number, number).map(([a, b]) => `bytes=${a}-${b}`),
  );
  fc.assert(
    fc.property(header, fc.nat({ max: 2 ** 31 - 1 }), (text, size) => {
      const span = parseRange(text, size);
      if (span === undefined || span === 'unsatisfiable') return;
      assert.ok(Number.isSafeInteger(span.from) && Number.isSafeInteger(span.to));
      assert.ok(0 <= span.from && span.from < span.to && span.to <= size);
    }),
    { numRuns: 2_000 },
  );
});

const ETAG = '"abc"';
const tags: { header: string; matches: boolean; why: string }[] = [
  { header: '"abc"', matches: true, why: 'the same' },
  { header: 'W/"abc"', matches: true, why: 'weakly the same is enough for GET' },
  { header: '"x", "abc"', matches: true, why: 'in a list' },
  { header: '"x",W/"abc","y"', matches: true, why: 'in a list without spaces' },
  { header: '*', matches: true, why: 'any' },
  { header: ' * ', matches: true, why: 'any, with spaces' },
  { header: '"abd"', matches: false, why: 'another' },
  { header: 'abc', matches: false, why: 'not quoted' },
  { header: '"ABC"', matches: false, why: 'case counts' },
  { header: '"abc', matches: false, why: 'cut off' },
  { header: '', matches: false, why: 'empty' },
  { header: ',,,', matches: false, why: 'a list of nothing' },
];

for (const { header, matches, why } of tags) {
  test(`matchesTag: ${why}: ${header}`, () => assert.equal(matchesTag(header, ETAG), matches));
}
