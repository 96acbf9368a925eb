/** The last bytes of a stream, kept to recognise them when they come again. */

export class Tail {
  readonly #bytesMax: number;
  // Made when it is needed: most small files have no use for it.
  #bytes = new Uint8Array();
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Copies: the stream's own buffers are not held. */
  push(piece: Uint8Array): void {
    const max = this.#bytesMax;
    if (this.#bytes.byteLength === 0) this.#bytes = new Uint8Array(max);
    const added = piece.byteLength > max ? piece.subarray(piece.byteLength - max) : piece;
    const kept = Math.min(this.#length, max - added.byteLength);
    this.#bytes.copyWithin(0, this.#length - kept, this.#length);
    this.#bytes.set(added, kept);
    this.#length = kept + added.byteLength;
  }

  /**
   * Whether `piece` has the same bytes as the stream had there.
   *
   * @param from the place of its first byte, counted from the end of the stream so far: negative. Bytes before the tail
   * are not compared
   */
  matches(piece: Uint8Array, from: number): boolean {
    const start = this.#length + from;
    const known = start < 0 ? piece.subarray(Math.min(-start, piece.byteLength)) : piece;
    const at = Math.max(start, 0);
    return Buffer.compare(known, this.#bytes.subarray(at, at + known.byteLength)) === 0;
  }
}
