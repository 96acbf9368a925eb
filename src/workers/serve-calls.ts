/**
 * A worker's side of a task: unpack the frame, run its calls, pack the replies.
 *
 * A ServeError, or SQLite's own failure, is the reply of its call. Anything else is
 * a bug and is thrown, so that the whole task fails and is logged by the front.
 */

import { isServeError } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { quote } from '../core/quote.ts';
import { type Frame, packFrame, transferListOf, unpackFrame } from '../wire/frame.ts';
import { type Calls, type Reply, type Request, replyCarrier, requestCarrier } from '../wire/messages.ts';
import { move, transferableSymbol, valueSymbol } from './piscina.ts';

/** A worker's handlers, by the names that come in frames. */
export type HandlerTable = Partial<Calls>;

export function unpackRequests(frame: Frame): Request[] {
  return unpackFrame<Request>(frame, requestCarrier);
}

/** The replies as Piscina moves them: none of their larger values is copied. */
export function packReplies(replies: Reply[]): unknown {
  const frame = packFrame(replies, replyCarrier);
  // Piscina takes a list of what to move here, which its types don't say.
  return move({ [transferableSymbol]: transferListOf(frame), [valueSymbol]: frame } as never);
}

/** Gives the requests' bytes back. */
export function freeRequests(requests: readonly Request[]): void {
  for (const { args } of requests) if (args.bytes !== undefined) freeBytes(args.bytes);
}

/** Runs one call. */
export function runCall(handlers: HandlerTable, request: Request): Reply {
  try {
    return { ok: true, value: invoke(handlers, request) };
  } catch (error) {
    return failureOf(error);
  }
}

/** The reply that says `error`; throws it again where it is a bug. */
export function failureOf(error: unknown): Reply {
  if (isServeError(error)) return { ok: false, kind: error.kind, message: error.message };
  if (!(error instanceof Error)) throw error;
  const { code } = error as { code?: unknown };
  if (typeof code !== 'string' || !code.startsWith('SQLITE_')) throw error;
  return { ok: false, kind: 'store-failed', message: `cannot use store: ${code}: ${error.message}` };
}

function invoke(handlers: HandlerTable, { call, args }: Request): object {
  const handler = handlers[call];
  if (handler === undefined) throw new Error(`cannot run call: no handler for ${quote(call)}`);
  // The frame was packed from the same table: `args` is what this handler takes.
  return handler(args as never);
}
