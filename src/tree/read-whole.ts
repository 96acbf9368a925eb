/**
 * Reads one small file of a tree that may be hostile. Only regular files are read, and no more bytes than their size.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { BadRequest } from '../core/errors.ts';

/** Flags for open: no symbolic link is followed, and no pipe is waited for. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Reads a file synchronously: for a small file this is faster than a call to another thread.
 *
 * @throws {BadRequest} a pipe, a device or a directory; over `bytesMax`; or the file gets shorter meanwhile
 */
export function readWhole(path: string, bytesMax: number): Uint8Array {
  const file = openSync(path, READ_FLAGS);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw new BadRequest('not a regular file');
    if (stats.size > bytesMax) throw new BadRequest(`${stats.size} bytes: over ${bytesMax}`);
    const bytes = Buffer.allocUnsafeSlow(stats.size);
    for (let filled = 0; filled < bytes.byteLength; ) {
      const read = readSync(file, bytes, filled, bytes.byteLength - filled, filled);
      if (read === 0) throw new BadRequest(`it ends at ${filled}: it changes while it is read`);
      filled += read;
    }
    return bytes;
  } finally {
    closeSync(file);
  }
}
