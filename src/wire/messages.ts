/**
 * The messages between the front thread and the workers, derived from the ports of
 * `core/store-port.ts`: one table of calls that both ends share.
 *
 * A message's blob is its field `bytes`; see `wire/frame.ts` for how it travels.
 */

import type { ErrorKind } from '../core/errors.ts';
import type { BuilderPort, FileBuilderPort, ReaderPort, WriterPort } from '../core/store-port.ts';

export type Calls = ReaderPort & WriterPort & BuilderPort & FileBuilderPort;
export type CallName = keyof Calls;

/** One call as it is sent. */
export type Request = { readonly call: CallName; readonly args: { bytes?: Uint8Array } };

/** Whether a call takes as long as a file is large: it is a task of its own, and no transaction holds its reads together. */
export function isLong({ call }: Request): boolean {
  return call === 'writeBlob';
}

/** A failure as it crosses a thread: `instanceof` does not survive a clone. */
export type Failure = { readonly ok: false; readonly kind: ErrorKind; readonly message: string };

/** One call's outcome as it comes back. */
export type Reply = { readonly ok: true; readonly value: { bytes?: Uint8Array } } | Failure;

/** Where a request may carry its blob. */
export function requestCarrier(request: Request): object {
  return request.args;
}

/** Where a reply may carry its blob. */
export function replyCarrier(reply: Reply): object | undefined {
  return reply.ok ? reply.value : undefined;
}
