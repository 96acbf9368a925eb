/**
 * The body of a request, read in pieces and within bounds.
 *
 * Its socket is paused while the reader is behind. uWebSockets reads a socket's kernel buffer to its end before it pauses,
 * so a fast client may be some MiB ahead: `BodyRoom` bounds all bodies together, and has long ones begin in turns. By itself uWebSockets cuts off clients
 * that send less than 16 kB/s, but not while they are paused.
 */

import type { HttpResponse } from 'uWebSockets.js';
import { BadRequest, Busy, TooLarge } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { WakeUp } from '../core/wake-up.ts';
import type { BodyRoom } from './body-room.ts';
import { REQUEST_BODY_AHEAD_BYTES, SHORT_BODY_BYTES } from './limits.ts';

export type RequestBodyOptions = {
  readonly res: HttpResponse;
  readonly bytesMax: number;
  /** Its length as its head says it; Infinity: it does not. */
  readonly announcedBytes: number;
  readonly room: BodyRoom;
};

export class RequestBody {
  readonly #res: HttpResponse;
  readonly #bytesMax: number;
  readonly #announcedBytes: number;
  readonly #room: BodyRoom;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Of bytes that readers have taken and still work on. */
  #readBytes = 0;
  #bytes = 0;
  #isPaused = false;
  /** It has not begun: others' bodies have no room left. */
  #mustWait = false;
  #isComplete = false;
  /** Why no more can be read. */
  #error: Error | undefined;
  readonly #news = new WakeUp();

  /** To be made in the request's handler: bytes that come before are lost. */
  constructor({ res, bytesMax, announcedBytes, room }: RequestBodyOptions) {
    this.#res = res;
    this.#bytesMax = bytesMax;
    this.#announcedBytes = announcedBytes;
    this.#room = room;
    res.onData((bytes, isLast) => this.#take(bytes, isLast));
    if (announcedBytes <= SHORT_BODY_BYTES || room.mayGo(this.#go, announcedBytes)) return;
    this.#mustWait = true;
    // uWebSockets sets its timer when the handler has returned, and a pause must come after that.
    setImmediate(() => {
      if (this.#mustWait) this.#pause();
    });
  }

  /** All of it has come. Perhaps it is not read yet. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /**
   * The pieces as they come; each is lent until the next one is asked for.
   *
   * @throws {TooLarge} there is more than the route takes
   * @throws {Busy} too many bytes wait for their readers
   * @throws {BadRequest} the client has gone
   */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    while (true) {
      if (this.#error !== undefined) throw this.#error;
      const piece = this.#next('read');
      if (piece !== undefined) {
        const { byteLength } = piece;
        yield piece;
        freeBytes(piece);
        this.#done(byteLength);
      } else if (this.#isComplete) return;
      else await this.#news.next();
    }
  }

  /** All of it in one piece, which belongs to the caller. @throws as {@link pieces} */
  async whole(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    while (true) {
      if (this.#error !== undefined) throw this.#error;
      const piece = this.#next('gather');
      if (piece !== undefined) pieces.push(piece);
      else if (this.#isComplete) break;
      else await this.#news.next();
    }
    const [first] = pieces;
    if (pieces.length === 1 && first !== undefined) return first;
    const whole = Buffer.concat(pieces);
    for (const piece of pieces) freeBytes(piece);
    return whole;
  }

  /** What {@link whole} gave counts until {@link finish}: it takes memory for a while. */
  keep(): void {
    this.#readBytes = this.#bytes;
    this.#room.gathered(this.#bytes);
  }

  /**
   * All of it is done with. Resolves when there is room for another body: its client sends the next one with its next request,
   * and what it sends at once can't be held up.
   */
  async finish(): Promise<void> {
    this.#done(this.#readBytes);
    if (this.#bytes > SHORT_BODY_BYTES) await this.#room.turn();
  }

  /** The client has gone, or its answer is sent: `res` must not be touched. */
  close(): void {
    this.#fail(new BadRequest('cannot read body: the client has gone'));
    this.#done(this.#readBytes);
  }

  #take(bytes: ArrayBuffer, isLast: boolean): void {
    if (this.#error !== undefined) return;
    this.#bytes += bytes.byteLength;
    this.#isComplete = isLast;
    if (isLast) this.#leave();
    if (this.#bytes > this.#bytesMax) this.#fail(tooLarge(this.#bytesMax));
    else if (!this.#room.take(bytes.byteLength))
      this.#fail(new Busy('cannot take body: too many come at once'));
    else if (bytes.byteLength > 0) this.#keep(Uint8Array.from(new Uint8Array(bytes)));
    this.#news.call();
  }

  #keep(piece: Uint8Array): void {
    this.#waiting.push(piece);
    this.#waitingBytes += piece.byteLength;
    if (this.#waitingBytes >= REQUEST_BODY_AHEAD_BYTES) this.#pause();
  }

  #pause(): void {
    if (this.#isComplete || this.#isPaused || this.#error !== undefined) return;
    this.#isPaused = true;
    this.#res.pause();
  }

  /** Goes on, or waits for its turn. */
  #resume(): void {
    if (!this.#isPaused || this.#mustWait || this.#waiting.length > 0 || this.#error !== undefined) return;
    if (this.#room.mayGo(this.#go, this.#announcedBytes - this.#bytes)) this.#go();
    else this.#mustWait = true;
  }

  /** It is its turn. */
  readonly #go = (): void => {
    this.#mustWait = false;
    if (!this.#isPaused || this.#waiting.length > 0) return;
    this.#isPaused = false;
    this.#res.resume();
  };

  /** It waits for its turn no more. */
  #leave(): void {
    if (!this.#mustWait) return;
    this.#mustWait = false;
    this.#room.leave(this.#go);
  }

  #done(bytes: number): void {
    const done = Math.min(bytes, this.#readBytes); // Less where the request is over.
    this.#readBytes -= done;
    this.#room.done(done);
  }

  #next(how: 'read' | 'gather'): Uint8Array | undefined {
    const piece = this.#waiting.shift();
    if (piece === undefined) return undefined;
    this.#waitingBytes -= piece.byteLength;
    if (how === 'read') this.#readBytes += piece.byteLength;
    this.#room[how](piece.byteLength);
    this.#resume();
    return piece;
  }

  #fail(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#leave();
    this.#readBytes += this.#waitingBytes;
    this.#room.read(this.#waitingBytes);
    this.#done(this.#waitingBytes);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#news.call();
  }
}

export function tooLarge(bytesMax: number): TooLarge {
  return new TooLarge(`cannot take body: over ${bytesMax} bytes`);
}
