// Goal: durations are read as in Go, sizes as people write them, and neither is misread silently.
// Method: tables, the first rows after those of Go's time_test.go, and properties for the way back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequest } from '../../src/core/errors.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/core/quantity.ts';

const durations: { text: string; ms: number }[] = [
  { text: '0', ms: 0 },
  { text: '5s', ms: 5000 },
  { text: '30s', ms: 30_000 },
  { text: '1478s', ms: 1_478_000 },
  { text: '+5s', ms: 5000 },
  { text: '+0', ms: 0 },
  { text: '5.0s', ms: 5000 },
  { text: '5.6s', ms: 5600 },
  { text: '5.s', ms: 5000 },
  { text: '.5s', ms: 500 },
  { text: '1.004s', ms: 1004 },
  { text: '1.1s', ms: 1100 },
  { text: '10ns', ms: 1 },
  { text: '11us', ms: 1 },
  { text: '12\u00b5s', ms: 1 },
  { text: '12\u03bcs', ms: 1 },
  { text: '13ms', ms: 13 },
  { text: '1500us', ms: 2 },
  { text: '14s', ms: 14_000 },
  { text: '15m', ms: 900_000 },
  { text: '16h', ms: 57_600_000 },
  { text: '3h30m', ms: 12_600_000 },
  { text: '10.5s4m', ms: 250_500 },
  { text: '1h2m3s4ms5us6ns', ms: 3_723_005 },
  { text: '0.3333333333333333333h', ms: 1_200_000 },
  { text: '720h', ms: 2_592_000_000 },
  { text: '2562047h', ms: 9_223_369_200_000 },
];

for (const { text, ms } of durations) {
  test(`${text} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));
}

const noDurations = [
  '',
  '3',
  '-',
  's',
  '.',
  '-.',
  '.s',
  '+.s',
  '1d',
  '-1s',
  '-0',
  '5 s',
  '1h ',
  '1S',
  '1e3s',
  '\u0661s',
];
for (const text of [...noDurations, '2562048h', '9223372036854775808ns', `${'9'.repeat(5_000_000)}s`]) {
  test(`${JSON.stringify(text.slice(0, 40))} is no duration`, () => {
    assert.throws(() => parseDuration(text), BadRequest);
  });
}

const sizes: { text: string; bytes: number }[] = [
  { text: '0', bytes: 0 },
  { text: '4096', bytes: 4096 },
  { text: '10B', bytes: 10 },
  { text: '1kB', bytes: 1000 },
  { text: '1KB', bytes: 1000 },
  { text: '1KiB', bytes: 1024 },
  { text: '500MB', bytes: 500_000_000 },
  { text: '64MiB', bytes: 67_108_864 },
  { text: '64mib', bytes: 67_108_864 },
  { text: '1.5GiB', bytes: 1_610_612_736 },
  { text: '0.1GB', bytes: 100_000_000 },
  { text: '1TB', bytes: 1_000_000_000_000 },
  { text: '2TiB', bytes: 2_199_023_255_552 },
  { text: '9007199254740991', bytes: Number.MAX_SAFE_INTEGER },
];

for (const { text, bytes } of sizes) {
  test(`${text} is ${bytes} bytes`, () => assert.equal(parseSize(text), bytes));
}

const noSizes = [
  '',
  'MB',
  '-1',
  '+1',
  '1 MB',
  '1M',
  '1Mb2',
  '1.MB',
  '.5MB',
  '0x10',
  '1e3',
  '9007199254740992',
  '9000TiB',
];
for (const text of [...noSizes, '9'.repeat(5_000_000), '1constructor']) {
  test(`${JSON.stringify(text.slice(0, 40))} is no size`, () => {
    assert.throws(() => parseSize(text), BadRequest);
  });
}

const written: { ms: number; text: string }[] = [
  { ms: 0, text: '0s' },
  { ms: 250, text: '250ms' },
  { ms: 1500, text: '1.5s' },
  { ms: 60_000, text: '1m' },
  { ms: 90_000, text: '1m30s' },
  { ms: 5_400_000, text: '1h30m' },
  { ms: 3_600_001, text: '1h0.001s' },
  { ms: 2_592_000_000, text: '720h' },
];

for (const { ms, text } of written) {
  test(`${ms} ms are written ${text}`, () => assert.equal(formatDuration(ms), text));
}

const writtenSizes: { bytes: number; text: string }[] = [
  { bytes: 0, text: '0B' },
  { bytes: 1023, text: '1023B' },
  { bytes: 1024, text: '1KiB' },
  { bytes: 67_108_864, text: '64MiB' },
  { bytes: 20_237_517, text: '19.3MiB' },
  { bytes: 5000 * 2 ** 40, text: '5000TiB' },
];

for (const { bytes, text } of writtenSizes) {
  test(`${bytes} bytes are written ${text}`, () => assert.equal(formatSize(bytes), text));
}

test('a written duration is read as the same number', () => {
  fc.assert(fc.property(fc.nat({ max: 9e12 }), (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)));
});

test('a written size is read as nearly the same number', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 50 }), (bytes) => {
      assert.ok(Math.abs(parseSize(formatSize(bytes)) - bytes) <= bytes / 20);
    }),
  );
});

test('arbitrary text is a number of at least 0 or a BadRequest', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[0-9.]{1,5}(h|m|s|MB|KiB)([0-9]s)?$/),
  );
  fc.assert(
    fc.property(text, fc.constantFrom(parseDuration, parseSize), (input, parse) => {
      try {
        const value = parse(input);
        assert.ok(Number.isSafeInteger(value) && value >= 0);
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});
