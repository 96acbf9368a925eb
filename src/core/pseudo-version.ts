/**
 * Pseudo-versions: the `go` command's versions for commits without a tag, such as
 * `v1.2.4-0.20060102150405-abcdefabcdef`. This file knows their form, not whether the commit exists.
 *
 * Follows golang.org/x/mod/module/pseudo.go.
 */

import { quote } from './quote.ts';
import { isPrerelease, parseVersion, type Version } from './version.ts';

/** Whether `version` has one of the five forms of https://go.dev/ref/mod#pseudo-versions. */
export function isPseudoVersion(version: Version): boolean {
  return PSEUDO.test(version);
}

/** The commit's time; undefined if `version` is no pseudo-version or its time is invalid. */
export function pseudoVersionTime(version: Version): Date | undefined {
  const stamp = PSEUDO.exec(version)?.groups?.stamp;
  if (stamp === undefined) return undefined;
  const iso = stamp.replace(/^(....)(..)(..)(..)(..)(..)$/, '$1-$2-$3T$4:$5:$6.000Z');
  const time = new Date(iso);
  // Date turns February 30 into March 2, and 24:00 into the next day. A time is valid only if it reads back the same.
  return Number.isNaN(time.getTime()) || time.toISOString() !== iso ? undefined : time;
}

/** The commit, usually the first 12 hex digits of its hash; undefined if `version` is no pseudo-version. */
export function pseudoVersionRev(version: Version): string | undefined {
  return PSEUDO.exec(version)?.groups?.rev;
}

/**
 * The pseudo-version of a commit.
 *
 * @param major the major version, such as `v2`; it is used if there is no `base`
 * @param base the version of the highest tag among the commit's ancestors
 * @param rev the first 12 hex digits of the commit's hash
 */
export function makePseudoVersion(commit: {
  major: string;
  base: Version | undefined;
  time: Date;
  rev: string;
}): Version {
  const { major, base, time, rev } = commit;
  const stamp = time
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/\D/g, '');
  const [plain = '', build] = (base ?? '').split('+');
  const suffix = `${stamp}-${rev}${build === undefined ? '' : `+${build}`}`;
  const text =
    base === undefined
      ? `${major}.0.0-${suffix}`
      : isPrerelease(base)
        ? `${plain}.0.${suffix}`
        : `${plain.replace(/[0-9]+$/, (patch) => String(BigInt(patch) + 1n))}-0.${suffix}`;
  const version = parseVersion(text);
  if (version === undefined) throw new Error(`not a version: ${quote(text)}`);
  return version;
}

/**
 * The version that a pseudo-version is made from.
 *
 * @returns `none` for `vX.0.0-…`, which has no base; undefined if `version` is no pseudo-version, or has a form that
 * no base gives: `vX.0.0-0.…`, or `vX.0.0-…+incompatible`
 */
export function pseudoVersionBase(version: Version): Version | 'none' | undefined {
  if (!isPseudoVersion(version)) return undefined;
  const [plain = '', build] = version.split('+');
  const base = plain.replace(/[0-9]{14}-[A-Za-z0-9]+$/, '');
  const suffix = build === undefined ? '' : `+${build}`;
  if (/^v[0-9]+\.0\.0-$/.test(base)) return build === undefined ? 'none' : undefined;
  const released = /^(v[0-9]+\.[0-9]+\.)([0-9]+)-0\.$/.exec(base);
  if (released === null) return parseVersion(`${base.replace(/\.0\.$/, '')}${suffix}`);
  const [, start = '', patch = ''] = released;
  return patch === '0' ? undefined : parseVersion(`${start}${BigInt(patch) - 1n}${suffix}`);
}

// The only build metadata of a Version is "+incompatible".
const PSEUDO =
  /^v[0-9]+\.(?:0\.0-|[0-9]+\.[0-9]+-(?:[^+]*\.)?0\.)(?<stamp>[0-9]{14})-(?<rev>[A-Za-z0-9]+)(?:\+incompatible)?$/;
