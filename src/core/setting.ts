/**
 * Parsers for settings that are no durations, sizes or addresses. Each throws BadRequest; `settings/serve-options.ts`
 * adds the right form to the message.
 */

import { BadRequest } from './errors.ts';
import { isPrefixPatterns } from './glob.ts';
import { parseDuration, parseSize } from './quantity.ts';

/**
 * Text that is not empty, not too long and has no NUL, such as a path or a list of proxies. Its meaning is not checked.
 */
export function parseText(text: string): string {
  if (text.trim() === '' || text.length > TEXT_LENGTH_MAX || text.includes('\0')) {
    throw new BadRequest('empty or too long');
  }
  return text.trim();
}

/** Patterns for `matchPrefixPatterns`; may be empty. */
export function parsePatterns(text: string): string {
  if (text.length > TEXT_LENGTH_MAX || !isPrefixPatterns(text))
    throw new BadRequest('not a list of patterns');
  return text;
}

/**
 * A comma-separated list of host names: `goproxy.example.com`, `*.corp.example` for all names below it, `*` for any.
 *
 * @returns the names in small letters, without a last dot; may be empty
 */
export function parseHostNames(text: string): readonly string[] {
  if (text.length > TEXT_LENGTH_MAX) throw new BadRequest('too long');
  const names = text.split(',').map((name) =>
    name
      .trim()
      .toLowerCase()
      .replace(/(?<!\*)\.$/, ''),
  );
  const given = names.filter((name) => name !== '');
  if (!given.every((name) => HOST_NAMES.test(name))) throw new BadRequest('not a list of host names');
  return given;
}

/** `true`, `false`, `1` or `0`. */
export function parseSwitch(text: string): boolean {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new BadRequest('not a switch');
}

/** A duration within bounds, for timers: a Node timer of more than 24.8 days would fire at once. */
export function durationWithin(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const durationMs = parseDuration(text);
    if (durationMs < minMs || durationMs > maxMs) throw new BadRequest('out of bounds');
    return durationMs;
  };
}

/** A size of at least so many bytes. */
export function sizeFrom(bytesMin: number): (text: string) => number {
  return (text) => {
    const bytes = parseSize(text);
    if (bytes < bytesMin) throw new BadRequest('too small');
    return bytes;
  };
}

/** A whole number within bounds. */
export function numberWithin(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^[0-9]{1,9}$/.test(text) || number < min || number > max) throw new BadRequest('out of bounds');
    return number;
  };
}

/** One of a few words. */
export function choice<const C extends string>(...choices: readonly C[]): (text: string) => C {
  return (text) => {
    const chosen = choices.find((one) => one === text);
    if (chosen === undefined) throw new BadRequest('not a choice');
    return chosen;
  };
}

const HOST_NAMES = /^(?:\*|(?:\*\.)?[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,126})$/;

/** The length of one setting. Lists of proxies are the longest. */
const TEXT_LENGTH_MAX = 8192;
