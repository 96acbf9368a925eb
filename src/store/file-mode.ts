/**
 * The mode of a store's files: only their owner may open them.
 *
 * Any user who can read a SQLite file can hold a lock on it and so hold up its writer. Where the directory has the
 * set-group-ID bit, somebody gave the files a group on purpose: that group may read.
 */

import { chmodSync, closeSync, constants, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const SET_GROUP_ID = 0o2000;

/** Makes the file at `path` if there is none. SQLite gives a WAL and its index the mode of their database. */
export function makePrivate(path: string): void {
  const mode = modeIn(dirname(path));
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode));
  } catch {
    // It is there already, or SQLite says why it cannot be made.
  }
  for (const file of [path, `${path}-wal`, `${path}-shm`, `${path}-journal`]) takeAway(file, mode);
}

function modeIn(directory: string): number {
  const { mode = 0 } = statSync(directory, { throwIfNoEntry: false }) ?? {};
  return (mode & SET_GROUP_ID) === 0 ? 0o600 : 0o640;
}

function takeAway(file: string, mode: number): void {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isFile() || (stats.mode & 0o777 & ~mode) === 0) return;
  try {
    chmodSync(file, stats.mode & mode);
  } catch {
    // Another user's file: its owner decides.
  }
}
