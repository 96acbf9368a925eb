/**
 * Sends a body that does not go out at once: piece by piece, as fast as its client takes it.
 *
 * It holds no piece from one turn of the event loop to the next, so a slow client costs no memory but the kernel's buffers.
 * If a body has no length, uWebSockets keeps the bytes that the kernel does not take: one part at most.
 *
 * uWebSockets may never say that a socket can be written again. It cuts a socket off ten seconds after a write that the
 * kernel did not take, even if the kernel takes bytes later. So `PumpKeeper` looks after all pumps every few seconds.
 */

import type { HttpResponse } from 'uWebSockets.js';
import { type ByteStream, endedEarly } from '../core/answer.ts';
import { PUMP_AGAIN_MS } from './limits.ts';
import type { Span } from './range.ts';

export type PumpEnd = 'sent' | 'aborted' | { readonly brokenOff: unknown };

export type PumpOptions = {
  readonly res: HttpResponse;
  readonly body: ByteStream;
  /** The part to send; undefined: all of it, and its length is not known yet. */
  readonly span: Span | undefined;
  readonly keeper: PumpKeeper;
  /** Called once. */
  readonly onEnd: (end: PumpEnd) => void;
};

export class Pump {
  readonly #options: PumpOptions;
  readonly #total: number | undefined;
  /** Offset in the body of the next byte to send. */
  #offset: number;
  /** Body bytes that uWebSockets had written when we began. */
  #base = 0;
  /** The next piece is on its way, or it is others' turn. */
  #isLoading = false;
  #isEnded = false;
  #isBlocked = false;
  /** Bytes that the kernel certainly has, as an offset in the body. */
  #taken: number;
  /** For a body without a length: so many of its last bytes were taken in a row. */
  #lastTaken = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
    const { span } = options;
    this.#offset = span?.from ?? 0;
    this.#taken = this.#offset;
    this.#total = span === undefined ? undefined : span.to - span.from;
  }

  /** Rises with each byte, or part, that the client's socket takes. */
  get taken(): number {
    return this.#taken;
  }

  /** There is more to send, and the client's socket does not take it. */
  get isStuck(): boolean {
    return this.#isBlocked && !this.#isLoading;
  }

  /** Headers are written; begins with the body. To be called corked. */
  start(): void {
    const { res, keeper } = this.#options;
    keeper.add(this);
    this.#base = res.getWriteOffset();
    res.onWritable(() => {
      res.cork(() => this.#push());
      return true;
    });
    this.#push();
  }

  /** The client has gone. */
  abort(): void {
    this.#end('aborted');
  }

  /** The client takes nothing: cut off. */
  cutOff(why: string): void {
    if (this.#isEnded) return;
    this.#end({ brokenOff: new Error(why) });
    this.#options.res.close();
  }

  /** Called every few seconds: tries the socket again, and sets uWebSockets' timer back. */
  again(): void {
    if (this.#isEnded) return;
    const { res } = this.#options;
    res.cork(() => this.#push()); // With nothing to send too: uWebSockets then tries what it keeps.
    if (this.#isEnded) return;
    // Both, and at once: `resume` sets the timer back, but takes the events to wait for from the last `pause` of any socket.
    res.pause();
    res.resume();
  }

  #push(): void {
    const from = this.#offset;
    while (!this.#isEnded && !this.#isLoading) {
      if (this.#offset - from >= TURN_BYTES) {
        this.#letOthers();
        return;
      }
      if (!this.#sendNext()) return;
    }
  }

  /** Goes on in the next turn of the event loop. */
  #letOthers(): void {
    this.#isLoading = true;
    setImmediate(() => {
      this.#isLoading = false;
      if (!this.#isEnded) this.#options.res.cork(() => this.#push());
    });
  }

  /** Sends the piece at the offset. False: it is not here yet, the response is done, or its client is slow. */
  #sendNext(): boolean {
    let next: Uint8Array | Promise<Uint8Array>;
    try {
      next = this.#options.body.at(this.#offset);
    } catch (error) {
      this.#breakOff(error);
      return false;
    }
    if (!(next instanceof Promise)) return this.#send(next);
    this.#isLoading = true;
    next.then(
      (bytes) => {
        this.#isLoading = false;
        if (this.#isEnded) return;
        this.#options.res.cork(() => {
          // The offset is still the one asked for: while a piece loads, `onWritable` sends nothing.
          if (this.#send(bytes)) this.#push();
        });
      },
      (error: unknown) => {
        this.#isLoading = false;
        this.#breakOff(error);
      },
    );
    return false;
  }

  /** Hands a piece to the socket. False: the response is done, or its client is slow. */
  #send(piece: Uint8Array): boolean {
    if (piece.byteLength === 0) {
      this.#endOfBody();
      return false;
    }
    return this.#total === undefined ? this.#write(piece) : this.#tryEnd(piece, this.#total);
  }

  #tryEnd(piece: Uint8Array, total: number): boolean {
    const { res, span } = this.#options;
    const [isTaken, isDone] = res.tryEnd(cut(piece, span, this.#offset), total);
    if (isDone) {
      this.#end('sent');
      return false;
    }
    this.#offset = (span?.from ?? 0) + res.getWriteOffset() - this.#base;
    this.#taken = this.#offset;
    this.#isBlocked = !isTaken;
    return isTaken;
  }

  /**
   * For a body without a length. `write` takes all bytes, and uWebSockets keeps those that the kernel does not take. Only
   * the next write tells whether these have gone out, so a blocked socket gets single bytes.
   */
  #write(piece: Uint8Array): boolean {
    const { res, body } = this.#options;
    const left = (body.size ?? Infinity) - this.#offset;
    if (piece.byteLength === left && left <= LAST_BYTES) {
      this.#writeLast(piece);
      return false;
    }
    const part = this.#isBlocked ? 1 : Math.min(PART_BYTES, left > LAST_BYTES ? left - LAST_BYTES : left);
    const sent = piece.subarray(0, part);
    this.#noteWritten(sent.byteLength, res.write(sent));
    return !this.#isBlocked;
  }

  /**
   * Sends the last few bytes, one in each turn. When two in a row are taken, the kernel has all bytes before them, and room.
   * A response that is ended without room can't be looked after any more, and uWebSockets cuts it off.
   */
  #writeLast(piece: Uint8Array): void {
    const { res } = this.#options;
    if (this.#lastTaken >= 2 || piece.byteLength === 1) {
      res.end(piece);
      this.#end('sent');
      return;
    }
    this.#noteWritten(1, res.write(piece.subarray(0, 1)));
    this.#lastTaken = this.#isBlocked ? 0 : this.#lastTaken + 1;
    if (!this.#isBlocked) this.#letOthers();
  }

  #noteWritten(bytes: number, isTaken: boolean): void {
    this.#offset += bytes;
    if (isTaken) this.#taken = this.#offset;
    this.#isBlocked = !isTaken;
  }

  /** A body that is shorter than announced must not end cleanly. Nor must one without a known length. */
  #endOfBody(): void {
    const { body } = this.#options;
    if (this.#total !== undefined || this.#offset !== body.size) {
      this.#breakOff(endedEarly(body, this.#offset));
      return;
    }
    this.#options.res.end();
    this.#end('sent');
  }

  #breakOff(error: unknown): void {
    if (this.#isEnded) return;
    this.#end({ brokenOff: error });
    this.#options.res.close();
  }

  #end(end: PumpEnd): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#options.keeper.remove(this);
    this.#options.body.close?.();
    this.#options.onEnd(end);
  }
}

