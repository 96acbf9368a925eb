/**
 * The directory of a repository that a module is in at one commit, and its go.mod file there.
 *
 * A module with a major version in its path is in the directory that the path leads to, or in its `v2`: never in both. Follows
 * findDir of cmd/go/internal/modfetch/coderepo.go; a fork may have the go.mod of the module that it replaces, so only the
 * major version of the path in it is looked at.
 */

import { NotFound } from '../core/errors.ts';
import type { ModulePath } from '../core/module-path.ts';
import { modulePathIn } from './go-mod-file.ts';
import type { ModulePlace } from './module-place.ts';
import { oneLine } from './words.ts';

/** The module at one commit. Without a go.mod file it is a module all the same, if it is at the root. */
export type ModuleDirectory = { readonly directory: string; readonly goMod: Buffer | undefined };

/** The go.mod files that decide: that of the path's directory and, where there may be one, that of its `v2`. */
export function goModPaths(place: ModulePlace): string[] {
  const second = majorDirectory(place);
  return [`${place.tagPrefix}go.mod`, ...(second === undefined ? [] : [`${second}/go.mod`])];
}

/**
 * @param files the contents of {@link goModPaths}
 * @throws {NotFound} the module is not in the repository at this commit; `at` names it
 */
export function moduleDirectory(
  place: ModulePlace,
  [first, second]: readonly (Buffer | undefined)[],
  at: string,
): ModuleDirectory {
  const { directory, pathMajor, pathPrefix, root } = place;
  const path = first === undefined ? '' : modulePathIn(first);
  const isFirst =
    first !== undefined && (isMajor(path, pathMajor) || (pathMajor === '' && path.startsWith('gopkg.in/')));
  const secondDirectory = majorDirectory(place);
  if (secondDirectory !== undefined && second !== undefined) {
    const secondPath = modulePathIn(second);
    const where = `${root}/${secondDirectory}/go.mod`;
    const isSecond = isMajor(secondPath, pathMajor);
    if (isFirst && isSecond)
      throw new NotFound(`${pathPrefix}/go.mod and ${where} both have ...${pathMajor} module paths at ${at}`);
    if (isSecond) return { directory: secondDirectory, goMod: second };
    if (secondPath === '') throw new NotFound(`${where} is missing module path at ${at}`);
    throw new NotFound(`${where} has non-...${pathMajor} module path ${quoted(secondPath)} at ${at}`);
  }
  if (isFirst) return { directory, goMod: first };
  if (first !== undefined) throw wrongPath(place, path, at);
  if (directory === '' && (pathMajor === '' || pathMajor.startsWith('.')))
    return { directory, goMod: undefined };
  const also = secondDirectory === undefined ? '' : ` and ...${pathMajor}/go.mod`;
  throw new NotFound(`missing ${pathPrefix}/go.mod${also} at ${at}`);
}

function majorDirectory({ root, module, tagPrefix, pathMajor }: ModulePlace): string | undefined {
  if (pathMajor === '' || pathMajor.startsWith('.') || root === module) return undefined;
  return `${tagPrefix}${pathMajor.slice(1)}`;
}

function wrongPath(place: ModulePlace, path: string, at: string): NotFound {
  const { pathMajor, tagPrefix } = place;
  const file = `${tagPrefix}go.mod`;
  const suffix = majorDirectory(place) === undefined ? '' : ` (and ...${pathMajor}/go.mod does not exist)`;
  if (path === '') return new NotFound(`${file} is missing module path${suffix} at ${at}`);
  const major = pathMajor === '' ? 'post-v1' : `non-...${pathMajor}`;
  return new NotFound(`${file} has ${major} module path ${quoted(path)}${suffix} at ${at}`);
}

/** Whether versions of the module `path` could be versions of a module whose path ends in `pathMajor`. */
function isMajor(path: string, pathMajor: string): boolean {
  const own = majorIn(path);
  if (own === undefined) return false;
  if (pathMajor === '') return /^(?:[/.]v[01](?:-unstable)?)?$/.test(own);
  return own !== '' && own.slice(1) === pathMajor.slice(1);
}

/** The major version at the end of a path; undefined for one that no path may have. Any other text may stand before it. */
function majorIn(path: string): string | undefined {
  if (path === '') return undefined;
  // Go's SplitPathVersion: the text need not be a module path.
  if (path.startsWith('gopkg.in/')) return /\.v(?:0|[1-9][0-9]*)(?:-unstable)?$/.exec(path)?.[0];
  const last = /\/v([0-9.]+)$/.exec(path)?.[1];
  if (last === undefined) return '';
  return /^[1-9][0-9]*$/.test(last) && last !== '1' ? `/v${last}` : undefined;
}

function quoted(path: string): string {
  return JSON.stringify(oneLine(path));
}

/** The go.mod file of a module that has none, as the `go` command makes it. */
export function madeUpGoMod(module: ModulePath): Buffer {
  return Buffer.from(`module ${module}\n`);
}
