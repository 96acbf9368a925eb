/** Errors about wrong usage, with a guess at the name that the user may have meant. */

import { quote } from './quote.ts';

/** Wrong usage. The message is one line and names the way out. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * The error that there is no `what`, such as a command or a flag, with this name. Flags in `names` have their dashes.
 */
export function unknownName(what: string, name: string, names: readonly string[]): UsageError {
  const near = closest(name, names);
  const hint = near === undefined ? "see 'astera --help'" : `did you mean ${near}?`;
  return new UsageError(`unknown ${what} ${quote(name.slice(0, NAME_LENGTH_MAX))}: ${hint}`);
}

/** The nearest name by edit distance, the first one of several; undefined if none is near. */
function closest(name: string, names: readonly string[]): string | undefined {
  if (name.length > NAME_LENGTH_MAX) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of names) {
    const distance = editDistance(name, candidate);
    // A third of the letters may be wrong.
    const isNear = distance <= Math.floor((candidate.length + 1) / 3);
    if (isNear && distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Characters that are compared: the work grows with the product of both lengths. Our own names are far shorter. */
const NAME_LENGTH_MAX = 64;

/** Letters to insert, remove or replace, row by row (Wagner and Fischer). */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const here = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (above[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      here.push(Math.min(replaced, (above[column] ?? 0) + 1, (here[column - 1] ?? 0) + 1));
    }
    above = here;
  }
  return above[b.length] ?? 0;
}
