/**
 * Pseudo-versions: what the `go` command makes of a commit without a tag, such as
 * `v1.2.4-0.20060102150405-abcdefabcdef`. Holds their form; does not ask whether the commit is real.
 *
 * Follows golang.org/x/mod/module/pseudo.go.
 */

import type { Version } from './version.ts';

/** Whether `version` has one of the five forms of https://go.dev/ref/mod#pseudo-versions. */
export function isPseudoVersion(version: Version): boolean {
  return PSEUDO.test(version);
}

/** The commit's time; undefined if `version` is no pseudo-version or names a moment that is none. */
export function pseudoVersionTime(version: Version): Date | undefined {
  const stamp = PSEUDO.exec(version)?.groups?.stamp;
  if (stamp === undefined) return undefined;
  const iso = stamp.replace(/^(....)(..)(..)(..)(..)(..)$/, '$1-$2-$3T$4:$5:$6.000Z');
  const time = new Date(iso);
  // Date takes February 30 for March 2, and 24:00 for the next day: only what reads back the same is a time.
  return Number.isNaN(time.getTime()) || time.toISOString() !== iso ? undefined : time;
}

/** The commit, usually the first 12 hex digits of its hash; undefined if `version` is no pseudo-version. */
export function pseudoVersionRev(version: Version): string | undefined {
  return PSEUDO.exec(version)?.groups?.rev;
}

// A Version has no build metadata but "+incompatible".
const PSEUDO =
  /^v[0-9]+\.(?:0\.0-|[0-9]+\.[0-9]+-(?:[^+]*\.)?0\.)(?<stamp>[0-9]{14})-(?<rev>[A-Za-z0-9]+)(?:\+incompatible)?$/;
