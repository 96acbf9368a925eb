/** The versions of a module by lines: v1.4.* is one. */

import { compareVersions, isPrerelease, majorOf, type Version } from '../core/version.ts';

/** Highest first; at least one. */
export type VersionLine = readonly Version[];

/** The lines of each major version; the line with the highest version first. */
export function linesByMajor(versions: readonly Version[]): VersionLine[][] {
  const lines = new Map<string, Version[]>();
  for (const version of versions) {
    const name = version.slice(0, version.indexOf('.', version.indexOf('.') + 1));
    const line = lines.get(name);
    if (line === undefined) lines.set(name, [version]);
    else line.push(version);
  }
  const majors = new Map<string, VersionLine[]>();
  for (const line of lines.values()) {
    line.sort((a, b) => compareVersions(b, a));
    const major = majorOf(headOf(line));
    const same = majors.get(major);
    if (same === undefined) majors.set(major, [line]);
    else same.push(line);
  }
  return [...majors.values()].map((of) => of.sort(byHead)).sort(([a = []], [b = []]) => byHead(a, b));
}

/** Whether the line has fixes: releases after its first one. */
export function hasFixes(line: VersionLine): boolean {
  return line.some((version) => !isPrerelease(version) && !/^v\d+\.\d+\.0(?:\+|$)/.test(version));
}

/** The line with the higher version first. */
export function byHead(a: VersionLine, b: VersionLine): number {
  return compareVersions(headOf(b), headOf(a));
}

function headOf([head]: VersionLine): Version {
  if (head === undefined) throw new Error('a line without versions');
  return head;
}
