/** The errors of this room about a zip: one line each. Hostile names in them are cut and quoted. */

import { CheckFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/** A {@link CheckFailed} about a zip. `name` is the name of the faulty entry, which may be hostile. */
export function badZip(problem: string, name?: string): CheckFailed {
  return new CheckFailed(`cannot read zip: ${problem}${name === undefined ? '' : `: ${quoteName(name)}`}`);
}

/** A name as it stands in a message, which holds at most two of them. */
export function quoteName(name: string): string {
  return quote(name.slice(0, NAME_LENGTH_MAX));
}

// The `go` command shows 648 bytes of an error.
const NAME_LENGTH_MAX = 200;
