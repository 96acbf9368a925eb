/**
 * The messages between the front and a builder thread that makes a zip out of Git, over a port of their own.
 *
 *     front ──order, port──▶ builder      as a task
 *       ◀──started, bytes, … , end──┤     each piece is moved
 *       ├──taken, for each piece────▶     PIECES_AHEAD are under way at most
 *
 * Closing the port ends the work. A thread that dies says no end; its task fails.
 */

import type { MessagePort } from 'node:worker_threads';
import { type ErrorKind, isServeError, serveError } from '../core/errors.ts';
import type { ZipOrder } from '../git/build-zip.ts';
import { GitFailed } from '../git/git-command.ts';

export type ZipTask = { readonly order: ZipOrder; readonly port: MessagePort };

export type ZipMail =
  | { readonly kind: 'started'; readonly processGroup: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'end'; readonly failure: ZipFailure | undefined };

type ZipFailure =
  | { readonly of: 'serve'; readonly kind: ErrorKind; readonly message: string }
  | { readonly of: 'git'; readonly message: string; readonly how: GitHow };

type GitHow = Pick<GitFailed, 'reason' | 'exitCode' | 'words' | 'isOutside'>;

/** At half, a builder waits for each commit; at double, forty zips hold 40 MB. */
export const PIECES_AHEAD = 2;

/** The failure as it crosses threads; throws again what is a bug. */
export function zipFailure(error: unknown): ZipFailure {
  if (isServeError(error)) return { of: 'serve', kind: error.kind, message: error.message };
  if (!(error instanceof GitFailed)) throw error;
  const { message, reason, exitCode, words, isOutside } = error;
  return { of: 'git', message, how: { reason, exitCode, words, isOutside } };
}

export function errorOf(failure: ZipFailure): Error {
  return failure.of === 'serve'
    ? serveError(failure.kind, failure.message)
    : new GitFailed(failure.message, failure.how);
}
