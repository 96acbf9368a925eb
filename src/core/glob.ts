/**
 * The patterns of GOPRIVATE: comma-separated globs. A glob of n elements is compared with the first n elements of a
 * module path.
 *
 * Follows MatchPrefixPatterns of golang.org/x/mod/module and Match of Go's package path. As there, a malformed pattern
 * matches nothing.
 */

import type { ModulePath } from './module-path.ts';

/** Whether a prefix of `path` matches one of `patterns`, as in `*.corp.example,github.com/me`. */
export function matchPrefixPatterns(patterns: string, path: ModulePath): boolean {
  return patterns !== '' && prefixMatcher(patterns)(path);
}

/** As {@link matchPrefixPatterns}, for many paths: `patterns` are parsed once. */
export function prefixMatcher(patterns: string): (path: ModulePath) => boolean {
  const prefixes = patterns.split(',').flatMap((pattern) => parsePrefix(pattern.replace(/\/$/, '')));
  return (path) => {
    const elements = path.split('/');
    return prefixes.some(({ count, places }) => {
      return elements.length >= count && matches(places, elements.slice(0, count).join('/'));
    });
  };
}

/** Whether a glob without a slash matches one element of a path. */
export function matchElement(glob: string, element: string): boolean {
  const places = parsePattern([...glob]);
  return places !== undefined && matches(places, element);
}

/**
 * Whether every pattern of the list can match a path: it is well-formed and has no space. A pattern that can match
 * nothing would make private modules public.
 */
export function isPrefixPatterns(patterns: string): boolean {
  return !/\s/.test(patterns) && patterns.split(',').every((one) => parsePattern([...one]) !== undefined);
}

/**
 * A parsed pattern: the number of leading elements that it is compared with, and its places. No places match nothing.
 */
function parsePrefix(pattern: string): { count: number; places: Place[] }[] {
  const places = pattern === '' ? undefined : parsePattern([...pattern]);
  return places === undefined ? [] : [{ count: pattern.split('/').length, places }];
}

/** One place of a pattern: a star, or the test for one character. */
type Place = '*' | ((char: string) => boolean);

/**
 * Each star matches as little as possible, and only the last star is ever made longer. So no pattern takes more steps
 * than its length times the text's length. A star never matches a slash.
 */
function matches(places: readonly Place[], text: string): boolean {
  let [place, at, afterStar, starEnd] = [0, 0, -1, 0];
  while (at < text.length) {
    const wanted = places[place];
    if (wanted === '*') {
      afterStar = ++place;
      starEnd = at;
    } else if (wanted?.(text.charAt(at))) {
      place++;
      at++;
    } else if (afterStar >= 0 && text[starEnd] !== '/') {
      place = afterStar;
      at = ++starEnd;
    } else {
      return false;
    }
  }
  return places.slice(place).every((left) => left === '*');
}

/** The places of a pattern; undefined if it is malformed anywhere. Go checks all of it before it says no. */
function parsePattern(pattern: readonly string[]): Place[] | undefined {
  const places: Place[] = [];
  for (let at = 0; at < pattern.length; ) {
    const parsed = parsePlace(pattern, at);
    if (parsed === undefined) return undefined;
    places.push(parsed.place);
    at = parsed.next;
  }
  return places;
}

function parsePlace(pattern: readonly string[], at: number): { place: Place; next: number } | undefined {
  const first = pattern[at];
  if (first === '*') return { place: '*', next: at + 1 };
  if (first === '?') return { place: (char) => char !== '/', next: at + 1 };
  if (first === '[') return parseClass(pattern, at + 1);
  const literal = first === '\\' ? pattern[at + 1] : first;
  if (literal === undefined) return undefined;
  return { place: (char) => char === literal, next: at + (first === '\\' ? 2 : 1) };
}

/** Reads `[a-z0]` or `[^a-z]`, from after its bracket on. Unlike other places it can match a slash. */
function parseClass(pattern: readonly string[], start: number): { place: Place; next: number } | undefined {
  const isNegated = pattern[start] === '^';
  const ranges: { low: number; high: number }[] = [];
  let at = isNegated ? start + 1 : start;
  while (pattern[at] !== ']' || ranges.length === 0) {
    const low = parseMember(pattern, at);
    if (low === undefined) return undefined;
    const high = pattern[low.next] === '-' ? parseMember(pattern, low.next + 1) : low;
    if (high === undefined) return undefined;
    ranges.push({ low: low.code, high: high.code });
    at = high.next;
  }
  const place = (char: string) => {
    const code = char.charCodeAt(0);
    return ranges.some(({ low, high }) => low <= code && code <= high) !== isNegated;
  };
  return { place, next: at + 1 };
}

function parseMember(pattern: readonly string[], at: number): { code: number; next: number } | undefined {
  const first = pattern[at];
  if (first === '-' || first === ']') return undefined;
  const code = (first === '\\' ? pattern[at + 1] : first)?.codePointAt(0);
  return code === undefined ? undefined : { code, next: at + (first === '\\' ? 2 : 1) };
}
