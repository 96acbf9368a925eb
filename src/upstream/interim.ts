/**
 * Takes interim answers, such as `100 Continue`, out of a connection's bytes. undici ends a connection that brings a 100
 * without a request for it; by RFC 9110 (15.2) clients skip it, as the `go` command does.
 */

import type { Socket } from 'node:net';
import { UPSTREAM_INTERIM_BYTES_MAX } from './limits.ts';

/** The beginning of each interim answer but 101, which ends HTTP on its connection. */
const INTERIM = /^HTTP\/1\.[01] 1(?!01)\d\d/;

/** The bytes that show whether an answer is interim. */
const BEGINNING_BYTES = 'HTTP/1.1 100'.length;

/** The place of the status, and its first digit in an interim answer. */
const STATUS_AT = 'HTTP/1.1 '.length;
const ONE = '1'.charCodeAt(0);

/** Reads the heads of one connection's answers. */
export class Interim {
  #isAtHead = false;
  #held = Buffer.alloc(0);
  #skippedBytes = 0;

  /** A request goes out: next comes a head. */
  asked(): void {
    this.#isAtHead = true;
    this.#skippedBytes = 0;
  }

  /**
   * The part of `bytes`, and of the bytes held back before, that belongs to final answers. Undefined: nothing does, or it is
   * not known yet.
   */
  rest(bytes: Buffer): Buffer | undefined {
    if (!this.#isAtHead) return bytes;
    // Nearly every head comes in one go, and is final.
    if (this.#held.byteLength === 0 && bytes.byteLength >= BEGINNING_BYTES && bytes[STATUS_AT] !== ONE) {
      this.#isAtHead = false;
      return bytes;
    }
    let rest = Buffer.concat([this.#held, bytes]);
    this.#held = Buffer.alloc(0);
    for (;;) {
      const beginning = rest.toString('latin1', 0, BEGINNING_BYTES);
      const isBegun = rest.byteLength < BEGINNING_BYTES && 'HTTP/1.'.startsWith(beginning.slice(0, 7));
      const end = rest.indexOf('\r\n\r\n');
      const isInterim = INTERIM.test(beginning);
      if (isBegun || (isInterim && end < 0 && rest.byteLength < UPSTREAM_INTERIM_BYTES_MAX)) {
        this.#held = rest;
        return undefined;
      }
      if (!isInterim || end < 0 || this.#skippedBytes > UPSTREAM_INTERIM_BYTES_MAX) {
        this.#isAtHead = false;
        return rest;
      }
      this.#skippedBytes += end + 4;
      rest = rest.subarray(end + 4);
    }
  }
}

/** Lets `socket` give its reader final answers only. Each write to it is a request. */
export function withoutInterim(socket: Socket): void {
  const interim = new Interim();
  const { write, read } = socket;
  Object.assign(socket, {
    write: (...request: unknown[]): unknown => {
      interim.asked();
      return Reflect.apply(write, socket, request);
    },
    read: (size?: number): unknown => {
      const bytes: unknown = Reflect.apply(read, socket, [size]);
      return Buffer.isBuffer(bytes) ? (interim.rest(bytes) ?? null) : bytes;
    },
  });
}
