/**
 * The little that this room reads of go.mod files: the module's path, the `go` version, and retractions.
 *
 * The path is found in any file, as golang.org/x/mod/modfile's ModulePath does. The rest needs the whole file to be one that
 * its ParseLax takes: the `go` version decides which vendored files a zip has, so this must not differ.
 */

import { type ModulePath, parseModulePath, splitPathMajor } from '../core/module-path.ts';
import { checkMajor, parseVersion } from '../core/version.ts';
import { canonicalOf, compareSemver, isSemver } from './semver.ts';

/** What a go.mod file of a dependency says. */
export type GoModFile = {
  /** Such as `1.24` or `1.23.1`; undefined if it says none. */
  readonly go: string | undefined;
  readonly retracted: readonly VersionInterval[];
};

/** Both ends are in it. They are text: nothing says that they are versions. */
export type VersionInterval = { readonly low: string; readonly high: string };

/** The path in the first `module` line; empty if there is none. Does not look at the rest of the file. */
export function modulePathIn(goMod: Uint8Array): string {
  // JavaScript takes a byte order mark for a space, and Go does not.
  for (const whole of TEXT.decode(goMod).replaceAll('\ufeff', '\0').split('\n')) {
    const line = whole.replace(/\/\/.*$/s, '').trim();
    const rest = /^module\s+(.+)$/s.exec(line)?.[1];
    if (rest === undefined) continue;
    return /^["`]/.test(rest) ? (unquote(rest) ?? '') : rest;
  }
  return '';
}

/** The file, read as that of a dependency; undefined if Go's ParseLax refuses it. */
export function parseGoModLax(goMod: Uint8Array): GoModFile | undefined {
  const statements = readStatements(TEXT.decode(goMod));
  if (statements === undefined) return undefined;
  const file: Draft = { go: undefined, hasModule: false, retracted: [] };
  for (const [verb = '', ...words] of statements) {
    if (!(READERS[verb]?.(words, file) ?? true)) return undefined;
  }
  return file;
}

/** Whether a version is in one of the intervals. */
export function isRetracted(intervals: readonly VersionInterval[], version: string): boolean {
  return intervals.some(
    ({ low, high }) => compareSemver(low, version) <= 0 && compareSemver(version, high) <= 0,
  );
}

/** Whether the file's `go` line asks for Go 1.24 or newer, from which on vendored files are told apart otherwise. */
export function isGo124(goMod: Uint8Array | undefined): boolean {
  const go = goMod === undefined ? undefined : parseGoModLax(goMod)?.go;
  // A patch release with a pre-release is no version to go/version.
  const parts = /^([1-9][0-9]*)\.([0-9]+)(?:\.[0-9]+|[a-z]+[0-9]+)?$/.exec(go ?? '');
  if (parts === null) return false;
  const [major, minor] = [Number(parts[1]), Number(parts[2])];
  return major > 1 || (major === 1 && minor >= 24);
}

// To Go a byte order mark is a character like others.
const TEXT = new TextDecoder('utf-8', { ignoreBOM: true });

type Draft = { go: string | undefined; hasModule: boolean; retracted: VersionInterval[] };
type Reader = (words: readonly string[], file: Draft) => boolean;

/** Each says whether the statement is one that ParseLax takes. Others are skipped. */
const READERS: Readonly<Record<string, Reader>> = {
  go: ([version, ...more], file) => {
    if (file.go !== undefined || version === undefined || more.length > 0) return false;
    file.go = GO_VERSION.test(version)
      ? version
      : /^v?([1-9][0-9]*\.(?:0|[1-9][0-9]*))[^0-9].*$/.exec(version)?.[1];
    return file.go !== undefined;
  },
  module: ([path, ...more], file) => {
    if (file.hasModule || path === undefined || more.length > 0) return false;
    file.hasModule = true;
    return word(path) !== undefined;
  },
  ignore: ([path, ...more]) => path !== undefined && more.length === 0 && word(path) !== undefined,
  require: ([path, version, ...more]) =>
    path !== undefined &&
    version !== undefined &&
    more.length === 0 &&
    isRequirement(word(path), word(version)),
  retract: (words, file) => {
    const interval = parseInterval(words);
    if (interval !== undefined) file.retracted.push(interval);
    return true;
  },
};

const GO_VERSION = /^[1-9][0-9]*\.(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))?(?:[a-z]+[0-9]+)?$/;

