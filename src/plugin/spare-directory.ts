/**
 * The directory that stands in where the cache's own can't be written. One for each user, below the system's temporary
 * directory: `go`, and tools that it named files to, read them after the program has ended, so it stays. The next
 * program that needs one takes the same.
 */

import * as fs from 'node:fs';
import { join } from 'node:path';
import { os } from '../core/node-modules.ts';

/**
 * @returns a directory that only this user can write
 * @throws {Error} where not even the system's temporary directory can be written
 */
export function openSpareDirectory(temporary = os().tmpdir()): string {
  const path = join(temporary, `${NAME}-${process.getuid?.() ?? 'user'}`);
  try {
    fs.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another user may have made it first, to put wrong outputs into it.
    if (!isOurs(path)) return fs.mkdtempSync(`${path}-`);
    fs.accessSync(path, fs.constants.W_OK);
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  return path;
}

/** A link is none of ours, and neither is a directory that others may write. */
function isOurs(path: string): boolean {
  const stats = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isDirectory()) return false;
  const uid = process.getuid?.();
  return uid === undefined || (stats.uid === uid && (stats.mode & 0o077) === 0);
}

const NAME = 'astera-cacheprog';
