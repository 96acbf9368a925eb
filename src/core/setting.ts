/**
 * Parsers for the texts of settings that are neither durations, sizes nor addresses.
 * Each throws BadRequest; what to write instead, `settings/serve-options.ts` says.
 */

import { BadRequest } from './errors.ts';
import { isPrefixPatterns } from './glob.ts';
import { parseDuration } from './quantity.ts';

/** Text that is not empty, not too long and has no NUL, such as a path or a list of proxies. Others check what it names. */
export function parseText(text: string): string {
  if (text.trim() === '' || text.length > TEXT_LENGTH_MAX || text.includes('\0')) {
    throw new BadRequest('empty or too long');
  }
  return text.trim();
}

/** As `matchPrefixPatterns` takes them; may be empty. */
export function parsePatterns(text: string): string {
  if (text.length > TEXT_LENGTH_MAX || !isPrefixPatterns(text))
    throw new BadRequest('not a list of patterns');
  return text;
}

/**
 * Names of hosts between commas: `goproxy.example.com`, `*.corp.example` for all names below it, `*` for any.
 *
 * @returns in small letters, without a last dot; may be empty
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

/** For what is waited for: a Node timer past 24.8 days would fire at once. */
export function durationWithin(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const durationMs = parseDuration(text);
    if (durationMs < minMs || durationMs > maxMs) throw new BadRequest('out of bounds');
    return durationMs;
  };
}

/** A whole number. */
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

/** One setting from outside; a list of proxies is the longest. */
const TEXT_LENGTH_MAX = 8192;