function isRequirement(path: string | undefined, version: string | undefined): boolean {
  if (path === undefined || version === undefined || !isSemver(version)) return false;
  const canonical = canonicalOf(version);
  const whole = version.endsWith('+incompatible') ? parseVersion(`${canonical}+incompatible`) : canonical;
  const module = modulePathOrNone(path);
  // A path that is none has no major version either, unless it looks like a wrong one.
  if (module === undefined) return !/(?:\/v(?:0|1$|[0-9]*\.)|^gopkg\.in\/)/.test(path);
  return whole !== undefined && splitPathMajor(module).prefix !== '' && checkMajor(module, whole);
}

function modulePathOrNone(path: string): ModulePath | undefined {
  try {
    return parseModulePath(path);
  } catch {
    return undefined;
  }
}

function parseInterval(words: readonly string[]): VersionInterval | undefined {
  const [first, low, comma, high, last] = words;
  if (first === undefined || first === '(') return undefined;
  const only = first === '[' ? undefined : word(first);
  if (only !== undefined) return { low: only, high: only };
  const [from, to] = [low && word(low), high && word(high)];
  if (from === undefined || to === undefined || comma !== ',' || last !== ']') return undefined;
  return { low: from, high: to };
}

/** A word without its quotes; undefined for one that Go refuses. */
function word(text: string): string | undefined {
  if (text.startsWith('"')) return unquote(text);
  return /["'`]/.test(text) ? undefined : text;
}

function unquote(text: string): string | undefined {
  if (/^`[^`]*`$/.test(text)) return text.slice(1, -1).replaceAll('\r', '');
  if (!/^"(?:[^"\\]|\\.)*"$/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text.replace(/\\x([0-9a-fA-F]{2})/g, '\\u00$1'));
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Each statement as its words; a line of a block has the block's verb before it. Undefined: a syntax error. */
function readStatements(text: string): string[][] | undefined {
  const statements: string[][] = [];
  let block: string | undefined;
  let isKnownBlock = false;
  for (const line of text.split('\n')) {
    const words = readWords(line);
    if (words === undefined) return undefined;
    if (words.length === 0) continue;
    if (block !== undefined && words[0] === ')') {
      if (words.length > 1) return undefined;
      block = undefined;
    } else if (block !== undefined) {
      if (isKnownBlock) statements.push([block, ...words]);
    } else if (words.length > 1 && words.at(-1) === '(') {
      block = words[0] ?? '';
      isKnownBlock = words.length === 2 && BLOCKS.test(block);
    } else if (!(words.length > 2 && words.at(-1) === ')' && words.at(-2) === '(')) {
      statements.push(words);
    }
  }
  return block === undefined ? statements : undefined;
}

const BLOCKS = /^(?:module|require|retract|ignore)$/;

/** Undefined: a character that no go.mod may have, or an open quote. */
function readWords(line: string): string[] | undefined {
  const words: string[] = [];
  WORD.lastIndex = 0;
  while (WORD.lastIndex < line.length) {
    const match = WORD.exec(line);
    if (match === null) return undefined;
    const [whole, text] = match;
    if (whole.startsWith('//')) break;
    if (text !== undefined) words.push(text);
  }
  return words;
}

/** Spaces, a comment, or one word: punctuation, a quoted string, or an identifier, which a comment ends. */
const WORD =
  /[ \t\r]+|\/\/|((?!\/\*)(?:[()[\]{},]|"(?:[^"\\]|\\.)*"|`[^`]*`|(?:(?!\/[/*])[^\s()[\]{},"`\p{C}\p{Z}](?:(?!\/[/*])[^\s()[\]{},\p{C}\p{Z}])*)))/uy;
