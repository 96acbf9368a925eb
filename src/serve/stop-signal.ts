/**
 * Signals: SIGTERM and SIGINT, for work that ends in order, and those that a server outlives. A second SIGTERM or SIGINT
 * ends the process at once, as ever. SIGUSR1, by which Node opens its debugger to all of the machine, `bin/astera` turns off.
 */

import { isatty } from 'node:tty';

/** Aborted when the process is told to stop. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = () => controller.abort();
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  return controller.signal;
}

/**
 * As {@link stopSignal}, for a server, which SIGHUP and SIGUSR2 do not end. A server whose terminal has gone stops too,
 * as nobody could press Ctrl-C any more.
 */
export function serverStopSignal(): AbortSignal {
  const controller = new AbortController();
  const hasTerminal = () => [0, 1, 2].some((fd) => isatty(fd));
  const hadTerminal = hasTerminal();
  process.on('SIGUSR2', () => {});
  process.on('SIGHUP', () => {
    if (hadTerminal && !hasTerminal()) controller.abort();
  });
  return AbortSignal.any([stopSignal(), controller.signal]);
}

/** Calls `handler` at each SIGHUP, for what can be read anew while the process runs. */
export function onHangup(handler: () => void): void {
  process.on('SIGHUP', handler);
}

/** Resolves when `signal` is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
