/** A policy as operators write it: lists of patterns and ages in settings, and lines in a file. */

import { BadRequest } from '../core/errors.ts';
import { isPrefixPatterns, prefixMatcher } from '../core/glob.ts';
import { parseDuration } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import { AGE_MS_MAX, POLICY_PATTERNS_MAX, REASON_LENGTH_MAX } from './limits.ts';
import type { AgeRule, DenyPattern } from './policy.ts';
import { parseVersionPattern, type VersionPattern } from './version-pattern.ts';

/** Comma-separated patterns of versions; may be empty. @throws {BadRequest} with the malformed one */
export function parseVersionPatterns(text: string): readonly VersionPattern[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(parseVersionPattern);
}

/** The same, as patterns of denied versions without reasons. */
export function parseDenyPatterns(text: string): readonly DenyPattern[] {
  return parseVersionPatterns(text).map((pattern) => ({ ...pattern, reason: '' }));
}

/**
 * A file's lines: `allow PATTERN`, or `deny PATTERN` and a reason up to the line's end. Empty lines and `#` lines don't
 * count.
 *
 * @throws {BadRequest} with the number of a malformed line, or too many patterns
 */
export function parsePolicyFile(text: string): {
  readonly allow: readonly VersionPattern[];
  readonly deny: readonly DenyPattern[];
} {
  const allow: VersionPattern[] = [];
  const deny: DenyPattern[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, word, pattern, rest = ''] = /^\s*(allow|deny)\s+(\S+)(?:\s+(.*?))?\s*$/.exec(line) ?? [];
    const reason = rest.replace(/^#\s*/, '');
    if (pattern === undefined || reason.length > REASON_LENGTH_MAX) {
      const form = `allow PATTERN, or deny PATTERN REASON of up to ${REASON_LENGTH_MAX} characters`;
      throw new BadRequest(`line ${index + 1}: expected ${form}: ${quote(line.slice(0, 80))}`);
    }
    const parsed = parsedOn(index + 1, pattern);
    if (word === 'allow') allow.push(parsed);
    else deny.push({ ...parsed, reason: reason.replace(/\p{C}/gu, ' ') });
  }
  if (allow.length + deny.length > POLICY_PATTERNS_MAX) {
    throw new BadRequest(`${allow.length + deny.length} patterns: at most ${POLICY_PATTERNS_MAX}`);
  }
  return { allow, deny };
}

function parsedOn(line: number, pattern: string): VersionPattern {
  try {
    return parseVersionPattern(pattern);
  } catch (error) {
    if (error instanceof BadRequest) throw new BadRequest(`line ${line}: ${error.message}`);
    throw error;
  }
}

/**
 * Reads `7d` or `7d,corp.example/*=0s,golang.org/x=36h`: an age for all modules, and others for some, as in GOPRIVATE. The
 * first pattern that matches a module counts, wherever the age for all stands. That one is not for private modules. An empty
 * text asks for no age.
 *
 * @param privatePatterns as in GOPRIVATE; may be empty
 * @throws {BadRequest} another form
 */
export function parseAges(text: string, privatePatterns: string): readonly AgeRule[] {
  if (text === '') return [];
  const rules: AgeRule[] = [];
  let ofAll: AgeRule | undefined;
  for (const part of text.split(',')) {
    const [, pattern, age = ''] = /^\s*(?:([^=]*)=)?(.*?)\s*$/s.exec(part) ?? [];
    const ageMs = parseAge(age);
    if (pattern === undefined) {
      if (ofAll !== undefined) throw new BadRequest('two ages for all modules');
      ofAll = { matches: () => true, ageMs };
    } else {
      if (pattern === '' || !isPrefixPatterns(pattern))
        throw new BadRequest(`not a pattern: ${quote(pattern)}`);
      rules.push({ matches: prefixMatcher(pattern), ageMs });
    }
  }
  if (ofAll === undefined) return rules;
  return [...rules, { matches: prefixMatcher(privatePatterns), ageMs: 0 }, ofAll];
}

/** A Go duration, which may begin with days: `7d`, `1d12h`. */
function parseAge(text: string): number {
  const [, days = '0', rest = ''] = /^(?:([0-9]{1,5})d)?(.*)$/s.exec(text) ?? [];
  const ageMs = Number(days) * 86_400_000 + (rest === '' && text !== '' ? 0 : parseDuration(rest));
  if (ageMs > AGE_MS_MAX) throw new BadRequest('over ten years');
  return ageMs;
}
