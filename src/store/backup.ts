/**
 * A copy of a whole store, page by page, as it was at one moment. Others may read and write the store meanwhile.
 *
 * Follows https://sqlite.org/backup.html. A copy that others' writes started again would never end, so one transaction
 * holds the moment. The WAL can't be emptied until the copy is made; it grows by what is written meanwhile.
 */

import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, StoreFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { makePrivate } from './file-mode.ts';
import { openUnchanged } from './schema.ts';
import { type Connection, Database } from './sqlite.ts';

export type BackupOptions = {
  /** The store. */
  readonly from: string;
  /** The copy. A file of this name is replaced when the copy is whole and on the disk. */
  readonly to: string;
  /** Whether SQLite looks for damage in the copy before it takes its place. */
  readonly isChecked: boolean;
  readonly onProgress: (done: { readonly bytes: number; readonly total: number }) => void;
  readonly signal: AbortSignal;
};

/** Copied in one go, 4 MiB: often enough for a progress bar and for Ctrl-C. */
const PAGES_PER_STEP = 256;

/** What a copy is called until it is whole. */
export const UNFINISHED_SUFFIX = '.unfinished';

/**
 * @returns bytes of the copy, or undefined if `signal` stopped it; nothing is left of it then
 * @throws {StoreFailed} `from` is no store of ours; `to` can't be written; damage was found
 */
export async function copyStore(options: BackupOptions): Promise<number | undefined> {
  const unfinished = `${options.to}${UNFINISHED_SUFFIX}`;
  const source = openUnchanged(options.from);
  try {
    removeDatabase(unfinished);
    makePrivate(unfinished);
    const bytes = await copyPages(source, unfinished, options);
    if (bytes === undefined) return undefined;
    if (options.isChecked) refuseDamage(unfinished, options.from);
    // Of another database: SQLite would write what it holds into the copy.
    removeBeside(options.to);
    renameSync(unfinished, options.to);
    syncDirectory(dirname(options.to));
    return bytes;
  } catch (error) {
    if (error instanceof StoreFailed) throw error;
    throw new StoreFailed(
      `cannot copy store ${quote(options.from)} to ${quote(options.to)}: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  } finally {
    source.close();
    removeDatabase(unfinished);
  }
}

async function copyPages(
  source: Connection,
  to: string,
  { onProgress, signal }: BackupOptions,
): Promise<number | undefined> {
  const pageBytes = Number(source.pragma('page_size', { simple: true }));
  source.exec('BEGIN');
  source.pragma('schema_version'); // A transaction holds its moment from its first read on.
  let pages = 0;
  try {
    await source.backup(to, {
      progress: ({ totalPages, remainingPages }) => {
        if (signal.aborted) throw new Stopped();
        pages = totalPages;
        onProgress({ bytes: (totalPages - remainingPages) * pageBytes, total: totalPages * pageBytes });
        return PAGES_PER_STEP;
      },
    });
  } catch (error) {
    if (error instanceof Stopped) return undefined;
    throw error;
  }
  return pages * pageBytes;
}

class Stopped extends Error {}

/** @throws {StoreFailed} the file is damaged: `from`, of which it is a copy, is too */
function refuseDamage(path: string, from: string): void {
  const db = new Database(path, { readonly: true, fileMustExist: true });
  try {
    const found = db.pragma('quick_check(1)', { simple: true });
    if (found !== 'ok') throw new StoreFailed(`cannot use ${quote(from)}: it is damaged: ${String(found)}`);
  } finally {
    db.close();
  }
}

function removeDatabase(path: string): void {
  rmSync(path, { force: true });
  removeBeside(path);
}

function removeBeside(path: string): void {
  for (const suffix of ['-wal', '-shm', '-journal']) rmSync(`${path}${suffix}`, { force: true });
}

/** A rename is on the disk when its directory is. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
