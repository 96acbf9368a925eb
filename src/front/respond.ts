/**
 * Answers onto the wire: status, headers, body; the only place that knows how uWebSockets sends.
 *
 * A length is sent by `tryEnd`, `end` and `endWithoutBody` alone. After the header an error can
 * only close the socket: its client must not take what it has for the whole.
 */

import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import type { Answer, ByteStream, StoredFile } from '../core/answer.ts';
import { type ErrorKind, httpStatus, isServeError, messageOf } from '../core/errors.ts';
import { WHOLE_BODY_BYTES_MAX } from '../core/limits.ts';
import type { Events } from '../observe/events.ts';
import { answerHead, errorHead, etagOf, FIRST_HEADER, hotHead, statusLine } from './headers.ts';
import { Pump, type PumpEnd, type PumpKeeper } from './pump.ts';
import { matchesTag, parseRange, type Span } from './range.ts';

/** What is copied of a request before its handler returns: uWebSockets takes it back then. */
export class Client {
  readonly res: HttpResponse;
  readonly url: string;
  readonly query: string;
  readonly isHead: boolean;
  readonly ifNoneMatch: string;
  readonly range: string;
  readonly ifRange: string;
  readonly via: string;
  readonly mayFetch: boolean;
  readonly startedMs = performance.now();
  /** The client has gone, or all is sent: `res` must not be touched. */
  isOver = false;
  pump: Pump | undefined;
  /** Set by the server, which counts the clients it still serves. */
  onOver: (() => void) | undefined;

  constructor(res: HttpResponse, req: HttpRequest, url: string, isHead: boolean) {
    this.res = res;
    this.url = url;
    this.query = req.getQuery() ?? '';
    this.isHead = isHead;
    this.ifNoneMatch = req.getHeader('if-none-match');
    this.range = req.getHeader('range');
    this.ifRange = this.range === '' ? '' : req.getHeader('if-range');
    this.via = req.getHeader('via');
    const disable = req.getHeader('disable-module-fetch');
    // The spellings that Go's strconv.ParseBool takes for true.
    this.mayFetch = disable === '' || !/^(?:1|t|true)$/i.test(disable.trim());
  }

  /** All is sent, or nobody is there to send it to. */
  finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onOver?.();
  }
}

export type ResponderOptions = { readonly events: Events; readonly keeper: PumpKeeper };

export class Responder {
  readonly #events: Events;
  readonly #keeper: PumpKeeper;

  constructor({ events, keeper }: ResponderOptions) {
    this.#events = events;
    this.#keeper = keeper;
  }

  /** A file that is in memory as a whole, in the handler itself: no promise, no copy. */
  hot(res: HttpResponse, req: HttpRequest, url: string, file: StoredFile, body: Uint8Array): void {
    const ifNoneMatch = req.getHeader('if-none-match');
    if (ifNoneMatch !== '' || req.getHeader('range') !== '') {
      const client = new Client(res, req, url, false);
      const { kind, status, size, sha256 } = file;
      this.#write(client, { kind, status, size, sha256: sha256 || undefined, origin: 'memory', body });
      return;
    }
    if (file.status !== 200) res.writeStatus(statusLine[file.status] ?? '404 Not Found');
    res.writeHeader(FIRST_HEADER, hotHead(file));
    res.end(body);
    this.#events.answered(file.kind, file.status, 'memory', 0, url);
  }

