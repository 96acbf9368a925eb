/**
 * Patterns of module versions.
 *
 *     corp.example/team          all versions of this module, and of those below it, as in GOPRIVATE
 *     golang.org/x/*@<v0.5.0     versions of modules whose whole path the glob matches
 *     example.com/x@v1.2.3       one version
 *     example.com/x@>=v1.0.0@<v1.2.3
 *
 * Versions compare by semantic versioning: `<v1.2.3` holds v1.2.3-rc.1 and the pseudo-versions before v1.2.3.
 */

import { BadRequest } from '../core/errors.ts';
import { isPrefixPatterns, prefixMatcher } from '../core/glob.ts';
import type { ModulePath } from '../core/module-path.ts';
import { quote } from '../core/quote.ts';
import { compareVersions, parseVersion, type Version } from '../core/version.ts';

export type VersionPattern = {
  /** As it was written. */
  readonly text: string;
  /** The path, where it has no glob characters. */
  readonly literal: string | undefined;
  /** It is for all versions of its modules. */
  readonly isOfAll: boolean;
  /** Whether it is for some version of the module. */
  matchesModule(module: ModulePath): boolean;
  /** Whether it is for this version, if it is for some of the module. */
  matchesVersion(version: Version): boolean;
};

/** @throws {BadRequest} with the pattern and its fault */
export function parseVersionPattern(text: string): VersionPattern {
  const [path = '', ...conditions] = text.split('@');
  const glob = path.replace(/\/$/, '');
  if (glob === '' || glob.includes(',') || !isPrefixPatterns(glob)) {
    throw new BadRequest(`cannot read pattern ${quote(text)}: its path is none`);
  }
  const isOfAll = conditions.length === 0;
  const literal = /[*?[\\]/.test(glob) ? undefined : glob;
  const matchesPrefix =
    literal === undefined
      ? prefixMatcher(glob)
      : (module: ModulePath) => module === literal || module.startsWith(`${literal}/`);
  const count = glob.split('/').length;
  const tests = conditions.map((one) => parseCondition(one, text));
  return {
    text,
    literal,
    isOfAll,
    // A version is one of one module: those below it have other versions.
    matchesModule: (module) => matchesPrefix(module) && (isOfAll || module.split('/').length === count),
    matchesVersion: (version) => tests.every((test) => test(version)),
  };
}

function parseCondition(text: string, pattern: string): (version: Version) => boolean {
  const [, operator = '', wanted = ''] = /^(<=|>=|<|>|=|)(.*)$/s.exec(text) ?? [];
  const version = parseVersion(wanted);
  const holds = operators.get(operator);
  if (version === undefined || holds === undefined) {
    throw new BadRequest(
      `cannot read pattern ${quote(pattern)}: not a version such as v1.2.3: ${quote(wanted)}`,
    );
  }
  return (other) => holds(compareVersions(other, version));
}

const operators: ReadonlyMap<string, (order: number) => boolean> = new Map([
  ['', (order) => order === 0],
  ['=', (order) => order === 0],
  ['<', (order) => order < 0],
  ['<=', (order) => order <= 0],
  ['>', (order) => order > 0],
  ['>=', (order) => order >= 0],
]);
