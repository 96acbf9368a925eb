/**
 * A body that does not go out at once: piece by piece, as fast as its client takes it.
 *
 * Holds no piece from one turn of the event loop to the next, so that a slow client costs no memory but the
 * kernel's buffers. uWebSockets may never say that a socket can be written again, and cuts it off
 * after some ten seconds without a write: `PumpKeeper` looks after all of them every few seconds.
 * (Not by `resume()`, which resets that timer too, but now and then drops the socket out of epoll.)
 */

import type { HttpResponse } from 'uWebSockets.js';
import type { ByteStream } from '../core/answer.ts';
import { PUMP_AGAIN_MS } from '../core/limits.ts';
import type { Span } from './range.ts';

export type PumpEnd = 'sent' | 'aborted' | { readonly brokenOff: unknown };

export type PumpOptions = {
  readonly res: HttpResponse;
  readonly body: ByteStream;
  /** What to send of it; undefined: all, of a length nobody knows yet. */
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

  constructor(options: PumpOptions) {
    this.#options = options;
    const { span } = options;
    this.#offset = span?.from ?? 0;
    this.#total = span === undefined ? undefined : span.to - span.from;
  }

  /** Bytes taken by the client so far, as far as uWebSockets knows. */
  get taken(): number {
    return this.#offset;
  }

  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Headers are written; begins with the body. To be called corked. */
  start(): void {
    const { res, keeper } = this.#options;
    keeper.add(this);
    this.#base = res.getWriteOffset();
    res.onWritable(() => {
      this.#isBlocked = false;
      this.#noteWritten();
      this.#push();
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

  /** Called every few seconds: tries a blocked socket again, as its `onWritable` may never come. */
  again(): void {
    if (this.#isEnded || !this.#isBlocked) return;
    this.#options.res.cork(() => {
      this.#noteWritten();
      if (this.#total !== undefined) this.#push();
    });
  }

  #noteWritten(): void {
    if (this.#total === undefined) return;
    const from = this.#options.span?.from ?? 0;
    this.#offset = from + this.#options.res.getWriteOffset() - this.#base;
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
    const { res, span } = this.#options;
    if (piece.byteLength === 0) {
      this.#endOfBody();
      return false;
    }
    if (this.#total === undefined) {
      const isTaken = res.write(piece);
      this.#offset += piece.byteLength;
      this.#isBlocked = !isTaken;
      return isTaken;
    }
    const [isTaken, isDone] = res.tryEnd(cut(piece, span, this.#offset), this.#total);
    if (isDone) {
      this.#end('sent');
      return false;
    }
    this.#noteWritten();
    this.#isBlocked = !isTaken;
    return isTaken;
  }

  #endOfBody(): void {
    if (this.#total !== undefined) this.#breakOff(new Error(`body ended ${this.#offset} bytes in`));
    else {
      this.#options.res.end();
      this.#end('sent');
    }
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

/** What of a piece at `offset` lies in the span. */
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
      pump.again();
      if (pump.taken !== stall.taken || !pump.isBlocked) {
        stall.taken = pump.taken;
        stall.sinceMs = now;
      } else if (now - stall.sinceMs >= this.#stallMs) {
        pump.cutOff(`the client took no byte for ${Math.round((now - stall.sinceMs) / 1000)} s`);
      }
    }
  }
}