  /** Any answer, in a handler or after it. */
  answer(client: Client, answer: Answer): void {
    if (client.isOver) return;
    client.res.cork(() => this.#write(client, answer));
  }

  /** One line of text. `headers` are whole lines, such as `Allow: GET, HEAD`. */
  text(client: Client, code: number, text: string, headers: readonly string[] = [], route = 'other'): void {
    if (client.isOver) return;
    client.res.cork(() => {
      client.res.writeStatus(statusLine[code] ?? String(code));
      const length = client.isHead ? [`Content-Length: ${Buffer.byteLength(text)}`] : [];
      client.res.writeHeader(FIRST_HEADER, [errorHead(), ...headers, ...length].join('\r\n'));
      if (client.isHead) client.res.endWithoutBody();
      else client.res.end(text);
    });
    client.finish();
    this.#count(client, route, code, 'none');
  }

  /** A file made for this client alone, of no kind that a GOPROXY has. */
  bytes(client: Client, bytes: Uint8Array, route: string): void {
    if (client.isOver) return;
    client.res.cork(() => {
      const length = client.isHead ? `\r\nContent-Length: ${bytes.byteLength}` : '';
      client.res.writeHeader(FIRST_HEADER, `application/octet-stream\r\nCache-Control: no-store${length}`);
      if (client.isHead) client.res.endWithoutBody();
      else client.res.end(bytes);
    });
    client.finish();
    this.#count(client, route, 200, 'none');
  }

  /** Whatever a service threw. */
  error(client: Client, error: unknown, route: string): void {
    if (!isServeError(error)) {
      this.#events.bug(client.url, error);
      this.text(client, 500, 'astera: internal error\n', [], route);
      return;
    }
    const headers = error.kind === 'busy' ? ['Retry-After: 1'] : [];
    this.text(client, httpStatus[error.kind as ErrorKind], `${clientText(error)}\n`, headers, route);
  }

  #write(client: Client, answer: Answer): void {
    const { res } = client;
    const { status, size, sha256, body } = answer;
    const isTagged = sha256 !== undefined && status === 200;
    if (isTagged && client.ifNoneMatch !== '' && matchesTag(client.ifNoneMatch, etagOf(sha256))) {
      this.#head(client, answer, 304);
      res.endWithoutBody();
      this.#over(client, answer, 304);
      return;
    }
    const span = isTagged && size !== undefined ? rangeOf(client, etagOf(sha256), size) : undefined;
    if (span === 'unsatisfiable') {
      res.writeStatus(statusLine[416] ?? '416');
      res.writeHeader(FIRST_HEADER, `${errorHead()}\r\nContent-Range: bytes */${size}`);
      res.end('cannot give that range: it begins behind the end\n');
      this.#over(client, answer, 416);
      return;
    }
    const code = span === undefined ? status : 206;
    const lines = span === undefined ? [] : [`Content-Range: bytes ${span.from}-${span.to - 1}/${size}`];
    // Not by endWithoutBody(size): uWebSockets would take the answer for unfinished, and close at the next request.
    if (client.isHead && size !== undefined) lines.push(`Content-Length: ${size}`);
    this.#head(client, answer, code, lines);
    const wanted = span ?? (size === undefined ? undefined : { from: 0, to: size });
    if (client.isHead || body === undefined) {
      res.endWithoutBody();
      this.#over(client, answer, code);
    } else if (body instanceof Uint8Array && body.byteLength <= WHOLE_BODY_BYTES_MAX) {
      // By one `end`: the rest of a longer one uWebSockets would copy if the socket were full.
      res.end(span === undefined ? body : body.subarray(span.from, span.to));
      this.#over(client, answer, code);
    } else {
      this.#pump(client, answer, code, body instanceof Uint8Array ? streamOf(body) : body, wanted);
    }
  }

  #head(client: Client, answer: Answer, code: number, lines: readonly string[] = []): void {
    const { res } = client;
    if (code !== 200) res.writeStatus(statusLine[code] ?? String(code));
    res.writeHeader(FIRST_HEADER, [answerHead(answer), ...lines].join('\r\n'));
  }

  #pump(client: Client, answer: Answer, code: number, body: ByteStream, span: Span | undefined): void {
    const onEnd = (end: PumpEnd) => {
      if (typeof end === 'object') this.#events.brokeOff(client.url, messageOf(end.brokenOff));
      this.#over(client, answer, end === 'sent' ? code : 499);
    };
    client.pump = new Pump({ res: client.res, body, span, keeper: this.#keeper, onEnd });
    client.pump.start();
  }

  #over(client: Client, answer: Answer, code: number): void {
    client.finish();
    this.#count(client, answer.kind, code, answer.origin);
  }

  #count(client: Client, route: string, code: number, source: string): void {
    this.#events.answered(route, code, source, performance.now() - client.startedMs, client.url);
  }
}

function streamOf(bytes: Uint8Array): ByteStream {
  return { size: bytes.byteLength, at: (offset) => bytes.subarray(offset) };
}

function rangeOf(client: Client, etag: string, size: number): Span | 'unsatisfiable' | undefined {
  // Only GET has ranges (RFC 9110, 14.2).
  if (client.isHead || client.range === '' || (client.ifRange !== '' && client.ifRange !== etag))
    return undefined;
  return parseRange(client.range, size);
}

/** One line of graphic ASCII, short enough that `go` shows it (648 bytes, PROTOCOL 3b). */
function clientText(error: Error): string {
  return messageOf(error)
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 600);
}
