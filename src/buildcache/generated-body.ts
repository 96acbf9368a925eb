/** A body that is made while it is sent. It holds one piece, until its client has taken it. */

import type { ByteStream } from '../core/answer.ts';

export class GeneratedBody implements ByteStream {
  readonly #pieces: AsyncGenerator<Uint8Array, void, void>;
  #piece: Uint8Array = NOTHING;
  /** Offset in the body of the piece. */
  #from = 0;
  #size: number | undefined;

  /** @param pieces none is empty */
  constructor(pieces: AsyncGenerator<Uint8Array, void, void>) {
    this.#pieces = pieces;
  }

  get size(): number | undefined {
    return this.#size;
  }

  at(offset: number): Uint8Array | Promise<Uint8Array> {
    const held = this.#piece.subarray(offset - this.#from);
    return held.byteLength > 0 || this.#size !== undefined ? held : this.#next();
  }

  /** The client reads no further: ends what makes the pieces. */
  close(): void {
    void this.#pieces.return().catch(() => {});
  }

  async #next(): Promise<Uint8Array> {
    this.#from += this.#piece.byteLength;
    this.#piece = NOTHING;
    const { value, done } = await this.#pieces.next();
    if (done === true) this.#size = this.#from;
    else if (value !== undefined) this.#piece = value;
    return this.#piece;
  }
}

const NOTHING = new Uint8Array(0);
