/** One small file of a tree that anyone may have made: a regular one, and no more of it than it said it has. */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { BadRequest } from '../core/errors.ts';

/** Follows no symbolic link, and waits for no writer of a pipe. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Reads in one go: a small file takes less time than handing it to another thread.
 *
 * @throws {BadRequest} a pipe, a device or a directory; over `bytesMax`; or it gets shorter meanwhile
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
