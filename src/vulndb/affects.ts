/**
 * Whether a report concerns a version of a module.
 *
 * Follows golang.org/x/vuln/internal/semver/affects.go. A range is closed on the left and open on the right; "0" is before
 * all versions.
 */

import { compareVersions, parseVersion, type Version } from '../core/version.ts';
import type { VersionRange, VulnReport } from './vuln-json.ts';

/** @param version canonical, with "v" */
export function affects(report: VulnReport, module: string, version: Version): boolean {
  if (report.isWithdrawn) return false;
  return report.affected.some(({ path, ranges }) => path === module && inRanges(ranges, version));
}

/** Where a module has no range of versions at all, each version is concerned. */
function inRanges(ranges: readonly VersionRange[], version: Version): boolean {
  const ofVersions = ranges.filter(({ type }) => type === 'SEMVER');
  return ofVersions.length === 0 || ofVersions.some((range) => inRange(range, version));
}

function inRange({ events }: VersionRange, version: Version): boolean {
  if (events.length === 0) return true;
  const sorted = events
    .map(({ introduced, fixed }) => ({ isFix: fixed !== undefined, at: boundOf(fixed ?? introduced) }))
    .toSorted((a, b) => compareBounds(a.at, b.at));
  let isIn = false;
  for (const { isFix, at } of sorted) {
    if (compareBounds(at, version) > 0) break;
    isIn = !isFix;
  }
  return isIn;
}

type Bound = Version | 'first';

/** As in Go, `1.2` is `1.2.0`, and what is no version comes before all of them. */
function boundOf(text = ''): Bound {
  const plain = text.replace(/^v|^go/, '');
  const numbers = /^[0-9]+(?:\.[0-9]+)?$/.test(plain) ? plain.split('.').length : 3;
  return parseVersion(`v${plain}${'.0'.repeat(3 - numbers)}`) ?? 'first';
}

function compareBounds(a: Bound, b: Bound): number {
  if (a === 'first' || b === 'first') return Number(b === 'first') - Number(a === 'first');
  return compareVersions(a, b);
}
