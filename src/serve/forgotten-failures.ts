/**
 * Failures of `core/errors.ts` that nobody waits for. By default, Node ends the process at the first one, and with it all answers
 * under way. Such a failure is of an upstream, a disk or a client, and leaves nothing half done. So the log tells of it, and
 * the server goes on. Any other error ends the process as before: nobody knows what it has left behind.
 */

import { isServeError, type ServeError } from '../core/errors.ts';

/** @returns a function that ends the watch */
export function watchForgotten(onForgotten: (error: ServeError) => void): () => void {
  const listener = (reason: unknown) => {
    if (!isServeError(reason)) throw reason;
    onForgotten(reason);
  };
  process.on('unhandledRejection', listener);
  return () => process.off('unhandledRejection', listener);
}
