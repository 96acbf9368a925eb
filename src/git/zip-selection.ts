/**
 * Which files of a tree a module zip has: not those of nested modules and vendored packages, no links. Names that no module
 * may have are refused, as are sizes past Go's bounds.
 *
 * Follows checkFiles and isVendoredPackage of golang.org/x/mod/zip, rule by rule and in its order.
 */

import { setImmediate } from 'node:timers/promises';
import { CheckFailed, NotFound } from '../core/errors.ts';
import { SMALL_BYTES_MAX, ZIP_BYTES_MAX, ZIP_ENTRIES_MAX } from '../core/limits.ts';
import { filePathProblem, foldPath } from '../modzip/file-path.ts';
import { PathCollisions } from '../modzip/path-collisions.ts';
import type { TreeFile } from './tree-listing.ts';
import { oneLine } from './words.ts';

/** A file below the module's directory; `path` is from there. */
export type ModuleFile = Omit<TreeFile, 'path'> & { readonly path: string };

/**
 * The paths of the files that the module's zip has.
 *
 * @param isGo124 the module's go.mod file asks for Go 1.24 or newer
 * @throws {NotFound} no zip can be made of them: Go's reason
 */
export async function selectFiles(
  files: readonly ModuleFile[],
  { isGo124 }: { isGo124: boolean },
): Promise<Set<string>> {
  const modules = nestedModules(files);
  const collisions = new PathCollisions();
  const selected = new Set<string>();
  let bytes = 0;
  for (const [at, file] of files.entries()) {
    // A tree of 100,000 files must not hold up everybody else.
    if (at % FILES_PER_TURN === FILES_PER_TURN - 1) await setImmediate();
    if (isLeftOut(file.path, { isGo124, modules })) continue;
    checkName(file, collisions);
    if (file.kind === 'link') continue;
    bytes += file.bytes;
    checkSize(file, bytes);
    selected.add(file.path);
    if (selected.size > ZIP_ENTRIES_MAX) throw new NotFound(`create zip: more than ${ZIP_ENTRIES_MAX} files`);
  }
  return selected;
}

const FILES_PER_TURN = 2_000;

/** Directories, with a slash behind them, that have a go.mod file of their own in any case. The root is none. */
function nestedModules(files: readonly ModuleFile[]): ReadonlySet<string> {
  const directories = new Set<string>();
  for (const { path, kind } of files) {
    const slash = path.lastIndexOf('/') + 1;
    if (kind === 'regular' && path.length - slash === 6 && foldPath(path.slice(slash)) === 'go.mod')
      directories.add(path.slice(0, slash));
  }
  directories.delete('');
  return directories;
}

function isLeftOut(
  path: string,
  { isGo124, modules }: { isGo124: boolean; modules: ReadonlySet<string> },
): boolean {
  if (isVendored(path, isGo124) || path === '.hg_archival.txt') return true;
  if (modules.size === 0) return false;
  for (let end = path.lastIndexOf('/'); end >= 0; end = path.lastIndexOf('/', end - 1)) {
    if (modules.has(path.slice(0, end + 1))) return true;
    if (end === 0) return false;
  }
  return false;
}

/** Before Go 1.24 the test looked at a wrong place of paths with an inner `/vendor/`, and `modules.txt` was in the zip. */
function isVendored(path: string, isGo124: boolean): boolean {
  if (isGo124 && path === 'vendor/modules.txt') return true;
  if (path.startsWith('vendor/')) return path.includes('/', 'vendor/'.length);
  const inner = path.indexOf('/vendor/');
  if (inner < 0) return false;
  return path.includes('/', (isGo124 ? inner : 0) + '/vendor/'.length);
}

function checkName({ path }: ModuleFile, collisions: PathCollisions): void {
  const problem = filePathProblem(path);
  if (problem !== undefined)
    throw new NotFound(`create zip: malformed file path ${quoted(path)}: ${problem}`);
  if (path !== 'go.mod' && path.toLowerCase() === 'go.mod')
    throw new NotFound(`create zip: ${path}: go.mod files must have lowercase names`);
  try {
    collisions.add(path, false);
  } catch (error) {
    if (!(error instanceof CheckFailed)) throw error;
    throw new NotFound(`create zip: file name collision: ${error.message.replace('cannot read zip: ', '')}`);
  }
}

function checkSize({ path, bytes }: ModuleFile, allBytes: number): void {
  if (allBytes > ZIP_BYTES_MAX) throw tooLarge();
  if ((path === 'go.mod' || path === 'LICENSE') && bytes > SMALL_BYTES_MAX)
    throw new NotFound(`create zip: ${path} file too large (max size is ${SMALL_BYTES_MAX} bytes)`);
}

/** The refusal of a module with more content than Go takes. */
export function tooLarge(): NotFound {
  return new NotFound(`create zip: module source tree too large (max size is ${ZIP_BYTES_MAX} bytes)`);
}

function quoted(path: string): string {
  return JSON.stringify(oneLine(path));
}
