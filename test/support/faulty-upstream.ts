/**
 * An upstream proxy on loopback that does all that upstreams and poor lines do: cuts, stalls,
 * trickles, errors, wrong lengths, ignored ranges. Counts what it is asked and what it sends.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

/** A value, or one that depends on how often the file has been asked for before (0 the first time). */
type PerRequest<T> = T | ((nth: number) => T);

export type FaultyFile = {
  readonly bytes?: PerRequest<Uint8Array>;
  readonly etag?: PerRequest<string | undefined>;
  readonly lastModified?: PerRequest<string>;
  /** Default `honour`. `shifted`: answers from one byte later than asked. `unconditional`: ignores If-Range. */
  readonly range?: PerRequest<'honour' | 'ignore' | 'shifted' | 'unconditional'>;
  /** What a 206 says of where its part lies; default: what is true. `at` is its first byte, `size` the file's. */
  readonly contentRange?: (at: number, size: number) => string;
  /** The most bytes of one 206. */
  readonly partBytesMax?: number;
  /** The connection breaks after so many bytes of a body. */
  readonly cutAfter?: PerRequest<number | undefined>;
  /** How it breaks. Default `end`: a clean FIN. */
  readonly cutBy?: 'end' | 'reset';
  /** No byte comes after so many of a body, and the connection stays. */
  readonly stallAfter?: PerRequest<number | undefined>;
  /** Nothing comes at all, not even a head. */
  readonly isSilent?: PerRequest<boolean>;
  /** Connection closed without a head. */
  readonly isHungUp?: PerRequest<boolean>;
  /** Written in pieces of so many bytes, each in a turn of its own. */
  readonly pieceBytes?: number;
  /** Waited between two pieces: a trickle. */
  readonly pauseMs?: number;
  /** No Content-Length. */
  readonly isChunked?: boolean;
  /** Neither a length nor chunks: the body ends with its connection, as in HTTP/1.0. */
  readonly isUntilClose?: boolean;
  /** Content-Length (or, in a 206, the body) is off by so many bytes. */
  readonly lengthOff?: number;
  readonly isGzipped?: boolean;
  readonly type?: string;
  /** Default 200. With another one `text` is sent instead of `bytes`. */
  readonly status?: PerRequest<number>;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

export type SeenRequest = {
  readonly method: string;
  /** As it was on the wire. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
};

export class FaultyUpstream {
  /** All requests so far, in order. */
  readonly seen: SeenRequest[] = [];
  /** Bytes of bodies handed to sockets, without heads. */
  bytesSent = 0;
  /** TCP connections taken so far. */
  connections = 0;
  /** Answers for paths that have no file of their own. */
  fallback: (path: string) => FaultyFile | undefined = () => undefined;
  readonly #files = new Map<string, FaultyFile>();
  readonly #asked = new Map<string, number>();
  readonly #server: Server;
  #answering = 0;
  #waiters: { readonly isTrue: () => boolean; readonly resolve: () => void }[] = [];

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('connection', () => {
      this.connections += 1;
    });
  }

  static async start(port = 0): Promise<FaultyUpstream> {
    const upstream = new FaultyUpstream();
    await new Promise<void>((resolve, reject) => {
      upstream.#server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    return upstream;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** @param path decoded, without leading slash */
  serve(path: string, file: FaultyFile): void {
    this.#files.set(path, file);
    this.#asked.delete(path);
  }

  /** Requests for one decoded path. */
  requestsFor(path: string): SeenRequest[] {
    return this.seen.filter(({ url }) => decoded(url) === path);
  }

  /** Until so many requests have come in all. */
  asked(count: number): Promise<void> {
    return this.#until(() => this.seen.length >= count);
  }

  /** Until so many requests for one decoded path have come. */
  askedFor(path: string, count: number): Promise<void> {
    return this.#until(() => this.requestsFor(path).length >= count);
  }

  /** Until no answer is on its way: all are ended, or their clients have gone. */
  idle(): Promise<void> {
    return this.#until(() => this.#answering === 0);
  }

  /** Until no byte has gone out for a while: the client does not read. */
  stuck(): Promise<void> {
    return new Promise((resolve) => {
      let before = -1;
      const timer = setInterval(() => {
        if (before === this.bytesSent) {
          clearInterval(timer);
          resolve();
        }
        before = this.bytesSent;
      }, 100);
    });
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? '/';
    this.seen.push({ method: request.method ?? '', url, headers: request.headers });
    const path = decoded(url);
    const nth = this.#asked.get(path) ?? 0;
    this.#asked.set(path, nth + 1);
    const file = this.#files.get(path) ?? this.fallback(path) ?? { status: 404, text: `not found: ${path}` };
    response.on('error', () => {});
    this.#answering += 1;
    response.on('close', () => {
      this.#answering -= 1;
      this.#changed();
    });
    this.#changed();
    if (at(file.isSilent, nth)) return;
    if (at(file.isHungUp, nth)) request.socket.destroy();
    else this.#send(new Answering(file, nth, request), response);
  }

  #until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ isTrue, resolve });
      this.#changed();
    });
  }

  #changed(): void {
    this.#waiters = this.#waiters.filter(({ isTrue, resolve }) => {
      if (isTrue()) resolve();
      else return true;
      return false;
    });
  }

  async #send(answer: Answering, response: ServerResponse): Promise<void> {
    const { status, headers, body, file, nth } = answer;
    if (file.isUntilClose) {
      response.shouldKeepAlive = false;
      response.useChunkedEncodingByDefault = false;
    }
    response.writeHead(status, headers);
    if (answer.isHead) {
      response.end();
      return;
    }
    const cut = at(file.cutAfter, nth);
    const stall = at(file.stallAfter, nth);
    const sent = body.subarray(0, Math.min(cut ?? Infinity, stall ?? Infinity));
    response.flushHeaders();
    await this.#write(response, sent, { pieceBytes: 65_536, pauseMs: 0, ...file });
    if (cut !== undefined && cut < body.byteLength) breakOff(response, file.cutBy ?? 'end');
    else if (stall === undefined || stall >= body.byteLength) {
      if (answer.isShort) breakOff(response, 'end');
      else response.end();
    }
  }

  async #write(
    response: ServerResponse,
    bytes: Uint8Array,
    { pieceBytes, pauseMs }: { pieceBytes: number; pauseMs: number },
  ): Promise<void> {
    for (let at = 0; at < bytes.byteLength && !response.destroyed; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      await new Promise<void>((resolve) => {
        response.once('close', resolve);
        response.write(piece, () => {
          response.removeListener('close', resolve);
          this.bytesSent += piece.byteLength;
          setImmediate(resolve);
        });
      });
      const isLast = at + pieceBytes >= bytes.byteLength;
      if (pauseMs > 0 && !isLast && !response.destroyed) await delay(pauseMs);
    }
  }
}

