/** A look at a store's file before a command touches it: what is no store of ours stays as it is. */

import { statSync } from 'node:fs';
import { StoreFailed } from '../core/errors.ts';
import { openReadable } from './schema.ts';

/**
 * @param mayBeNew whether a store that is not there yet will be made
 * @throws {StoreFailed} not there, empty, no database, another program's, a newer schema, damaged
 */
export function lookAtStore(path: string, { mayBeNew }: { readonly mayBeNew: boolean }): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  const cannot = `cannot open store ${JSON.stringify(path)}`;
  if (stats === undefined) {
    if (mayBeNew) return;
    throw new StoreFailed(`${cannot}: there is no such file; name the store with --db`);
  }
  if (stats.isFile() && stats.size === 0) {
    throw new StoreFailed(`${cannot}: the file is empty; remove it, or name another one with --db`);
  }
  openReadable(path).close();
}
