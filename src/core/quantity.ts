/**
 * Parses durations and sizes from flags, and formats them for logs.
 *
 * Durations follow ParseDuration of Go's package time. The unit of a size is decimal (`500MB`) or binary (`64MiB`).
 */

import { BadRequest } from './errors.ts';
import { quote } from './quote.ts';

/**
 * Reads `90s`, `1.5s`, `1h30m`, `720h` or `0`, as whole ms. It rounds up, so that only `0` is zero.
 *
 * @throws {BadRequest} another form, negative, or over Go's 292 years
 */
export function parseDuration(text: string): number {
  const refuse = () => new BadRequest(`not a duration: ${quote(text)}`);
  const plain = text.replace(/^\+/, '');
  if (plain === '0') return 0;
  if (plain.length > TEXT_LENGTH_MAX || !DURATION.test(plain)) throw refuse();
  let ns = 0n;
  for (const [, whole = '', fraction = '', unit = ''] of plain.matchAll(TERM)) {
    ns += scaled(whole, fraction, nsPerUnit.get(unit) ?? 0n);
  }
  if (ns > NS_MAX) throw refuse();
  return Number((ns + NS_PER_MS - 1n) / NS_PER_MS);
}

/**
 * Reads `500MB`, `64MiB`, `1.5GiB`, or bytes without a unit, as whole bytes, rounded down. Case does not matter.
 *
 * @throws {BadRequest} another form, negative, or larger than an exact number
 */
export function parseSize(text: string): number {
  const [, whole = '', fraction = '', unit = ''] = SIZE.exec(text) ?? [];
  const factor = bytesPerUnit.get(unit.toLowerCase());
  if (whole === '' || factor === undefined || text.length > TEXT_LENGTH_MAX) {
    throw new BadRequest(`not a size: ${quote(text)}`);
  }
  const bytes = scaled(whole, fraction, factor);
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new BadRequest(`not a size: too large: ${quote(text)}`);
  return Number(bytes);
}

/** Formats whole ms as `720h`, `1h30m`, `1.5s`, `250ms` or `0s`. It is the inverse of {@link parseDuration}. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return '0s';
  if (durationMs < 1000) return `${durationMs}ms`;
  const hours = Math.floor(durationMs / 3_600_000);
  const minutes = Math.floor(durationMs / 60_000) % 60;
  const seconds = (durationMs % 60_000) / 1000;
  return (hours ? `${hours}h` : '') + (minutes ? `${minutes}m` : '') + (seconds ? `${seconds}s` : '');
}

/** Formats bytes for people, with one decimal of the largest binary unit that fits: `64MiB`, `19.3MiB`, `512B`. */
export function formatSize(bytes: number): string {
  let [value, unit] = [bytes, 'B'];
  for (const larger of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1024) break;
    [value, unit] = [value / 1024, larger];
  }
  return `${Math.round(value * 10) / 10}${unit}`;
}

// No quantity needs more digits, and BigInt's work grows with the square of their number.
const TEXT_LENGTH_MAX = 64;

const NS_PER_MS = 1_000_000n;
/** Go's time.Duration is an int64 of nanoseconds. */
const NS_MAX = 2n ** 63n - 1n;

// Both of Unicode's letters for "micro", as in Go.
const nsPerUnit: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1000n],
  ['\u00b5s', 1000n],
  ['\u03bcs', 1000n],
  ['ms', NS_PER_MS],
  ['s', 1000n * NS_PER_MS],
  ['m', 60_000n * NS_PER_MS],
  ['h', 3_600_000n * NS_PER_MS],
]);

const bytesPerUnit: ReadonlyMap<string, bigint> = new Map([
  ['', 1n],
  ['b', 1n],
  ['kb', 10n ** 3n],
  ['mb', 10n ** 6n],
  ['gb', 10n ** 9n],
  ['tb', 10n ** 12n],
  ['kib', 2n ** 10n],
  ['mib', 2n ** 20n],
  ['gib', 2n ** 30n],
  ['tib', 2n ** 40n],
]);

const ONE_TERM = '(?=\\.?[0-9])([0-9]*)(?:\\.([0-9]*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)';
const TERM = new RegExp(ONE_TERM, 'g');
const DURATION = new RegExp(`^(?:${ONE_TERM})+$`);
const SIZE = /^([0-9]+)(?:\.([0-9]+))?([A-Za-z]*)$/;

/** `whole.fraction` times `unit`, rounded down, without the errors of floats. */
function scaled(whole: string, fraction: string, unit: bigint): bigint {
  return (BigInt(whole + fraction) * unit) / 10n ** BigInt(fraction.length);
}
