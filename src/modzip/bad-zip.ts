/** The errors of this room about a zip: one line each. Hostile names in them are cut and quoted. */

import { CheckFailed } from '../core/errors.ts';

/** A {@link CheckFailed} about a zip. `name` is the name of the faulty entry, which may be hostile. */
export function badZip(problem: string, name?: string): CheckFailed {
  return new CheckFailed(`cannot read zip: ${problem}${name === undefined ? '' : `: ${quote(name)}`}`);
}

/** `text` as one graphic line of bounded length, for messages that reach a terminal. */
export function quote(text: string): string {
  return JSON.stringify(text.slice(0, QUOTED_LENGTH_MAX)).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escapeCharacter);
}

// The `go` command shows 648 bytes of an error; a message holds at most two names.
const QUOTED_LENGTH_MAX = 200;

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}
