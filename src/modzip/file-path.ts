/**
 * Which paths a file of a module may have, and when two of them are one file on a disk that
 * ignores case.
 *
 * Follows golang.org/x/mod/module (CheckFilePath) and golang.org/x/mod/zip (strToFold).
 */

/** Why `path`, relative to the module's root, is not one a module file may have; `undefined`: it is. */
export function filePathProblem(path: string): string | undefined {
  if (PLAIN.test(path) && !WINDOWS_DEVICE_WITHIN.test(path)) return undefined;
  for (const element of path.split('/')) {
    const problem = elementProblem(element);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/**
 * The form that `path` shares with every path that Go's strings.EqualFold calls equal.
 *
 * Each code point stands for its class under Unicode's *simple* folding, one to one: full folding,
 * which makes "ss" of "ß", would see collisions where Go sees none.
 */
export function foldPath(path: string): string {
  if (!NEEDS_FOLDING.test(path)) return path;
  if (!BEYOND_ASCII.test(path)) return path.toLowerCase();
  let folded = '';
  for (const character of path) folded += foldCharacter(character);
  return folded;
}

function elementProblem(element: string): string | undefined {
  if (element === '') return 'empty path element';
  if (/^\.+$/.test(element)) return 'path element of dots';
  if (element.endsWith('.')) return 'trailing dot in path element';
  if (!ALLOWED.test(element)) return 'forbidden character in path';
  if (WINDOWS_DEVICE.test(element)) return 'path element forbidden on Windows';
  return undefined;
}

function foldCharacter(character: string): string {
  if (character === DOTLESS_I) return character;
  const upper = character.toUpperCase();
  const lower = (isOneCodePoint(upper) ? upper : character).toLowerCase();
  return isOneCodePoint(lower) ? lower : character;
}

function isOneCodePoint(text: string): boolean {
  return text.length === 1 || (text.length === 2 && (text.codePointAt(0) ?? 0) > 0xffff);
}

// Letters of any script; digits, space and punctuation of ASCII without what shells or Windows take.
const ALLOWED = /^[\p{L}0-9 !#$%&()+,\-.=@[\]^_{}~]+$/u;

// Nearly all paths match this one expression: ASCII elements that don't end in a dot.
const PLAIN = /^(?:[A-Za-z0-9 !#$%&()+,\-.=@[\]^_{}~]*[A-Za-z0-9 !#$%&()+,\-=@[\]^_{}~](?:\/(?!$)|$))+$/;

const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|$)/i;

/** The same of any element of a path. */
const WINDOWS_DEVICE_WITHIN = /(?:^|\/)(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|\/|$)/i;

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII but its capitals needs no folding.
const NEEDS_FOLDING = /[^\x00-@[-\x7f]/;

// biome-ignore lint/suspicious/noControlCharactersInRegex: what is not ASCII.
const BEYOND_ASCII = /[^\x00-\x7f]/;

// Its capital is "I", but Unicode pairs the two in Turkish only, and so Go never does.
const DOTLESS_I = 'ı';
