/**
 * Whether a pseudo-version is the one that its commit has: its hash, its time, and a base that is an ancestor.
 *
 * Without this check anybody could name a commit by a version as high as they like. Follows validatePseudoVersion of
 * cmd/go/internal/modfetch/coderepo.go.
 */

import { NotFound } from '../core/errors.ts';
import { pseudoVersionBase, pseudoVersionRev, pseudoVersionTime } from '../core/pseudo-version.ts';
import { majorOf, parseVersion, type Version } from '../core/version.ts';
import type { ModulePlace } from './module-place.ts';
import type { Repository } from './repository.ts';
import type { Revision } from './revision.ts';
import { compareSemver } from './semver.ts';

export type PseudoVersionCommit = {
  readonly place: ModulePlace;
  readonly repository: Repository;
  readonly revision: Revision;
  readonly time: Date;
  readonly sinceMs: number;
};

/** @throws {NotFound} it is not, with the reason */
export async function checkPseudoVersion(version: Version, commit: PseudoVersionCommit): Promise<void> {
  const fault = nameFault(version, commit) ?? (await baseFault(version, commit));
  if (fault !== undefined)
    throw new NotFound(`${commit.place.module}@${version}: invalid pseudo-version: ${fault}`);
}

function nameFault(version: Version, { revision, time, place }: PseudoVersionCommit): string | undefined {
  const rev = pseudoVersionRev(version) ?? '';
  const short = revision.hash.slice(0, 12);
  if (rev !== short) {
    if (rev.startsWith(short)) return `revision is longer than canonical (expected ${short})`;
    if (short.startsWith(rev)) return `revision is shorter than canonical (expected ${short})`;
    return `does not match short name of revision (expected ${short})`;
  }
  if (pseudoVersionTime(version)?.getTime() !== time.getTime())
    return `does not match version-control timestamp (expected ${time.toISOString().replace(/\D/g, '').slice(0, -3)})`;
  const base = baseOf(version);
  if (base === undefined) return 'it has no base version that there can be';
  if (base === 'none' && place.major === '' && majorOf(version) === 'v1')
    return 'major version without preceding tag must be v0, not v1';
  return undefined;
}

async function baseFault(version: Version, commit: PseudoVersionCommit): Promise<string | undefined> {
  const base = baseOf(version);
  if (base === undefined || base === 'none') return undefined;
  const { repository, revision, sinceMs, place } = commit;
  const refs = await repository.refs(sinceMs);
  const rev = pseudoVersionRev(version);
  const same = refs.tagsOf(revision.hash).find((tag) => withoutPrefix(tag, place.tagPrefix) === base);
  if (same !== undefined)
    return `tag (${same}) found on revision ${rev} is already canonical, so should not be replaced with a pseudo-version derived from that tag`;
  let last: string | undefined;
  for (const { name } of refs.tags(place.tagPrefix + base)) {
    if (compareSemver(withoutPrefix(name, place.tagPrefix), base) !== 0) continue;
    last = name;
    if (await repository.descendsFrom(revision.hash, name, sinceMs)) return undefined;
  }
  if (last === undefined) return `preceding tag (${base}) not found`;
  return `revision ${rev} is not a descendent of preceding tag (${last})`;
}

/** The go command looks at the base without `+incompatible`. */
function baseOf(version: Version): Version | 'none' | undefined {
  const plain = parseVersion(version.replace('+incompatible', ''));
  return plain && pseudoVersionBase(plain);
}

function withoutPrefix(tag: string, prefix: string): string {
  return tag.startsWith(prefix) ? tag.slice(prefix.length) : tag;
}
