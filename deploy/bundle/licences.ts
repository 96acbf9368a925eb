/** The licence of each part of a bundle, as its authors wrote it, all in one file. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Packages without a licence file, and those of the same authors whose file holds for them. */
const licensedWith: readonly (readonly [RegExp, string])[] = [
  [/^@msgpackr-extract\//, 'msgpackr-extract'],
  [/^@napi-rs\/nice-/, '@napi-rs/nice'],
  [/^@aws-sdk\//, '@aws-sdk/credential-provider-node'],
];

/** A repack's own licence covers its wrapper alone: texts of what its binaries hold, by package. */
const inside: Readonly<Record<string, string>> = { 'uWebSockets.js': 'uWebSockets.js.txt' };

/**
 * Writes `LICENSES.txt`: for each package its name in a line like a heading, then its licences.
 *
 * @param packages their paths below `node_modules`
 * @param options `trees`: directories that have `node_modules`; the first that has a package counts
 * @throws {Error} a package without a licence: nobody may hand it on
 */
export function writeLicences(
  packages: readonly string[],
  { trees, out }: { trees: readonly string[]; out: string },
): void {
  const read = (name: string) => {
    const places = trees.map((tree) => join(tree, 'node_modules', name));
    return filesOf(places.find((place) => existsSync(place)) ?? '');
  };
  const parts = packages.map((name) => {
    const texts = [...read(name)];
    const other = licensedWith.find(([pattern]) => pattern.test(name))?.[1];
    if (texts.length === 0 && other !== undefined) texts.push(...read(other));
    const more = inside[name];
    if (texts.length === 0 && more === undefined)
      throw new Error(`cannot bundle ${name}: it has no licence file`);
    if (more !== undefined) texts.push(readFileSync(join(import.meta.dirname, 'licences', more), 'utf8'));
    return `===== ${name} =====\n\n${texts.join('\n')}`;
  });
  writeFileSync(join(out, 'LICENSES.txt'), parts.join('\n\n'));
}

function filesOf(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => /^(?:licen[cs]e|copying|notice)/i.test(name));
  return names.sort().map((name) => readFileSync(join(directory, name), 'utf8'));
}
