/**
 * Reads what the `go` command writes to its cache program: JSON lines, each put's body behind it as one line of base64.
 *
 * A body may have 100 MB and more, so it is decoded as it comes and never held. Empty lines are skipped.
 * Follows cmd/go/internal/cacheprog and cmd/go/internal/cache/prog.go.
 */

import { quote } from '../core/quote.ts';
import { PLUGIN_LINE_BYTES_MAX } from './limits.ts';
import type { CommandName } from './session-name.ts';
import { NAME_COMMAND, readName } from './told-name.ts';

/** IDs are lower-case hex; empty where the request has none. */
export type CacheRequest = {
  readonly id: number;
  readonly command: string;
  readonly actionId: string;
  readonly outputId: string;
  readonly bodySize: number;
  /** Of the request that names the command. */
  readonly name?: CommandName | undefined;
};

/** Takes requests in the order of their lines. A body's pieces come before the next request. */
export type RequestSink = {
  readonly onRequest: (request: CacheRequest) => void;
  /** A part of the last request's body, the sink's own from now on. */
  readonly onBody: (bytes: Buffer) => void;
  readonly onBodyEnd: () => void;
};

export class RequestReader {
  readonly #sink: RequestSink;
  #state: 'line' | 'before body' | 'body' = 'line';
  /** The start of a line, or up to three characters of base64, that wait for the rest. */
  #rest: Buffer = EMPTY;

  constructor(sink: RequestSink) {
    this.#sink = sink;
  }

  /** @throws {Error} what `go` never writes: nothing that follows can be understood */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === 'line') at = this.#readLine(bytes, at);
      else if (this.#state === 'body') at = this.#readBody(bytes, at);
      else at = this.#readQuote(bytes, at);
    }
  }

  #readLine(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(NEWLINE, at);
    const part = bytes.subarray(at, end < 0 ? bytes.length : end);
    const line = this.#rest.length === 0 ? part : Buffer.concat([this.#rest, part]);
    if (line.length > PLUGIN_LINE_BYTES_MAX) throw new Error('cannot read request: line too long');
    if (end < 0) {
      this.#rest = Buffer.from(line); // A copy: the stream may use its buffer again.
      return bytes.length;
    }
    this.#rest = EMPTY;
    const text = line.toString().trim();
    if (text === '') return end + 1;
    const request = parseRequest(text);
    this.#sink.onRequest(request);
    if (request.command === 'put') {
      if (request.bodySize > 0) this.#state = 'before body';
      else this.#sink.onBodyEnd();
    }
    return end + 1;
  }

  #readQuote(bytes: Buffer, at: number): number {
    const byte = bytes[at];
    if (byte === QUOTE) this.#state = 'body';
    else if (byte !== NEWLINE && byte !== 0x0d && byte !== 0x20)
      throw new Error('cannot read body: no string');
    return at + 1;
  }

  #readBody(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(QUOTE, at);
    const part = bytes.subarray(at, end < 0 ? bytes.length : end);
    const text = this.#rest.length === 0 ? part : Buffer.concat([this.#rest, part]);
    const whole = end < 0 ? text.length - (text.length % 4) : text.length;
    this.#rest = Buffer.from(text.subarray(whole));
    if (whole > 0) this.#sink.onBody(Buffer.from(text.toString('latin1', 0, whole), 'base64'));
    if (end < 0) return bytes.length;
    this.#state = 'line';
    this.#sink.onBodyEnd();
    return end + 1;
  }
}

const EMPTY = Buffer.alloc(0);
const NEWLINE = 0x0a;
const QUOTE = 0x22;

function parseRequest(text: string): CacheRequest {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error('cannot read request: no object');
  const fields = value as Readonly<Record<string, unknown>>;
  const { ID: id, Command: command, BodySize: bodySize = 0 } = fields;
  if (typeof id !== 'number' || typeof command !== 'string' || !isSize(bodySize)) {
    throw new Error(`cannot read request: ${quote(text.slice(0, 200))}`);
  }
  // Toolchains before 1.24 say ObjectID.
  const outputId = toHex(fields.OutputID ?? fields.ObjectID);
  const request = { id, command, actionId: toHex(fields.ActionID), outputId, bodySize };
  return command === NAME_COMMAND ? { ...request, name: readName(fields) } : request;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function toHex(base64: unknown): string {
  return typeof base64 === 'string' ? Buffer.from(base64, 'base64').toString('hex') : '';
}
