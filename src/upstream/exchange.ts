/**
 * One HTTP request and its answer on one connection: head first, then the body piece by piece.
 *
 * Written on undici's `dispatch`, not `request`: the moment of connecting is seen (the body stream
 * of `request` hides it), and no stream object is made per request. A slow consumer pauses the
 * socket once `UPSTREAM_BUFFER_BYTES_MAX` wait for it. No retry here, no redirect, no decoding.
 */

import type { Dispatcher } from 'undici';
import { WakeUp } from '../core/wake-up.ts';
import { UPSTREAM_BUFFER_BYTES_MAX } from './limits.ts';
import { LocalAddress } from './local-address.ts';
import { Pace } from './pace.ts';
import { Setback, setbackOf } from './setback.ts';
import type { Timeouts } from './settings.ts';

/** A redirect's or an error's body is read to here to keep the connection; a new one costs three round trips. */
const DRAIN_BYTES_MAX = 16 * 1024;

export type Headers = Record<string, string | string[] | undefined>;
export type Head = { readonly status: number; readonly headers: Headers };

/** Hears of one exchange. Each function but `heard` is called at most once. */
export type ExchangeObserver = {
  connected(exchange: Exchange): void;
  /** The head came. */
  answered(exchange: Exchange, status: number): void;
  /** A piece of the body came, or its end. */
  heard(exchange: Exchange): void;
  failed(exchange: Exchange, setback: Setback): void;
  /** It is over, with or without success; after this nothing is called. */
  ended(exchange: Exchange): void;
};

export type ExchangeOptions = {
  readonly observer: ExchangeObserver;
  readonly timeouts: Pick<Timeouts, 'firstByteMs' | 'stallMs' | 'smallMs' | 'wordsMs'>;
  /** The request is for a small file. */
  readonly isSmall: boolean;
  /** Ends it with the signal's reason. Must not be aborted yet. */
  readonly signal: AbortSignal;
};

export class Exchange implements Dispatcher.DispatchHandler {
  /** Rejects with a {@link Setback}, a {@link LocalAddress}, or the reason it was aborted for. */
  readonly head: Promise<Head>;
  /** It goes out on a connection that was there before. The code that dispatches it says so. */
  isReused = false;
  readonly #observer: ExchangeObserver;
  readonly #timeouts: ExchangeOptions['timeouts'];
  readonly #signal: AbortSignal;
  readonly #pace: Pace;
  #resolveHead: (head: Head) => void = () => {};
  #rejectHead: (error: unknown) => void = () => {};
  #controller: Dispatcher.DispatchController | undefined;
  #pieces: Uint8Array[] = [];
  #bufferedBytes = 0;
  #hasHead = false;
  #isDraining = false;
  #isEnded = false;
  #error: unknown;
  #timer: NodeJS.Timeout | undefined;
  readonly #news = new WakeUp();

  constructor({ observer, timeouts, isSmall, signal }: ExchangeOptions) {
    this.#observer = observer;
    this.#timeouts = timeouts;
    this.#signal = signal;
    this.#pace = new Pace({ timeouts, isSmall, onSlow: (setback) => this.fail(setback) });
    this.head = new Promise((resolve, reject) => {
      this.#resolveHead = resolve;
      this.#rejectHead = reject;
    });
    // An abort before anybody asks for the head must not end the process.
    this.head.catch(() => {});
    signal.addEventListener('abort', this.#onSignal, { once: true });
  }

  /** The status is there: a failure from here on is one of the body. */
  get hasHead(): boolean {
    return this.#hasHead;
  }

  /** Ends it from our side; the consumer sees `setback`. Nothing happens if it is over. */
  fail(setback: Setback): void {
    this.#end(setback);
  }

  /** Ends it without anyone being told: the rest of the answer is not wanted. */
  abort(): void {
    // Called at the end of each exchange. An error object that nobody sees would cost more than the rest of this.
    if (!this.#isEnded) this.#end(new Setback('cut', 'not wanted'), true);
  }

  /**
   * Reads on to the end so that the connection can be used again, or gives up where that costs
   * more. Never rejects; need not be awaited.
   */
  async drain(): Promise<void> {
    this.#pieces = [];
    this.#bufferedBytes = -DRAIN_BYTES_MAX;
    this.#isDraining = true;
    const timer = setTimeout(() => this.abort(), this.#timeouts.wordsMs);
    this.#controller?.resume();
    while (!this.#isEnded) await this.#news.next();
    clearTimeout(timer);
  }

  /** The body as it comes, in views of undici's buffers. To leave the loop early closes the connection. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece !== undefined) {
          this.#took(piece.byteLength);
          yield piece;
        } else if (this.#error !== undefined) throw this.#error;
        else if (this.#isEnded) return;
        else await this.#news.next();
      }
    } finally {
      this.abort();
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isEnded) {
      controller.abort(new Error('aborted'));
      return;
    }
    this.#observer.connected(this);
    const { firstByteMs } = this.#timeouts;
    // Timers of our own: undici's tick every half second, and count the time before a pause.
    this.#timer = setTimeout(() => this.fail(new Setback('silence', 'no answer in time')), firstByteMs);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    // 1xx is not the answer yet.
    if (status < 200) return;
    clearTimeout(this.#timer);
    this.#pace.begin();
    this.#hasHead = true;
    this.#observer.answered(this, status);
    this.#resolveHead({ status, headers });
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Uint8Array): void {
    if (this.#isEnded) return;
    this.#observer.heard(this);
    this.#pace.got(piece.byteLength);
    this.#bufferedBytes += piece.byteLength;
    if (this.#isDraining) {
      if (this.#bufferedBytes > 0) this.abort();
      return;
    }
    this.#pieces.push(piece);
    if (this.#bufferedBytes >= UPSTREAM_BUFFER_BYTES_MAX) {
      controller.pause();
      this.#pace.pause();
    }
    this.#news.call();
  }

  onResponseEnd(): void {
    if (this.#isEnded) return;
    this.#observer.heard(this);
    this.#pace.end();
    // undici needs a turn of the event loop after this before it uses the connection again. A
    // request for the next file before that would open a new one: two round trips more, four with TLS.
    queueMicrotask(() => setImmediate(() => this.#end(undefined)));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end(error instanceof LocalAddress ? error : setbackOf(error, this.#controller !== undefined));
  }

  readonly #onSignal = (): void => this.#end(this.#signal.reason ?? new Error('aborted'));

  #end(error: unknown, isUnwanted = false): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    clearTimeout(this.#timer);
    this.#pace.end();
    this.#signal.removeEventListener('abort', this.#onSignal);
    if (error !== undefined) {
      this.#controller?.abort(new Error('aborted'));
      this.#rejectHead(error);
      if (error instanceof Setback && !isUnwanted) this.#observer.failed(this, error);
    }
    this.#observer.ended(this);
    this.#news.call();
  }

  #took(bytes: number): void {
    const wasFull = this.#bufferedBytes >= UPSTREAM_BUFFER_BYTES_MAX / 2;
    this.#bufferedBytes -= bytes;
    const isRoomy = this.#bufferedBytes < UPSTREAM_BUFFER_BYTES_MAX / 2;
    if (!wasFull || !isRoomy || this.#isEnded) return;
    this.#pace.resume();
    this.#controller?.resume();
  }
}
