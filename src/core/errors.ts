/**
 * All failures that a client can cause or see, as one closed union on `kind`.
 *
 * Code switches on `kind`, threads send it and metrics count it. An error outside the union is a bug: its worker dies
 * and the front answers 500. A message is one line of graphic text, as the `go` command shows it to its user
 * (cmd/go/internal/web/http.go prints at most 8 lines of 648 bytes in all).
 */

/** The request is malformed. If it is sent again unchanged, it fails again. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
  readonly kind = 'bad-request';
}

/** The answer needs a login, and none came or not the right one. */
export class Unauthorized extends Error {
  override readonly name = 'Unauthorized';
  readonly kind = 'unauthorized';
}

/** The request's body is longer than its path takes. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
  readonly kind = 'too-large';
}

/** The request is for a host that is not this server: a page of that host may have sent it. */
export class Misdirected extends Error {
  override readonly name = 'Misdirected';
  readonly kind = 'misdirected';
}

/** It is there already, and another one: the first stays. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
  readonly kind = 'conflict';
}

/** A setting forbids the answer, for example for a private module that nobody here may fetch. */
export class Forbidden extends Error {
  override readonly name = 'Forbidden';
  readonly kind = 'forbidden';
}

/** Neither store nor upstream has the file. The `go` command then asks its next proxy. */
export class NotFound extends Error {
  override readonly name = 'NotFound';
  readonly kind = 'not-found';
}

/** The upstream answered 410: the file is gone for good. The `go` command treats it like a 404. */
export class Gone extends Error {
  override readonly name = 'Gone';
  readonly kind = 'gone';
}

/** A named limit is reached. The same request may work after a while. */
export class Busy extends Error {
  override readonly name = 'Busy';
  readonly kind = 'busy';
}

/** An upstream answered with an error, or with another file than the requested one. */
export class UpstreamFailed extends Error {
  override readonly name = 'UpstreamFailed';
  readonly kind = 'upstream-failed';
}

/** No upstream could be reached in time, or it counts as down. */
export class UpstreamDown extends Error {
  override readonly name = 'UpstreamDown';
  readonly kind = 'upstream-down';
}

/** The request came back to us through our own upstream. */
export class Loop extends Error {
  override readonly name = 'Loop';
  readonly kind = 'loop';
}

/** The store failed, as for a full disk or a dead worker. */
export class StoreFailed extends Error {
  override readonly name = 'StoreFailed';
  readonly kind = 'store-failed';
}

/** An upstream's bytes contradict the checksum database, or are malformed. */
export class CheckFailed extends Error {
  override readonly name = 'CheckFailed';
  readonly kind = 'check-failed';
}

export type ServeError =
  | BadRequest
  | Unauthorized
  | TooLarge
  | Misdirected
  | Forbidden
  | Conflict
  | NotFound
  | Gone
  | Busy
  | UpstreamFailed
  | UpstreamDown
  | Loop
  | StoreFailed
  | CheckFailed;

export type ErrorKind = ServeError['kind'];

/** The HTTP status of each kind. After a comma in GOPROXY, Go's client asks the next proxy on 404 and 410 only. */
export const httpStatus = {
  'bad-request': 400,
  unauthorized: 401,
  'too-large': 413,
  misdirected: 421,
  forbidden: 403,
  conflict: 409,
  'not-found': 404,
  gone: 410,
  busy: 503,
  'upstream-failed': 502,
  'upstream-down': 504,
  loop: 508,
  'store-failed': 500,
  'check-failed': 502,
} as const satisfies Record<ErrorKind, number>;

const byKind = {
  'bad-request': BadRequest,
  unauthorized: Unauthorized,
  'too-large': TooLarge,
  misdirected: Misdirected,
  forbidden: Forbidden,
  conflict: Conflict,
  'not-found': NotFound,
  gone: Gone,
  busy: Busy,
  'upstream-failed': UpstreamFailed,
  'upstream-down': UpstreamDown,
  loop: Loop,
  'store-failed': StoreFailed,
  'check-failed': CheckFailed,
} as const satisfies Record<ErrorKind, new (message: string, options?: ErrorOptions) => ServeError>;

/** Whether `error` is one that a client may see. Any other error is a bug. */
export function isServeError(error: unknown): error is ServeError {
  if (!(error instanceof Error)) return false;
  const kind = (error as { kind?: unknown }).kind;
  return typeof kind === 'string' && Object.hasOwn(byKind, kind);
}

/** Rebuilds an error that crossed a thread as `{kind, message}`. */
export function serveError(kind: ErrorKind, message: string): ServeError {
  return new byKind[kind](message);
}

/** The message of any thrown value, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, ' ').trim();
}
