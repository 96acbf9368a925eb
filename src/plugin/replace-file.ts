/** Small files that another process may read at any time: they come by rename, whole or not at all. */

import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Puts a file in the place of what is there, and makes its directory.
 *
 * @param mtimeMs the file's time; undefined: now
 * @returns false where it can't be written, or where Windows does not replace a file that somebody has open
 */
export function replaceFile(path: string, content: string | Uint8Array, mtimeMs?: number): boolean {
  const temporary = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, content);
    if (mtimeMs !== undefined) utimesSync(temporary, mtimeMs / 1000, mtimeMs / 1000);
    renameSync(temporary, path);
    return true;
  } catch {
    removeQuietly(temporary);
    return false;
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // A later trim takes it.
  }
}
