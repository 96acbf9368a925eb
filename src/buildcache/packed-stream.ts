/** A packed output as its chunks lie in the store: one after the other they are a zstd stream. */

import type { ByteStream } from '../core/answer.ts';
import type { Store } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';

/** Memory's number of a packed chunk: more than any blob has chunks, so that plain ones have others. */
export const PACKED_SEQ = 2 ** 19;

export type PackedStreamOptions = {
  readonly memory: Pick<Memory, 'piece' | 'prefetch'>;
  readonly store: Pick<Store, 'getOutputChunk'>;
  readonly blob: number;
  readonly chunks: number;
  /** Of all packed chunks. */
  readonly size: number;
};

export class PackedStream implements ByteStream {
  readonly size: number;
  readonly #options: PackedStreamOptions;
  /** Where each chunk begins, as far as the reader has come. */
  readonly #starts: number[] = [0];

  constructor(options: PackedStreamOptions) {
    this.#options = options;
    this.size = options.size;
  }

  at(offset: number): Uint8Array | Promise<Uint8Array> {
    if (offset >= this.size) return new Uint8Array(0);
    const { memory, blob, chunks } = this.#options;
    let seq = this.#starts.length - 1;
    while (seq > 0 && (this.#starts[seq] ?? 0) > offset) seq--;
    if (seq + 1 < chunks) memory.prefetch(blob, PACKED_SEQ + seq + 1, this.#load);
    const piece = memory.piece(blob, PACKED_SEQ + seq, this.#load);
    return piece instanceof Promise
      ? piece.then(({ bytes }) => this.#from(bytes, seq, offset))
      : this.#from(piece.bytes, seq, offset);
  }

  readonly #load = ({ blob, seq }: { readonly blob: number; readonly seq: number }) =>
    this.#options.store.getOutputChunk({ blob, seq: seq - PACKED_SEQ, body: 'stored' });

  /** The rest of a chunk; where the reader is past it, that of the next. */
  #from(bytes: Uint8Array, seq: number, offset: number): Uint8Array | Promise<Uint8Array> {
    const start = this.#starts[seq] ?? 0;
    this.#starts[seq + 1] ??= start + bytes.byteLength;
    if (offset < start + bytes.byteLength) return bytes.subarray(offset - start);
    return seq + 1 < this.#options.chunks ? this.at(offset) : bytes.subarray(bytes.byteLength);
  }
}
