/**
 * The body of a request, read in pieces and within bounds.
 *
 * Its socket is paused while the reader is behind. uWebSockets reads a socket's kernel buffer to its end before it pauses,
 * so a fast client may be some MiB ahead: `BodyRoom` bounds all bodies together. By itself uWebSockets cuts off clients
 * that send less than 16 kB/s, but not while they are paused.
 */

import type { HttpResponse } from 'uWebSockets.js';
import { BadRequest, Busy, TooLarge } from '../core/errors.ts';
import { WakeUp } from '../core/wake-up.ts';
import { REQUEST_BODY_AHEAD_BYTES, REQUEST_BODY_BYTES_HELD_MAX } from './limits.ts';

/** Room for bytes that came and wait for their readers. One for a server. */
export class BodyRoom {
  #free: number;

  constructor(bytes = REQUEST_BODY_BYTES_HELD_MAX) {
    this.#free = bytes;
  }

  /** False: there is no room. */
  take(bytes: number): boolean {
    if (bytes > this.#free) return false;
    this.#free -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#free += bytes;
  }
}

export type RequestBodyOptions = {
  readonly res: HttpResponse;
  readonly bytesMax: number;
  readonly room: BodyRoom;
};

export class RequestBody {
  readonly #res: HttpResponse;
  readonly #bytesMax: number;
  readonly #room: BodyRoom;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #bytes = 0;
  #isPaused = false;
  #isComplete = false;
  /** Why no more can be read. */
  #error: Error | undefined;
  readonly #news = new WakeUp();

  /** To be made in the request's handler: bytes that come before are lost. */
  constructor({ res, bytesMax, room }: RequestBodyOptions) {
    this.#res = res;
    this.#bytesMax = bytesMax;
    this.#room = room;
    res.onData((bytes, isLast) => this.#take(bytes, isLast));
  }

  /** All of it has come. Perhaps it is not read yet. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /**
   * The pieces as they come; each belongs to the caller.
   *
   * @throws {TooLarge} there is more than the route takes
   * @throws {Busy} too many bytes wait for their readers
   * @throws {BadRequest} the client has gone
   */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    while (true) {
      if (this.#error !== undefined) throw this.#error;
      const piece = this.#next();
      if (piece !== undefined) yield piece;
      else if (this.#isComplete) return;
      else await this.#news.next();
    }
  }

  /** All of it in one piece. @throws as {@link pieces} */
  async whole(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.pieces()) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  /** The client has gone, or its answer is sent: `res` must not be touched. */
  close(): void {
    this.#fail(new BadRequest('cannot read body: the client has gone'));
  }

  #take(bytes: ArrayBuffer, isLast: boolean): void {
    if (this.#error !== undefined) return;
    this.#bytes += bytes.byteLength;
    this.#isComplete = isLast;
    if (this.#bytes > this.#bytesMax) this.#fail(tooLarge(this.#bytesMax));
    else if (!this.#room.take(bytes.byteLength))
      this.#fail(new Busy('cannot take body: too many come at once'));
    else if (bytes.byteLength > 0) this.#keep(Uint8Array.from(new Uint8Array(bytes)));
    this.#news.call();
  }

  #keep(piece: Uint8Array): void {
    this.#waiting.push(piece);
    this.#waitingBytes += piece.byteLength;
    if (this.#isComplete || this.#isPaused || this.#waitingBytes < REQUEST_BODY_AHEAD_BYTES) return;
    this.#isPaused = true;
    this.#res.pause();
  }

  #next(): Uint8Array | undefined {
    const piece = this.#waiting.shift();
    if (piece === undefined) return undefined;
    this.#waitingBytes -= piece.byteLength;
    this.#room.give(piece.byteLength);
    if (this.#isPaused && this.#waiting.length === 0) {
      this.#isPaused = false;
      this.#res.resume();
    }
    return piece;
  }

  #fail(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#room.give(this.#waitingBytes);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#news.call();
  }
}

export function tooLarge(bytesMax: number): TooLarge {
  return new TooLarge(`cannot take body: over ${bytesMax} bytes`);
}
