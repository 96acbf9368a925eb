/**
 * A module's place in its repository: the directory that its path leads to, and where its major version may be.
 *
 * Follows newCodeRepo of cmd/go/internal/modfetch/coderepo.go.
 */

import { NotFound } from '../core/errors.ts';
import { type ModulePath, splitPathMajor } from '../core/module-path.ts';
import { quote } from '../core/quote.ts';
import { isPseudoText, isSemver } from './semver.ts';

export type ModulePlace = {
  readonly module: ModulePath;
  /** The module path of the repository's root. */
  readonly root: string;
  /** The directory that the module's path leads to, without its major version; empty for the root. */
  readonly directory: string;
  /** `/v2`, `.v2`, `.v2-unstable` or empty. */
  readonly pathMajor: string;
  /** The module path without its major version, for messages. */
  readonly pathPrefix: string;
  /** `v2` where the path says it, else empty. */
  readonly major: string;
  /** What tags of its versions begin with: its directory and a slash, or nothing. */
  readonly tagPrefix: string;
};

/**
 * @param root the module path that the repository's root has
 * @param directory the directory of `root` in the repository; mostly empty
 * @throws {NotFound} a repository at `root` can't hold the module
 */
export function placeOf(
  module: ModulePath,
  { root, directory }: { root: string; directory: string },
): ModulePlace {
  const { prefix, pathMajor } = splitPathMajor(module);
  const pathPrefix = root === module ? module : prefix;
  if (pathPrefix !== root && !pathPrefix.startsWith(`${root}/`))
    throw new NotFound(`the repository of ${quote(root)} cannot hold ${quote(module)}`);
  const below = pathPrefix.slice(root.length + 1);
  const whole = [below, directory]
    .join('/')
    .split('/')
    .filter((element) => element !== '' && element !== '.')
    .join('/');
  return {
    module,
    root,
    directory: whole,
    pathMajor,
    pathPrefix,
    major: pathMajor.slice(1).replace(/-unstable$/, ''),
    tagPrefix: whole === '' ? '' : `${whole}/`,
  };
}

/** What a version or query is called in the repository: a tag with the module's prefix, a pseudo-version's commit, or itself. */
export function revisionOf({ tagPrefix }: ModulePlace, query: string): string {
  if (!isSemver(query)) return query;
  if (isPseudoText(query)) return /-([A-Za-z0-9]+)(?:\+.*)?$/.exec(query)?.[1] ?? query;
  return `${tagPrefix}${query.replace(/\+incompatible$/, '')}`;
}
