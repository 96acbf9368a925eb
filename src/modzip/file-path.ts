/**
 * The rules for the paths of a module's files, and the test whether two paths are one file on a disk that ignores case.
 *
 * Follows golang.org/x/mod/module (CheckFilePath) and golang.org/x/mod/zip (strToFold).
 */

/** The reason why a module's file may not have `path`, relative to the module's root; `undefined` if it may. */
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
 * Each code point is replaced by one that stands for its class under Unicode's *simple* folding. Full folding turns "ß"
 * into "ss", so it would find collisions that Go does not find.
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

// Letters of any script; ASCII digits, space and punctuation, but no characters that are special to shells or Windows.
const ALLOWED = /^[\p{L}0-9 !#$%&()+,\-.=@[\]^_{}~]+$/u;

// Nearly all paths match this one expression: ASCII elements that don't end in a dot.
const PLAIN = /^(?:[A-Za-z0-9 !#$%&()+,\-.=@[\]^_{}~]*[A-Za-z0-9 !#$%&()+,\-=@[\]^_{}~](?:\/(?!$)|$))+$/;

const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|$)/i;

/** The same test for all elements of a path at once. */
const WINDOWS_DEVICE_WITHIN = /(?:^|\/)(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|\/|$)/i;

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII but its capitals needs no folding.
const NEEDS_FOLDING = /[^\x00-@[-\x7f]/;

// biome-ignore lint/suspicious/noControlCharactersInRegex: any character beyond ASCII.
const BEYOND_ASCII = /[^\x00-\x7f]/;

// Its capital is "I", but Unicode pairs the two in Turkish only. Go never pairs them.
const DOTLESS_I = 'ı';
