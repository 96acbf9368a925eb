/**
 * The files of a GOPROXY tree on disk, as a stream: what `go` keeps under `cache/download`, or what
 * `astera export` wrote. Names alone; keeps out what the files hold.
 *
 * Follows cmd/go/internal/modfetch/cache.go for what else lies there: `list`, `.lock`, `.partial`,
 * `.ziphash` are passed by; what lies in `sumdb/` is listed by itself.
 */

import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { KEY_LENGTH_MAX } from '../core/limits.ts';

/** A `.info`, `.mod` or `.zip` of some module, or something in its place that can't be taken. */
export type TreeFile =
  | { readonly kind: 'file'; readonly path: string; readonly key: string }
  | { readonly kind: 'bad'; readonly path: string; readonly why: string };

/**
 * Walks the tree at `root`, directory by directory, holding the names of one directory a level; in
 * place, as handing each step to another thread would take most of the time.
 * Symbolic links are not followed: those where a file or a module should be are `bad`.
 */
export function walkTree(root: string): Generator<TreeFile> {
  return walk(root, '');
}

/** The same of the checksum databases' files in its `sumdb/`, if it has one. */
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
      const type = isKnown ? entry : lstatSync(path); // Some file systems don't say it in the listing.
      if (type.isSymbolicLink()) yield { kind: 'bad', path, why: 'a symbolic link' };
      else if (!isVersions && type.isDirectory()) yield* walk(root, key);
      else if ((isVersions || isSumdb) && type.isFile()) yield { kind: 'file', path, key };
      else if (isVersions || isSumdb) yield { kind: 'bad', path, why: 'not a regular file' };
    }
  } catch (error) {
    yield { kind: 'bad', path: directory, why: messageOf(error) };
  }
}

/** Directories that an escaped module path can go through, and in `@v` the files of versions; in `sumdb` all that is not hidden. */
function isWanted(name: string, where: { isVersions: boolean; isSumdb: boolean; isTop: boolean }): boolean {
  if (where.isSumdb) return !name.startsWith('.');
  if (where.isVersions) return /\.(?:info|mod|zip)$/.test(name);
  if (where.isTop) return HOST.test(name);
  return name === '@v' || ELEMENT.test(name);
}

const HOST = /^[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+$/;
const ELEMENT = /^[a-z0-9_~!-][a-z0-9._~!-]*$/;
