/** Synchronous raw inflate. One native stream is used again for every body, and all content passes through one buffer. */

import { constants, createInflateRaw } from 'node:zlib';
import { PIECE_BYTES, ZlibHandle } from '../core/zlib-handle.ts';

/** The largest piece of content. */
export const INFLATED_PIECE_BYTES = PIECE_BYTES;

/** zlib's error codes for bytes that are not a complete deflate stream. */
export class BadDeflate extends Error {
  override readonly name = 'BadDeflate';
}

export class Inflater {
  readonly #handle = new ZlibHandle(createInflateRaw({ chunkSize: 64 }));

  /**
   * The content of a deflate stream, as a view that the next call overwrites; `undefined` if it has
   * `INFLATED_PIECE_BYTES` or more. Bytes after the stream's end are ignored.
   *
   * @throws {BadDeflate} it is no deflate stream, or is cut short
   */
  whole(body: Uint8Array): Uint8Array | undefined {
    this.#handle.reset();
    const { output } = this.#step(constants.Z_FINISH, body, 0);
    return output.byteLength === INFLATED_PIECE_BYTES ? undefined : output;
  }

  /**
   * Hands the content of a deflate stream of any size to `take`, in pieces. Each piece is overwritten by the next one.
   * Bytes after the stream's end are ignored.
   *
   * @throws {BadDeflate} it is no deflate stream, or is cut short; `take` may have got pieces before
   * @throws all errors of `take`
   */
  stream(body: Iterable<Uint8Array>, take: (piece: Uint8Array) => void): void {
    this.#handle.reset();
    for (const input of body) {
      if (this.#push(constants.Z_NO_FLUSH, input, take)) return;
    }
    this.#push(constants.Z_FINISH, NOTHING, take); // Fails if the stream is not complete.
  }

  /** Reads all of `input`. @returns whether the deflate stream ended before the end of `input` */
  #push(flush: number, input: Uint8Array, take: (piece: Uint8Array) => void): boolean {
    for (let at = 0; ; ) {
      const { output, rest } = this.#step(flush, input, at);
      if (output.byteLength > 0) take(output);
      // With free output zlib reads all input, unless the stream has ended.
      if (output.byteLength < INFLATED_PIECE_BYTES) return rest > 0;
      at = input.byteLength - rest;
    }
  }

  #step(flush: number, input: Uint8Array, at: number) {
    const step = this.#handle.step(flush, input, at);
    if (step.failure === '') return step;
    if (/^Z_(?:DATA|BUF|STREAM)_ERROR$/.test(step.failure)) throw new BadDeflate(step.failure);
    throw new Error(`cannot inflate: ${step.failure}`);
  }
}

const NOTHING = new Uint8Array(0);
