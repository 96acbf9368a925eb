/**
 * The messages between the front thread and the workers. Both ends derive their calls from the ports of
 * `core/store-port.ts`.
 *
 * A message may carry bytes in its field `bytes`; `wire/frame.ts` says how they travel.
 */

import type { ErrorKind } from '../core/errors.ts';
import type { BuilderPort, FileBuilderPort, ReaderPort, WriterPort } from '../core/store-port.ts';

export type Calls = ReaderPort & WriterPort & BuilderPort & FileBuilderPort;
export type CallName = keyof Calls;

/** One call, as it is sent to a worker. */
export type Request = { readonly call: CallName; readonly args: { bytes?: Uint8Array } };

/** Whether a call's time grows with a file's size. Such a call is a task of its own, outside any transaction. */
export function isLong({ call }: Request): boolean {
  return call === 'writeBlob';
}

/** A failure, as it crosses a thread. An error's class does not survive a structured clone, so its kind is sent. */
export type Failure = { readonly ok: false; readonly kind: ErrorKind; readonly message: string };

/** The outcome of one call. */
export type Reply = { readonly ok: true; readonly value: { bytes?: Uint8Array } } | Failure;

/** The object of a request that may hold `bytes`. */
export function requestCarrier(request: Request): object {
  return request.args;
}

/** The object of a reply that may hold `bytes`. */
export function replyCarrier(reply: Reply): object | undefined {
  return reply.ok ? reply.value : undefined;
}
