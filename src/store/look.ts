/** A look at a store's file before a command touches it. A file that is no store of ours stays as it is. */

import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { checkStore, isUnfinished } from './schema.ts';

/**
 * @param mayBeNew whether a store that is not there yet will be made
 * @throws {StoreFailed} not there, a directory, empty, no database, another program's, a newer schema, damaged
 */
export function lookAtStore(path: string, { mayBeNew }: { readonly mayBeNew: boolean }): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  const cannot = `cannot open store ${quote(path)}`;
  if (stats === undefined && !mayBeNew) {
    throw new StoreFailed(`${cannot}: there is no such file; name the store with --db`);
  }
  if (stats === undefined) {
    lookAtDirectory(cannot, dirname(path));
    return;
  }
  if (stats.isDirectory()) throw new StoreFailed(`${cannot}: it is a directory; name a file with --db`);
  if (mayBeNew && stats.isFile() && canRead(path) && isUnfinished(path)) return;
  if (stats.isFile() && stats.size === 0) {
    throw new StoreFailed(`${cannot}: the file is empty; remove it, or name another one with --db`);
  }
  checkStore(path);
}

/** If it can't be read, the error comes when it is opened. */
function canRead(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function lookAtDirectory(cannot: string, directory: string): void {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new StoreFailed(
    `${cannot}: there is no directory ${quote(directory)}; make it, or name another file with --db`,
  );
}