/** What one request gets, worked out before a byte is sent. */
class Answering {
  readonly file: FaultyFile;
  readonly nth: number;
  readonly isHead: boolean;
  readonly status: number;
  readonly headers: Record<string, string | number>;
  readonly body: Uint8Array;
  /** Content-Length promises more than there is: only a break can end the body. */
  readonly isShort: boolean;

  constructor(file: FaultyFile, nth: number, request: IncomingMessage) {
    this.file = file;
    this.nth = nth;
    this.isHead = request.method === 'HEAD';
    const plainStatus = at(file.status, nth) ?? 200;
    const plain = plainStatus === 200 ? at(file.bytes, nth) : undefined;
    const all = encoded(plain ?? Buffer.from(file.text ?? ''), file.isGzipped ?? false);
    const from = plain === undefined ? undefined : rangeStart(file, nth, request);
    this.headers = this.#headers(plain === undefined);
    const off = file.lengthOff ?? 0;
    this.isShort = off > 0;
    if (from === undefined) {
      this.status = plainStatus;
      this.body = all;
    } else if (from >= all.byteLength) {
      this.status = 416;
      this.body = new Uint8Array();
      this.headers['content-range'] = `bytes */${all.byteLength}`;
    } else {
      this.status = 206;
      this.body = all.subarray(from, from + (file.partBytesMax ?? all.byteLength));
      const plain = `bytes ${from}-${from + this.body.byteLength - 1}/${all.byteLength}`;
      this.headers['content-range'] = file.contentRange?.(from, all.byteLength) ?? plain;
    }
    if (!file.isChunked && !file.isUntilClose) this.headers['content-length'] = this.body.byteLength + off;
  }

  #headers(isText: boolean): Record<string, string | number> {
    const { file, nth } = this;
    const headers: Record<string, string | number> = { ...file.headers };
    const etag = at(file.etag, nth);
    const lastModified = at(file.lastModified, nth);
    const type = file.type ?? (isText && file.text !== undefined ? 'text/plain; charset=utf-8' : undefined);
    if (etag !== undefined) headers.etag = etag;
    if (lastModified !== undefined) headers['last-modified'] = lastModified;
    if (type !== undefined) headers['content-type'] = type;
    if (file.isGzipped) headers['content-encoding'] = 'gzip';
    return headers;
  }
}

function rangeStart(file: FaultyFile, nth: number, { headers }: IncomingMessage): number | undefined {
  const mode = at(file.range, nth) ?? 'honour';
  const match = /^bytes=(\d+)-$/.exec(headers.range ?? '');
  if (mode === 'ignore' || match === null) return undefined;
  const condition = headers['if-range'];
  const validators = [at(file.etag, nth), at(file.lastModified, nth)];
  if (mode !== 'unconditional' && condition !== undefined && !validators.includes(String(condition)))
    return undefined;
  return Number(match[1]) + (mode === 'shifted' ? 1 : 0);
}

function breakOff(response: ServerResponse, how: 'end' | 'reset'): void {
  if (how === 'reset') response.socket?.resetAndDestroy();
  else response.socket?.destroy();
}

function encoded(bytes: Uint8Array, isGzipped: boolean): Uint8Array {
  return isGzipped ? gzipSync(bytes) : bytes;
}

function at<T>(value: PerRequest<T> | undefined, nth: number): T | undefined {
  return typeof value === 'function' ? (value as (nth: number) => T)(nth) : value;
}

function decoded(url: string): string {
  return decodeURIComponent(url.replace(/^(?:https?:\/\/[^/]*)?\//, '').replace(/\?.*$/, ''));
}
