/**
 * Synchronous raw inflate. One native stream is used again for every body, and all content passes through one buffer.
 *
 * A module has hundreds of small files. `inflateRawSync` makes a stream object, a window and an output buffer for each
 * of them, which takes a quarter of the time for a zip's content (bench/h1.ts). Node's other public interface is
 * asynchronous. So this class uses the handle inside a public stream, as zlib.js does (processChunkSync). The
 * constructor refuses a Node without this handle.
 */

import { constants, createInflateRaw } from 'node:zlib';

/** The largest piece of content. Between 32 KiB and 1 MiB bench/h1.ts shows no difference. */
export const INFLATED_PIECE_BYTES = 256 * 1024;

/** zlib's error codes for bytes that are not a complete deflate stream. */
export class BadDeflate extends Error {
  override readonly name = 'BadDeflate';
}

export class Inflater {
  readonly #handle: Handle;
  /** After a write: the free bytes of the output and the unread bytes of the input. */
  readonly #left: Uint32Array;
  readonly #output = new Uint8Array(new ArrayBuffer(INFLATED_PIECE_BYTES));
  #failure = '';

  /** @throws {Error} the zlib streams of this Node differ from those of Node 22 */
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
   * The content of a deflate stream, as a view that the next call overwrites; `undefined` if it has
   * `INFLATED_PIECE_BYTES` or more. Bytes after the stream's end are ignored.
   *
   * @throws {BadDeflate} it is no deflate stream, or is cut short
   */
  whole(body: Uint8Array): Uint8Array | undefined {
    this.#handle.reset();
    this.#write(constants.Z_FINISH, body, 0);
    const [room = 0] = this.#left;
    return room === 0 ? undefined : this.#output.subarray(0, INFLATED_PIECE_BYTES - room);
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
      this.#write(flush, input, at);
      const [room = 0, rest = 0] = this.#left;
      if (room < INFLATED_PIECE_BYTES) take(this.#output.subarray(0, INFLATED_PIECE_BYTES - room));
      // With free output zlib reads all input, unless the stream has ended.
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
  /** Node's own order: flush mode, input with offset and length, output likewise. All must lie within their buffers. */
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
