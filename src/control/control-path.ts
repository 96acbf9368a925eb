/** The path of a store's control socket. Knows no listener. */

import { relative } from 'node:path';
import { StoreFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/**
 * `<db>.sock`, written the shorter way, absolute or from the working directory: the kernel takes few bytes.
 *
 * @throws {StoreFailed} too long either way
 */
export function controlPath(dbPath: string): string {
  const absolute = `${dbPath}.sock`;
  const near = relative('.', absolute);
  const path = Buffer.byteLength(near) < Buffer.byteLength(absolute) ? near : absolute;
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  throw new StoreFailed(
    `cannot use control socket ${quote(absolute)}: over ${SOCKET_PATH_BYTES_MAX} bytes; start Astera in the store's directory`,
  );
}

/** `sun_path` has 108 bytes on Linux and 104 elsewhere, one for the end. */
const SOCKET_PATH_BYTES_MAX = 103;
