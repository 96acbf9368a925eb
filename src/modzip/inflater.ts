/**
 * Raw inflate for a thread that has nothing else to do: one native stream, used again for every body,
 * and one buffer that all content passes through.
 *
 * A module has hundreds of small files, and `inflateRawSync` makes a stream object, a window and an
 * output buffer for each: a quarter of the time that a zip's content takes (bench/h1.ts). What Node
 * offers in public is that or streams that answer later; so this uses the handle inside a public
 * stream, as zlib.js itself does (processChunkSync). A Node without it is refused when this is made.
 */

import { constants, createInflateRaw } from 'node:zlib';

/** As much content comes at once. From 32 KiB to 1 MiB bench/h1.ts tells no difference. */
export const INFLATED_PIECE_BYTES = 256 * 1024;

/** zlib's error codes for bytes that are not a complete deflate stream. */
export class BadDeflate extends Error {
  override readonly name = 'BadDeflate';
}

export class Inflater {
  readonly #handle: Handle;
  /** Bytes of output room and of input that the last write left. */
  readonly #left: Uint32Array;
  readonly #output = new Uint8Array(new ArrayBuffer(INFLATED_PIECE_BYTES));
  #failure = '';

  /** @throws {Error} this Node's zlib streams are not made as Node 22's are */
  constructor() {
    const { _handle: handle, _writeState: left } = createInflateRaw({ chunkSize: 64 }) as unknown as Inside;
    if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function' || left?.length !== 2) {
      throw new Error(`cannot inflate: Node ${process.version} has other zlib streams than Node 22`);
    }
    this.#handle = handle;
    this.#left = left;
    handle.onerror = (_message, _number, code) => {
      this.#failure = code;
    };
  }

  /**
   * The content of a deflate stream, as a view that the next call overwrites; `undefined` where it is
   * not under `INFLATED_PIECE_BYTES`. Bytes behind the stream's end are let be.
   *
   * @throws {BadDeflate} it is none, or is cut short
   */
  whole(body: Uint8Array): Uint8Array | undefined {
    this.#handle.reset();
    this.#write(constants.Z_FINISH, body, 0);
    const [room = 0] = this.#left;
    return room === 0 ? undefined : this.#output.subarray(0, INFLATED_PIECE_BYTES - room);
  }

  /**
   * Hands the content of a deflate stream of any size to `take`, in pieces that the next one overwrites.
   * Bytes behind the stream's end are let be.
   *
   * @throws {BadDeflate} it is none, or is cut short: pieces came before
   * @throws what `take` throws
   */
  stream(body: Iterable<Uint8Array>, take: (piece: Uint8Array) => void): void {
    this.#handle.reset();
    for (const input of body) {
      if (this.#push(constants.Z_NO_FLUSH, input, take)) return;
    }
    this.#push(constants.Z_FINISH, NOTHING, take); // To hear whether it was whole.
  }

  /** Takes all of `input`, and says whether the deflate stream ended before. */
  #push(flush: number, input: Uint8Array, take: (piece: Uint8Array) => void): boolean {
    for (let at = 0; ; ) {
      this.#write(flush, input, at);
      const [room = 0, rest = 0] = this.#left;
      if (room < INFLATED_PIECE_BYTES) take(this.#output.subarray(0, INFLATED_PIECE_BYTES - room));
      // With room left zlib takes all there is, unless the stream has ended.
      if (room > 0) return rest > 0;
      at = input.byteLength - rest;
    }
  }

  #write(flush: number, input: Uint8Array, at: number): void {
    this.#failure = '';
    this.#handle.writeSync(flush, input, at, input.byteLength - at, this.#output, 0, INFLATED_PIECE_BYTES);
    if (this.#failure === '') return;
    if (/^Z_(?:DATA|BUF|STREAM)_ERROR$/.test(this.#failure)) throw new BadDeflate(this.#failure);
    throw new Error(`cannot inflate: ${this.#failure}`);
  }
}

const NOTHING = new Uint8Array(0);

/** The inner fields of Node's zlib streams (lib/zlib.js, ZlibBase). */
type Inside = { readonly _handle?: Handle; readonly _writeState?: Uint32Array };

type Handle = {
  onerror: (message: string, number: number, code: string) => void;
  reset(): void;
  /** In Node's own order: what to flush, where to read, where to write. Offsets and lengths must lie inside. */
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputBytes: number,
    output: Uint8Array,
    outputAt: number,
    outputBytes: number,
  ): void;
};
