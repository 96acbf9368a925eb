/**
 * A failure that a new try may mend. It never leaves this room: after the last try {@link finalError} makes a Busy,
 * UpstreamDown or UpstreamFailed of it.
 */

import { Busy, messageOf, UpstreamDown, UpstreamFailed } from '../core/errors.ts';
import { cannotFetch, oneLine } from './redact.ts';

/**
 * - `connect`: no connection: refused, unreachable, no such name, time-out.
 * - `silence`: connected, then no answer within the time that the request had.
 * - `stall`: an answer, then no byte of its body, or next to none, for too long.
 * - `slow`: a small file whose bytes come, but too slowly to be waited for.
 * - `cut`: the connection broke, or the body ended early.
 * - `answer`: a status that says "later": 429, 502, 503, 504.
 * - `local`: this machine has no descriptor, port or memory left for a connection; the upstream is not to blame.
 * - `refused`: not tried, since the upstream is down and another request is probing it.
 */
export type SetbackKind = 'connect' | 'silence' | 'stall' | 'slow' | 'cut' | 'answer' | 'local' | 'refused';

export class Setback extends Error {
  override readonly name = 'Setback';
  readonly kind: SetbackKind;
  /** The upstream's Retry-After, if it sent one. */
  readonly retryAfterMs: number;

  constructor(kind: SetbackKind, message: string, retryAfterMs = 0) {
    super(message);
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The error for the caller when no try is left. */
export function finalError(
  setback: Setback,
  path: string,
  upstream: string,
): Busy | UpstreamDown | UpstreamFailed {
  const message = cannotFetch(path, upstream, setback.message);
  if (setback.kind === 'local') return new Busy(message);
  return OUT_OF_REACH.has(setback.kind) ? new UpstreamDown(message) : new UpstreamFailed(message);
}

const OUT_OF_REACH: ReadonlySet<SetbackKind> = new Set(['connect', 'silence', 'stall', 'slow', 'refused']);

const UNTRUSTED = 'its certificate is not trusted here: name its CA in SSL_CERT_FILE';

const NO_FILES = 'out of file descriptors here: raise the limit of open files (LimitNOFILE)';

const byCode: Record<string, string> = {
  EADDRNOTAVAIL: 'out of ports here',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
  EMFILE: NO_FILES,
  ENETUNREACH: 'network unreachable',
  ENFILE: NO_FILES,
  ENOBUFS: 'out of memory for connections here',
  ENOMEM: 'out of memory here',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'name lookup failed',
  EPIPE: 'connection closed',
  ETIMEDOUT: 'connection timed out',
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UND_ERR_SOCKET: 'connection closed in the middle',
  UND_ERR_CONNECT_TIMEOUT: 'connection timed out',
};

/** An error of undici or of the socket, as a setback. `isConnected`: the request was on its way. */
export function setbackOf(error: unknown, isConnected: boolean): Setback {
  const kind = isConnected ? 'cut' : 'connect';
  return new Setback(isOfThisMachine(error) ? 'local' : kind, reasonOf(error));
}

/** Whether this machine itself lacks something. True on the way through an HTTP proxy too. */
export function isOfThisMachine(error: unknown): boolean {
  if (OWN_LIMITS.has(codeOf(error))) return true;
  return error instanceof Error && OWN_LIMITS.has(codeOf(error.cause));
}

const OWN_LIMITS: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/** An error of undici or of a socket, on one line. */
export function reasonOf(error: unknown): string {
  return byCode[codeOf(error)] ?? oneLine(messageOf(error));
}

/** An error's `code`, or an empty string. An AggregateError (one per address tried) has its first one's. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') return code;
  return error instanceof AggregateError ? codeOf(error.errors[0]) : '';
}
