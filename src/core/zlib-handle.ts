/**
 * The synchronous handle inside Node's public zlib streams, as zlib.js itself uses it (processChunkSync).
 *
 * The synchronous functions of `node:zlib` make a stream object, a window and an output buffer for each body, which takes
 * a quarter of the time for a zip's content (bench/h1.ts): a module has hundreds of small files. Node's other public
 * interface is asynchronous.
 */

/** The output of one step. Between 32 KiB and 1 MiB bench/h1.ts shows no difference. */
export const PIECE_BYTES = 256 * 1024;

export class ZlibHandle {
  readonly #handle: Handle;
  /** After a write: the free bytes of the output and the unread bytes of the input. */
  readonly #left: Uint32Array;
  readonly #output = new Uint8Array(new ArrayBuffer(PIECE_BYTES));
  #failure = '';

  /**
   * @param stream a public zlib stream that nobody else uses
   * @throws {Error} the zlib streams of this Node differ from those of Node 22
   */
  constructor(stream: object) {
    const { _handle: handle, _writeState: left } = stream as Inside;
    if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function' || left?.length !== 2) {
      throw new Error(`cannot use zlib: Node ${process.version} has other zlib streams than Node 22`);
    }
    this.#handle = handle;
    this.#left = left;
    handle.onerror = (_message, _number, code) => {
      this.#failure = code;
    };
  }

  /** Begins a new body. */
  reset(): void {
    this.#handle.reset();
  }

  /**
   * One step with the input from `at` on.
   *
   * @returns the output, as a view that the next step overwrites, and the unread bytes of the input; or zlib's own error
   */
  step(
    flush: number,
    input: Uint8Array,
    at: number,
  ): { readonly output: Uint8Array; readonly rest: number; readonly failure: string } {
    this.#failure = '';
    this.#handle.writeSync(flush, input, at, input.byteLength - at, this.#output, 0, PIECE_BYTES);
    const [room = 0, rest = 0] = this.#left;
    return { output: this.#output.subarray(0, PIECE_BYTES - room), rest, failure: this.#failure };
  }
}

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
