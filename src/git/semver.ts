/**
 * Semantic versions in text that is not checked yet: names of tags, words of go.mod files.
 *
 * Unlike a `Version`, such a text may be short (`v1.2`) and may have build metadata (`v1.2.3+x`). Follows
 * golang.org/x/mod/semver.
 */

import { isPseudoVersion } from '../core/pseudo-version.ts';
import {
  compareVersions,
  NUMBER_PATTERN,
  PRERELEASE_PATTERN,
  parseVersion,
  type Version,
} from '../core/version.ts';

/** Whether `text` is a semantic version, short forms included. */
export function isSemver(text: string): boolean {
  return SEMVER.test(text);
}

/** `vX.Y.Z[-pre]`, without build metadata and with the numbers that a short form leaves out; undefined if it is none. */
export function canonicalOf(text: string): Version | undefined {
  const parts = SEMVER.exec(text)?.groups;
  if (parts === undefined) return undefined;
  const { major, minor = '0', patch = '0', prerelease = '' } = parts;
  return parseVersion(`v${major}.${minor}.${patch}${prerelease}`);
}

/** By precedence; what is no version is below all that are. */
export function compareSemver(a: string, b: string): number {
  const [left, right] = [canonicalOf(a), canonicalOf(b)];
  if (left === undefined || right === undefined)
    return Number(left !== undefined) - Number(right !== undefined);
  return compareVersions(left, right);
}

/** Whether `text` has the form of a pseudo-version, whatever its build metadata. */
export function isPseudoText(text: string): boolean {
  const version = canonicalOf(text);
  return version !== undefined && text.startsWith(version) && isPseudoVersion(version);
}

const SEMVER = new RegExp(
  `^v(?<major>${NUMBER_PATTERN})(?:\\.(?<minor>${NUMBER_PATTERN})(?:\\.(?<patch>${NUMBER_PATTERN})` +
    `(?<prerelease>${PRERELEASE_PATTERN})?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?)?)?$`,
);
