/** One client's request: a copy of all that is needed of it. uWebSockets takes the request back when its handler returns. */

import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import {
  type Credentials,
  parseAuthorization,
  splitTokenPath,
  tokenCredentials,
} from '../access/credentials.ts';
import type { Visibility } from '../core/answer.ts';
import { nextVia } from '../core/via.ts';
import { UNREAD_BODY_BYTES_MAX } from './limits.ts';
import type { Pump } from './pump.ts';
import type { RequestBody } from './request-body.ts';
import type { Target } from './target.ts';

export class Client {
  readonly res: HttpResponse;
  /** The path as it came, without the token that it may begin with: it is logged and quoted. */
  readonly url: string;
  /** The login that it brings. */
  readonly credentials: Credentials | undefined;
  readonly query: string;
  /** As it came: methods are case-sensitive (RFC 9110, 9.1). */
  readonly method: string;
  readonly isHead: boolean;
  readonly host: string;
  readonly ifNoneMatch: string;
  readonly range: string;
  readonly ifRange: string;
  readonly via: string;
  readonly mayFetch: boolean;
  /** Length of the body that it announced; Infinity for a chunked one. */
  readonly announcedBytes: number;
  readonly startedMs = performance.now();
  /** The client has gone, or all is sent: `res` must not be touched. */
  isOver = false;
  /** Whether other clients may get its answer. */
  visibility: Visibility = 'public';
  pump: Pump | undefined;
  /** The body of a PUT or POST, where the route takes one. */
  body: RequestBody | undefined;
  /** Set by the server, which counts the clients it still serves. */
  onOver: (() => void) | undefined;

  constructor(res: HttpResponse, req: HttpRequest, { url, method }: { url: string; method: string }) {
    this.res = res;
    const { path, token } = splitTokenPath(url);
    this.url = path;
    this.credentials =
      token === undefined ? parseAuthorization(req.getHeader('authorization')) : tokenCredentials(token);
    this.query = req.getQuery() ?? '';
    this.method = method;
    this.isHead = method === 'HEAD';
    this.host = req.getHeader('host');
    this.ifNoneMatch = req.getHeader('if-none-match');
    this.range = req.getHeader('range');
    this.ifRange = this.range === '' ? '' : req.getHeader('if-range');
    this.via = req.getHeader('via');
    this.announcedBytes = announcedBytes(req);
    const disable = req.getHeader('disable-module-fetch');
    // The spellings that Go's strconv.ParseBool takes for true.
    this.mayFetch = disable === '' || !/^(?:1|t|true)$/i.test(disable.trim());
  }

  /** The body, for a route that takes one. */
  get takenBody(): RequestBody {
    if (this.body === undefined) throw new Error('a route that takes a body got none');
    return this.body;
  }

  /** Whether the connection ends with the answer, as more of the body may come and nobody will read it. */
  get mustClose(): boolean {
    if (this.body !== undefined) return !this.body.isComplete;
    return this.announcedBytes > UNREAD_BODY_BYTES_MAX;
  }

  /**
   * Its address: 4 or 16 bytes; none for a Unix socket. To be asked for before the handler returns, and only if it is
   * needed: uWebSockets asks the kernel each time.
   */
  get address(): Uint8Array {
    return new Uint8Array(this.res.getRemoteAddress());
  }

  /** All is sent, or the client has gone. */
  finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onOver?.();
  }
}

/** Length of a request's body; Infinity if its head does not say it. */
export function announcedBytes(req: HttpRequest): number {
  if (req.getHeader('transfer-encoding') !== '') return Infinity;
  const length = req.getHeader('content-length');
  return length === '' ? 0 : Number(length);
}

/**
 * Whether a request may be passed on to an upstream. Its `Via` is judged here, before any flight, as a loop is the error of
 * this client alone.
 *
 * @param instance this Astera's name in `Via`
 * @throws {Loop} it would go out, and has been here before, or passed too many proxies
 */
export function mayGoOut(client: Client, target: Target, instance: string): boolean {
  const mayFetch = target.mayFetch && client.mayFetch;
  if (mayFetch) nextVia(client.via, instance);
  return mayFetch;
}
