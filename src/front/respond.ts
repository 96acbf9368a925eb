/**
 * Sends answers: status, headers, body. No other file knows how uWebSockets sends.
 *
 * Only `tryEnd`, `end` and `endWithoutBody` send a length. After the headers an error can only close the socket, so that
 * the client does not take a part for the whole.
 */

import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import type { Answer, ByteStream, StoredFile } from '../core/answer.ts';
import { type ErrorKind, httpStatus, isServeError, messageOf } from '../core/errors.ts';
import { WHOLE_BODY_BYTES_MAX } from '../core/limits.ts';
import type { Events } from '../observe/events.ts';
import { Client } from './client.ts';
import {
  answerHead,
  errorHead,
  etagOf,
  FIRST_HEADER,
  hotHead,
  ownHead,
  type PageFile,
  pageHead,
  statusLine,
} from './headers.ts';
import { Pump, type PumpEnd, type PumpKeeper } from './pump.ts';
import { matchesTag, parseRange, type Span } from './range.ts';

/** `headers` are whole lines, such as `Allow: GET, HEAD`; `route` is its name in metrics. */
export type TextManners = { readonly headers?: readonly string[]; readonly route?: string };

export type ResponderOptions = {
  readonly events: Events;
  readonly keeper: PumpKeeper;
  /** Whether the store takes files from outside. */
  readonly isStoring: () => boolean;
};

export class Responder {
  readonly #events: Events;
  readonly #keeper: PumpKeeper;
  readonly #isStoring: () => boolean;

  constructor({ events, keeper, isStoring }: ResponderOptions) {
    this.#events = events;
    this.#keeper = keeper;
    this.#isStoring = isStoring;
  }

  /** A file that is in memory as a whole, in the handler itself: no promise, no copy. */
  hot(res: HttpResponse, req: HttpRequest, url: string, file: StoredFile, body: Uint8Array): void {
    const ifNoneMatch = req.getHeader('if-none-match');
    if (ifNoneMatch !== '' || req.getHeader('range') !== '') {
      const client = new Client(res, req, { url, method: 'GET' });
      client.visibility = file.visibility;
      const { kind, status, size, isTentative } = file;
      const sha256 = file.sha256 || undefined;
      this.#write(client, { kind, status, size, sha256, isTentative, origin: 'memory', body });
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

  /** A text that was made for this client alone. */
  text(
    client: Client,
    code: number,
    text: string,
    { headers = [], route = 'other' }: TextManners = {},
  ): void {
    if (client.isOver) return;
    this.#own(client, code, Buffer.from(text), [errorHead(), ...headers]);
    this.#count(client, route, code, 'none');
  }

  /** Figures that were made for this client alone. */
  json(client: Client, value: object, route: string): void {
    if (client.isOver) return;
    this.#own(client, 200, Buffer.from(JSON.stringify(value)), [ownHead('application/json')]);
    this.#count(client, route, 200, 'none');
  }

  /** A file of the status page. Browsers keep it, and ask each time whether it is still the same. */
  page(client: Client, file: PageFile, route: string): void {
    if (client.isOver) return;
    const etag = etagOf(file.sha256);
    if (client.ifNoneMatch !== '' && matchesTag(client.ifNoneMatch, etag)) {
      client.res.cork(() => {
        client.res.writeStatus(statusLine[304] ?? '304');
        client.res.writeHeader(FIRST_HEADER, pageHead(file));
        client.res.endWithoutBody();
      });
      client.finish();
      this.#count(client, route, 304, 'none');
      return;
    }
    this.#own(client, 200, file.body, [pageHead(file)]);
    this.#count(client, route, 200, 'none');
  }

  /** A file that was made for this client alone, of no kind that a GOPROXY has. */
  bytes(client: Client, bytes: Uint8Array, route: string): void {
    if (client.isOver) return;
    this.#own(client, 200, bytes, [ownHead('application/octet-stream')]);
    this.#count(client, route, 200, 'none');
  }

  /** The answer to an error of a service. */
  error(client: Client, error: unknown, route: string): void {
    if (!isServeError(error)) {
      this.#events.bug(client.url, error);
      this.text(client, 500, 'astera: internal error\n', { route });
      return;
    }
    const headers = errorHeaders[error.kind] ?? [];
    this.text(client, httpStatus[error.kind], `${clientText(error)}\n`, { headers, route });
  }

  /** Sends a body that no cache and no range knows, and ends the request. */
  #own(client: Client, code: number, body: Uint8Array, lines: readonly string[]): void {
    const { res, isHead, mustClose } = client;
    res.cork(() => {
      if (code !== 200) res.writeStatus(statusLine[code] ?? String(code));
      // Not by endWithoutBody(length): uWebSockets would take the answer for unfinished, and close at the next request.
      const length = isHead && !mustClose ? [`Content-Length: ${body.byteLength}`] : [];
      res.writeHeader(FIRST_HEADER, [...lines, ...length].join('\r\n'));
      if (!isHead) res.end(body, mustClose);
      else if (mustClose) res.endWithoutBody(body.byteLength, true);
      else res.endWithoutBody();
    });
    client.finish();
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
    const lines = [...(answer.lines ?? [])];
    if (span !== undefined) lines.push(`Content-Range: bytes ${span.from}-${span.to - 1}/${size}`);
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
    const head = answerHead(answer, client.visibility, this.#isStoring());
    res.writeHeader(FIRST_HEADER, [head, ...lines].join('\r\n'));
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

/** Lines that an error brings with it. */
const errorHeaders: Partial<Record<ErrorKind, readonly string[]>> = {
  busy: ['Retry-After: 1'],
  // The scheme that `.netrc` and GOAUTH send; RFC 9110 wants the line with every 401.
  unauthorized: ['WWW-Authenticate: Basic realm="astera", charset="UTF-8"'],
};

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
