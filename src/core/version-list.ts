/** Computes `@latest` from the versions that a proxy has: https://go.dev/ref/mod#goproxy-protocol. */

import { isPseudoVersion } from './pseudo-version.ts';
import { isPrerelease, type Version } from './version.ts';

/**
 * The highest release, else the highest pre-release, else the newest pseudo-version; undefined without versions.
 *
 * @param sorted in rising order
 */
export function latestOf(sorted: readonly Version[]): Version | undefined {
  return (
    sorted.findLast((v) => !isPrerelease(v)) ?? sorted.findLast((v) => !isPseudoVersion(v)) ?? sorted.at(-1)
  );
}
