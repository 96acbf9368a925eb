/**
 * Versions as Go writes them, their order, and the other names that a request for a `.info` may have.
 *
 * Follows golang.org/x/mod/semver, and CheckPathMajor, EscapeVersion and UnescapeVersion of golang.org/x/mod/module.
 * In semver the "v" is required. `v1` and `v1.2` are valid there, but not canonical.
 */

import type { Brand } from './brand.ts';
import { BadRequest } from './errors.ts';
import { KEY_LENGTH_MAX } from './limits.ts';
import { escapeBang, isReservedName, type ModulePath, splitPathMajor, unescapeBang } from './module-path.ts';
import { quote } from './quote.ts';

/** A canonical version, `vX.Y.Z[-pre][+incompatible]`. It stands for the same bytes for ever. */
export type Version = Brand<string, 'Version'>;

/** Any other name that a `.info` request may have: a branch, a tag, a commit, `v1`, `v1.2`. Its answer may change. */
export type Query = Brand<string, 'Query'>;

/** The text between `/@v/` and `.info`. */
export type VersionOrQuery =
  | { readonly kind: 'version'; readonly version: Version }
  | { readonly kind: 'query'; readonly query: Query };

/** `text` as a canonical version; undefined if it is not one, or longer than KEY_LENGTH_MAX. */
export function parseVersion(text: string): Version | undefined {
  if (text.length > KEY_LENGTH_MAX || !CANONICAL.test(text)) return undefined;
  return text as Version; // The only cast to Version in the tree.
}

/**
 * Undoes the URL escaping of a version or query. Neither contains a slash. So a branch with a slash cannot be asked of
 * a proxy, and the `go` command refuses it too.
 *
 * @throws {BadRequest} raw capital, lone `!`, or not a file name by Go's rules
 */
export function unescapeVersion(escaped: string): VersionOrQuery {
  const plain = unescapeBang(escaped);
  const version = plain === undefined ? undefined : parseVersion(plain);
  if (version !== undefined) return { kind: 'version', version }; // Every version is a file name.
  if (plain !== undefined && isFileName(plain)) return { kind: 'query', query: plain as Query };
  throw new BadRequest(`malformed escaped version ${quote(escaped.slice(0, 200))}`);
}

/**
 * The query for a version that does not fit its module's path: the answer to `v2.0.0` may be `v2.0.0+incompatible`.
 */
export function queryOf(version: Version): Query {
  return version as string as Query;
}

/** The inverse of {@link unescapeVersion}. Cannot fail: its argument was checked when made. */
export function escapeVersion(version: Version | Query): string {
  return escapeBang(version);
}

/** Compares by the precedence of semantic versioning: negative, zero or positive. `+incompatible` does not count. */
export function compareVersions(a: Version, b: Version): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  return (
    compareNumbers(left.major, right.major) ||
    compareNumbers(left.minor, right.minor) ||
    compareNumbers(left.patch, right.patch) ||
    comparePrereleases(left.prerelease, right.prerelease)
  );
}

/** Whether a version is a prerelease. Pseudo-versions are prereleases too. */
export function isPrerelease(version: Version): boolean {
  return version.includes('-');
}

/** The major version, such as `v2` of `v2.3.4`. */
export function majorOf(version: Version): string {
  return version.slice(0, version.indexOf('.'));
}

/** Whether `version` fits the module path: paths with `/v2` have v2 versions, and so on. */
export function checkMajor(path: ModulePath, version: Version): boolean {
  const pathMajor = splitPathMajor(path).pathMajor.replace(/-unstable$/, '');
  const major = majorOf(version);
  if (pathMajor === '') return major === 'v0' || major === 'v1' || version.endsWith('+incompatible');
  // Early Go made v0 pseudo-versions for gopkg.in/….v1, and go.mod files still name them.
  if (pathMajor === '.v1' && version.startsWith('v0.0.0-')) return true;
  return major === pathMajor.slice(1);
}

/** A number of a semantic version, as the source of a pattern. */
export const NUMBER_PATTERN = '(?:0|[1-9][0-9]*)';

// An identifier of digits alone has no leading zero. One with a letter or a dash may have one.
const IDENTIFIER = `(?:${NUMBER_PATTERN}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;

/** The part of a prerelease with its dash, as the source of a pattern. */
export const PRERELEASE_PATTERN = `-${IDENTIFIER}(?:\\.${IDENTIFIER})*`;

const CANONICAL = new RegExp(
  `^v${NUMBER_PATTERN}(?:\\.${NUMBER_PATTERN}){2}(?:${PRERELEASE_PATTERN})?(?:\\+incompatible)?$`,
);

/** Go's checkElem for file names. The caller has made sure that the text is ASCII without "!". */
function isFileName(text: string): boolean {
  if (!/^[A-Za-z0-9#$%&()+,\-.=@[\]^_{}~ ]+$/.test(text)) return false;
  return !text.endsWith('.') && !isReservedName(text);
}

type Parts = { major: string; minor: string; patch: string; prerelease: string };

function partsOf(version: Version): Parts {
  const plain = version.replace('+incompatible', '').slice(1);
  const dash = plain.indexOf('-');
  const core = dash < 0 ? plain : plain.slice(0, dash);
  const [major = '', minor = '', patch = ''] = core.split('.');
  return { major, minor, patch, prerelease: dash < 0 ? '' : plain.slice(dash + 1) };
}

/** Compares numbers of any length without leading zeros: the longer one is larger. */
function compareNumbers(a: string, b: string): number {
  return a.length - b.length || compareText(a, b);
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Compares prereleases: none is the highest, a number is below a word, and more identifiers are above fewer. */
function comparePrereleases(a: string, b: string): number {
  if (a === '' || b === '') return compareText(b, a);
  const [left, right] = [a.split('.'), b.split('.')];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = compareIdentifiers(left[i] ?? '', right[i] ?? '');
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function compareIdentifiers(a: string, b: string): number {
  const [aIsNumber, bIsNumber] = [/^[0-9]+$/.test(a), /^[0-9]+$/.test(b)];
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  return aIsNumber ? compareNumbers(a, b) : compareText(a, b);
}
