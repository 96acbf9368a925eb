/**
 * One serving process per store: `<db>.lock`, a tiny SQLite file held in `BEGIN EXCLUSIVE`.
 *
 * The lock is the kernel's, so it is gone with the process, after `kill -9` too. It is
 * not the store itself, as an exclusive lock there would shut out our own readers.
 */

import { existsSync, lstatSync } from 'node:fs';
import { StoreFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { makePrivate } from './file-mode.ts';
import { type Connection, Database } from './sqlite.ts';

export type StoreLock = { release(): void };

/** Locks live as long as their connections, which the collector would close once nobody refers to them. */
const held = new Set<Connection>();

/**
 * Takes the lock of the store at `path`.
 *
 * @throws {StoreFailed} another process has it, or the file can't be made
 */
export function lockStore(path: string): StoreLock {
  refuseOtherNames(path);
  const lockPath = `${path}.lock`;
  let db: Connection | undefined;
  try {
    makePrivate(lockPath);
    db = new Database(lockPath, { timeout: 0 });
    db.pragma('journal_mode = MEMORY');
    db.exec('BEGIN EXCLUSIVE');
    return hold(db);
  } catch (error) {
    db?.close();
    if ((error as { code?: string }).code === 'SQLITE_BUSY') {
      throw new StoreFailed(
        `cannot open store ${quote(path)}: another astera is using it; stop that one or name another file with --db`,
      );
    }
    const why = error instanceof Error ? error.message : String(error);
    throw new StoreFailed(
      `cannot lock store ${quote(lockPath)}: ${why}; let this user write there, or name another file with --db`,
      { cause: error },
    );
  }
}

/** The lock stands beside one name of the file: under a second name another server would find its own lock. */
function refuseOtherNames(path: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  const cannot = `cannot open store ${quote(path)}`;
  if (stats.isSymbolicLink() && !existsSync(path)) {
    throw new StoreFailed(`${cannot}: it is a link to a file that is not there; name that file with --db`);
  }
  if (stats.isFile() && stats.nlink > 1) {
    throw new StoreFailed(`${cannot}: the file has another name, by a hard link; remove one of the names`);
  }
}

function hold(db: Connection): StoreLock {
  held.add(db);
  return {
    release: () => {
      held.delete(db);
      db.close();
    },
  };
}
