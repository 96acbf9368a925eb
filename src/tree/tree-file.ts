/**
 * The files of a GOPROXY tree on disk, as a stream: the `cache/download` of `go`, or a tree from `astera export`. This
 * file deals with names only and opens no file.
 *
 * By cmd/go/internal/modfetch/cache.go there are also `list`, `.lock`, `.partial` and `.ziphash` files, which are
 * skipped. The files in `sumdb/` are listed by themselves.
 */

import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { KEY_LENGTH_MAX } from '../core/limits.ts';

/** The `.info`, `.mod` or `.zip` of a module, or something in its place that can't be imported. */
export type TreeFile =
  | { readonly kind: 'file'; readonly path: string; readonly key: string }
  | { readonly kind: 'bad'; readonly path: string; readonly why: string };

/**
 * Walks the tree at `root`, directory by directory. It holds the names of one directory for each level. It works
 * synchronously, as a call to another thread for each step would take most of the time. Symbolic links are not
 * followed: a link in the place of a file or a module is `bad`.
 */
export function walkTree(root: string): Generator<TreeFile> {
  return walk(root, '');
}

/** Walks the checksum databases' files in the tree's `sumdb/`, if it has one. */
export function* walkSumdb(root: string): Generator<TreeFile> {
  const stats = lstatSync(join(root, SUMDB), { throwIfNoEntry: false });
  if (stats !== undefined) yield* walk(root, SUMDB);
}

const SUMDB = 'sumdb';

function* walk(root: string, below: string): Generator<TreeFile> {
  const isSumdb = below.split('/', 1)[0] === SUMDB;
  const isVersions = !isSumdb && below.endsWith('/@v');
  const directory = join(root, below);
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const key = below === '' ? entry.name : `${below}/${entry.name}`;
      const path = join(directory, entry.name);
      const where = { isVersions, isSumdb, isTop: below === '' };
      if (key.length > KEY_LENGTH_MAX || !isWanted(entry.name, where)) continue;
      const isKnown = entry.isFile() || entry.isDirectory() || entry.isSymbolicLink();
      const type = isKnown ? entry : lstatSync(path); // Some file systems list no types.
      if (type.isSymbolicLink()) yield { kind: 'bad', path, why: 'a symbolic link' };
      else if (!isVersions && type.isDirectory()) yield* walk(root, key);
      else if ((isVersions || isSumdb) && type.isFile()) yield { kind: 'file', path, key };
      else if (isVersions || isSumdb) yield { kind: 'bad', path, why: 'not a regular file' };
    }
  } catch (error) {
    yield { kind: 'bad', path: directory, why: messageOf(error) };
  }
}

/**
 * Whether a name can be part of an escaped module path; in `@v`, whether it is the file of a version; in `sumdb`,
 * whether it is not hidden.
 */
function isWanted(name: string, where: { isVersions: boolean; isSumdb: boolean; isTop: boolean }): boolean {
  if (where.isSumdb) return !name.startsWith('.');
  if (where.isVersions) return /\.(?:info|mod|zip)$/.test(name);
  if (where.isTop) return HOST.test(name);
  return name === '@v' || ELEMENT.test(name);
}

const HOST = /^[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+$/;
const ELEMENT = /^[a-z0-9_~!-][a-z0-9._~!-]*$/;
