/**
 * Checks the structure of a module zip before it is kept. It does not inflate the content.
 *
 * A zip is valid if the `go` command can hash and unzip it. There are two exceptions: zips beyond the bounds of `limits.ts` and
 * `core/limits.ts`, and zips that are made to mislead (`zip-directory.ts`). `zip-hash.ts` reads the content.
 *
 * Follows golang.org/x/mod/zip (checkZip), and cmd/go/internal/modfetch (downloadZip).
 */

import { SMALL_BYTES_MAX, ZIP_BYTES_MAX } from '../core/limits.ts';
import { badZip, quoteName } from './bad-zip.ts';
import type { ByteSource } from './byte-source.ts';
import { filePathProblem, foldPath } from './file-path.ts';
import { PathCollisions } from './path-collisions.ts';
import { readZipDirectory, type ZipEntry } from './zip-directory.ts';

/** The module of a zip: a plain module path and a canonical version. The caller has checked both. */
export type ZipOwner = { readonly module: string; readonly version: string };

/** The entries of a valid zip, and their totals. */
export type ZipSummary = {
  /** Files and directories, in the order of their bodies in the file. */
  readonly entries: readonly ZipEntry[];
  readonly files: number;
  /** The sum of the declared sizes of all files, at most `ZIP_BYTES_MAX`. */
  readonly contentBytes: number;
};

/**
 * Checks that a zip opens and that it holds a module's files by Go's rules.
 *
 * It reads the directory and the local headers, but no content. The sizes are the declared ones.
 *
 * @throws {CheckFailed} it is not a module zip of `owner`
 */
export function checkZip(source: ByteSource, owner: ZipOwner): ZipSummary {
  if (source.size > ZIP_BYTES_MAX) throw badZip(`larger than ${ZIP_BYTES_MAX} bytes: ${source.size}`);
  const entries = readZipDirectory(source);
  const prefix = `${owner.module}@${owner.version}/`;
  const collisions = new PathCollisions();
  let files = 0;
  let contentBytes = 0;
  for (const entry of entries) {
    checkEntry(entry, prefix, collisions);
    if (entry.isDirectory) continue;
    files++;
    contentBytes += entry.bytes;
    if (contentBytes > ZIP_BYTES_MAX) throw badZip(`content of more than ${ZIP_BYTES_MAX} bytes`);
  }
  return { entries, files, contentBytes };
}

function checkEntry(entry: ZipEntry, prefix: string, collisions: PathCollisions): void {
  const { name, isDirectory } = entry;
  if (!name.startsWith(prefix)) throw badZip(`entry outside ${quoteName(prefix)}`, name);
  const path = name.slice(prefix.length, isDirectory ? -1 : undefined);
  // The module's own directory: `go` skips it, but hashes its name like any other.
  if (isDirectory && name.length === prefix.length) return;
  const problem = filePathProblem(path);
  if (problem !== undefined) throw badZip(problem, name);
  collisions.add(path, isDirectory);
  if (!isDirectory) checkSpecialFile(entry, path);
}

/** A go.mod must be at the root and in small letters. It and LICENSE must not be larger than Go reads them. */
function checkSpecialFile({ name, bytes }: ZipEntry, path: string): void {
  const base = path.slice(path.lastIndexOf('/') + 1);
  if (base.length === 6 && foldPath(base) === 'go.mod' && path !== 'go.mod') {
    throw badZip(base === path ? 'go.mod not in small letters' : 'go.mod not at the root', name);
  }
  if ((path === 'go.mod' || path === 'LICENSE') && bytes > SMALL_BYTES_MAX) {
    throw badZip(`larger than ${SMALL_BYTES_MAX} bytes`, name);
  }
}
