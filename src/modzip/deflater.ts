/** Synchronous raw deflate, body after body, through one native stream and one buffer. */

import { constants, createDeflateRaw } from 'node:zlib';
import { PIECE_BYTES, ZlibHandle } from '../core/zlib-handle.ts';

export class Deflater {
  readonly #handle: ZlibHandle;

  /** @param level of zlib, 1 to 9 */
  constructor(level: number) {
    this.#handle = new ZlibHandle(createDeflateRaw({ level, chunkSize: 64 }));
  }

  /** Compresses the next bytes of the body. `take` gets pieces, each of which the next one overwrites; often none. */
  write(input: Uint8Array, take: (piece: Uint8Array) => void): void {
    this.#push(constants.Z_NO_FLUSH, input, take);
  }

  /** Ends the body. The next {@link write} begins another one. */
  end(take: (piece: Uint8Array) => void): void {
    this.#push(constants.Z_FINISH, NOTHING, take);
    this.#handle.reset();
  }

  #push(flush: number, input: Uint8Array, take: (piece: Uint8Array) => void): void {
    for (let at = 0; ; ) {
      const { output, rest, failure } = this.#handle.step(flush, input, at);
      if (failure !== '') throw new Error(`cannot deflate: ${failure}`);
      if (output.byteLength > 0) take(output);
      // With free output zlib has read all.
      if (output.byteLength < PIECE_BYTES) return;
      at = input.byteLength - rest;
    }
  }
}

const NOTHING = new Uint8Array(0);
