/** The text of a GOPROXY's list, and `@latest` computed from its versions: https://go.dev/ref/mod#goproxy-protocol. */

import { isPseudoVersion } from './pseudo-version.ts';
import { isPrerelease, parseVersion, type Version } from './version.ts';

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

/** The versions of a list's lines, in their order. */
export function versionsOn(lines: readonly string[]): Version[] {
  return lines.map(versionOn).filter((version) => version !== undefined);
}

/** A line begins with a version; a time may follow. The `go` command ignores other lines. */
export function versionOn(line: string): Version | undefined {
  const [word = ''] = line.trim().split(/\s+/, 1);
  return parseVersion(word);
}