/** The part of a piece at `offset` that lies in the span. */
function cut(piece: Uint8Array, span: Span | undefined, offset: number): Uint8Array {
  return span === undefined || offset + piece.byteLength <= span.to
    ? piece
    : piece.subarray(0, span.to - offset);
}

/**
 * Bytes one response hands to its socket in a turn. The kernel would take some 4 MB of each, and a hundred
 * clients of large zips would hold up everybody else's answers for a tenth of a second.
 */
const TURN_BYTES = 256 * 1024;

/** A part of a body without a length. At half, twice the sends; at double, a slow client's memory doubles. */
const PART_BYTES = 64 * 1024;

/** The end of such a body goes byte by byte: while its client takes nothing, one every `PUMP_AGAIN_MS`, for four minutes. */
const LAST_BYTES = 64;

/** Looks after the pumps that run: one timer for all of them. */
export class PumpKeeper {
  readonly #stalls = new Map<Pump, { taken: number; sinceMs: number }>();
  readonly #stallMs: number;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;

  /** @param stallMs a client that takes no byte for so long is cut off */
  constructor({ stallMs, now }: { stallMs: number; now: () => number }) {
    this.#stallMs = stallMs;
    this.#now = now;
    this.#timer = setInterval(() => this.#look(), Math.min(PUMP_AGAIN_MS, Math.max(50, stallMs / 4))).unref();
  }

  get size(): number {
    return this.#stalls.size;
  }

  add(pump: Pump): void {
    this.#stalls.set(pump, { taken: pump.taken, sinceMs: this.#now() });
  }

  remove(pump: Pump): void {
    this.#stalls.delete(pump);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = this.#now();
    for (const [pump, stall] of this.#stalls) {
      // This look comes before the next try, which may only begin to load the next piece.
      if (pump.taken !== stall.taken || !pump.isStuck) {
        stall.taken = pump.taken;
        stall.sinceMs = now;
      } else if (now - stall.sinceMs >= this.#stallMs) {
        pump.cutOff(`the client took no byte for ${Math.round((now - stall.sinceMs) / 1000)} s`);
        continue;
      }
      pump.again();
    }
  }
}
