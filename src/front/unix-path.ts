/**
 * Finds out whether a path is free for a Unix socket. uWebSockets removes any file there before it listens: the socket of a
 * running server, or a file that somebody needs.
 */

import { lstatSync } from 'node:fs';
import { connect } from 'node:net';

/** Whether nothing is there, or only the socket of a server that has ended. */
export async function isFreeUnixPath(path: string): Promise<boolean> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return true;
  return stats.isSocket() && (await isRefused(path));
}

function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (isGone: boolean) => {
      socket.destroy();
      resolve(isGone);
    };
    socket.once('connect', () => settle(false));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code === 'ECONNREFUSED'));
  });
}
