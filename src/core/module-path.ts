/**
 * Module paths as Go writes them, and their escaped form in URLs.
 *
 * A GOPROXY may be a directory on a case-insensitive disk. So a capital letter is written as "!" and its small letter:
 * `github.com/Azure/x` becomes `github.com/!azure/x`. Percent-encoding is undone before these functions are called.
 *
 * Follows CheckPath, SplitPathVersion and UnescapePath of golang.org/x/mod/module, rule by rule. Their paths are ASCII,
 * so every test here may look at UTF-16 units.
 */

import type { Brand } from './brand.ts';
import { BadRequest } from './errors.ts';
import { KEY_LENGTH_MAX } from './limits.ts';
import { quote } from './quote.ts';

/**
 * A checked, unescaped module path, such as `github.com/Azure/x/v2`. `go get` asks for all prefixes of a package path,
 * so `github.com` and `github.com/Azure` are module paths too.
 */
export type ModulePath = Brand<string, 'ModulePath'>;

/**
 * Checks a path as written in a go.mod file. Its escaped form must fit KEY_LENGTH_MAX.
 *
 * @throws {BadRequest} the path breaks a rule, which the message names
 */
export function parseModulePath(plain: string): ModulePath {
  const fault = faultOf(plain);
  if (fault === undefined) return plain as ModulePath; // The only cast to ModulePath in the tree.
  throw new BadRequest(`malformed module path ${quote(plain)}: ${fault}`);
}

/**
 * Undoes the URL escaping of a module path and checks the result. It does not check that the major version suffix
 * agrees with a version: see `checkMajor`.
 *
 * @param escaped the text before `/@v/` in a URL, percent-decoded
 * @returns the plain path; {@link escapeModulePath} gives `escaped` back exactly
 * @throws {BadRequest} raw capital, dangling `!`, or a rule of {@link parseModulePath}
 */
export function unescapeModulePath(escaped: string): ModulePath {
  const plain = unescapeBang(escaped);
  if (plain === undefined) throw new BadRequest(`malformed escaped module path ${quote(escaped)}`);
  return parseModulePath(plain);
}

/** The inverse of {@link unescapeModulePath}. Cannot fail: the path was checked when made. */
export function escapeModulePath(path: ModulePath): string {
  return escapeBang(path);
}

/**
 * Splits off the major version. `pathMajor` is such as `/v2`, or `.v3` under gopkg.in, with `-unstable` if the path has
 * it; or it is empty. `prefix + pathMajor` is `path`.
 */
export function splitPathMajor(path: ModulePath): { prefix: string; pathMajor: string } {
  const at = path.startsWith(GOPKG) ? path.search(GOPKG_MAJOR) : path.search(PATH_MAJOR);
  return at < 0 ? { prefix: path, pathMajor: '' } : { prefix: path.slice(0, at), pathMajor: path.slice(at) };
}

/** Writes each capital as "!" and its small letter. For text that contains no "!". */
export function escapeBang(plain: string): string {
  return plain.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}

/**
 * The inverse of {@link escapeBang}; undefined for text that it never returns (a capital, a lone "!", beyond ASCII) and
 * for text over KEY_LENGTH_MAX.
 */
export function unescapeBang(escaped: string): string | undefined {
  if (escaped.length > KEY_LENGTH_MAX) return undefined;
  // The classes are ASCII without the capitals and "!".
  if (/^[\0- "-@[-\x7f]*$/.test(escaped)) return escaped;
  if (!/^(?:![a-z]|[\0- "-@[-\x7f])*$/.test(escaped)) return undefined;
  return escaped.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Whether Windows reserves a path element for a device. Only the part before its first dot counts. */
export function isReservedName(element: string): boolean {
  return /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|$)/i.test(element);
}

const GOPKG = 'gopkg.in/';

// For checked paths only: there a suffix in the form of a major version is one.
const PATH_MAJOR = /\/v[0-9]+$/;
const GOPKG_MAJOR = /\.v[0-9]*(?:-unstable)?$/;

/** The first rule of Go's CheckPath that `path` breaks, in words. */
function faultOf(path: string): string | undefined {
  if (path === '') return 'empty string';
  if (path.length > KEY_LENGTH_MAX / 2 && escapeBang(path).length > KEY_LENGTH_MAX)
    return `over ${KEY_LENGTH_MAX} characters`;
  if (ORDINARY.test(path) && !RESERVED.test(path)) return majorFault(path);
  const elements = path.split('/');
  return firstFault(elements, elementFault) ?? hostFault(elements[0] ?? '') ?? majorFault(path);
}

/**
 * Nearly all paths have this form. A path of this form can break only the rule on major versions and that on names that
 * Windows reserves. A look at each element costs as much as the rest of a request's parsing.
 */
const ORDINARY = /^[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+(?:\/[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)*$/;
const RESERVED = /(?:^|\/)(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:[./]|$)/i;

function firstFault(parts: string[], fault: (part: string) => string | undefined): string | undefined {
  for (const part of parts) {
    const found = fault(part);
    if (found !== undefined) return found;
  }
  return undefined;
}

function elementFault(element: string): string | undefined {
  if (element === '') return 'empty path element';
  if (element.startsWith('.')) return 'leading dot in path element';
  if (element.endsWith('.')) return 'trailing dot in path element';
  const bad = /[^A-Za-z0-9._~-]/u.exec(element);
  if (bad !== null) return `invalid character ${quote(bad[0])}`;
  if (isReservedName(element)) return 'path element reserved on Windows';
  // Windows gives long names short forms such as PROGRA~1.
  if (/^[^.]*~[0-9]+(?:\.|$)/.test(element)) return 'trailing tilde and digits in path element';
  return undefined;
}

function hostFault(host: string): string | undefined {
  if (host.startsWith('-')) return 'leading dash in first path element';
  if (!host.includes('.')) return 'missing dot in first path element';
  const bad = /[^a-z0-9.-]/.exec(host);
  return bad === null ? undefined : `invalid character ${quote(bad[0])} in first path element`;
}

/**
 * The forms of major versions: `/v2` and up, as one number. Under gopkg.in it is always `.vN`, and `.v0` and `.v1` are
 * allowed. `.v-unstable` is allowed too, as in Go's own code.
 */
function majorFault(path: string): string | undefined {
  if (path.startsWith(GOPKG)) {
    return /\.v(?:0|[1-9][0-9]*|(?:[1-9][0-9]*)?-unstable)$/.test(path)
      ? undefined
      : 'no gopkg.in major version';
  }
  const last = /\/v([0-9.]+)$/.exec(path)?.[1];
  if (last === undefined || (/^[1-9][0-9]*$/.test(last) && last !== '1')) return undefined;
  return 'invalid major version suffix';
}
