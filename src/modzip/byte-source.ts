/**
 * The source of a zip's bytes: chunk rows of the store, or one buffer.
 *
 * Reads are synchronous, as a builder thread that checks a zip has nothing else to do. This file does not know the
 * meaning of the bytes; `zip-end.ts` and its neighbours do.
 */

/** Random access to `size` bytes that do not change. */
export type ByteSource = {
  readonly size: number;
  /**
   * Reads at least 1 and at most `length` bytes from `offset` on; fewer than `length` if a chunk ends. Callers stay
   * within bounds and never write to the returned bytes.
   */
  read(offset: number, length: number): Uint8Array;
};

/** A source over bytes in memory; its reads are views, not copies. */
export function bufferSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.byteLength,
    read: (offset, length) => bytes.subarray(offset, offset + length),
  };
}

/** The `length` bytes at `offset`, in as many reads as it takes. The range must lie inside the source. */
export function readExactly(source: ByteSource, { offset, length }: Range): Buffer {
  if (length === 0) return Buffer.alloc(0);
  const first = readSome(source, { offset, length });
  if (first.byteLength === length) return first;
  const whole = Buffer.allocUnsafe(length);
  whole.set(first);
  for (let filled = first.byteLength; filled < length; ) {
    const piece = readSome(source, { offset: offset + filled, length: length - filled });
    whole.set(piece, filled);
    filled += piece.byteLength;
  }
  return whole;
}

/** Reads a range as {@link readExactly} does, but in pieces of at most `PIECE_BYTES_MAX`. */
export function* readPieces(source: ByteSource, { offset, length }: Range): Generator<Buffer> {
  const end = offset + length;
  for (let at = offset; at < end; ) {
    const piece = readSome(source, { offset: at, length: Math.min(PIECE_BYTES_MAX, end - at) });
    yield piece;
    at += piece.byteLength;
  }
}

/**
 * A view of `source` that reads ahead and keeps the last piece. A walk over many small ranges in file order then costs
 * one read for each `aheadBytes`, not one for each range.
 */
export function readAhead(source: ByteSource, aheadBytes: number): ByteSource {
  let start = 0;
  let held: Buffer = Buffer.alloc(0);
  return {
    size: source.size,
    read(offset, length) {
      if (offset < start || offset >= start + held.byteLength) {
        held = readSome(source, {
          offset,
          length: Math.min(Math.max(length, aheadBytes), source.size - offset),
        });
        start = offset;
      }
      return held.subarray(offset - start, offset - start + length);
    },
  };
}

/** `length` bytes from `offset` on. */
export type Range = { readonly offset: number; readonly length: number };

// The size of a chunk of the store, as one read gives no more than a chunk.
const PIECE_BYTES_MAX = 256 * 1024;

/** Makes one read and checks the contract of {@link ByteSource}. A breach is a bug, not a bad zip. */
function readSome(source: ByteSource, { offset, length }: Range): Buffer {
  if (offset < 0 || offset + length > source.size) {
    throw new RangeError(`cannot read bytes: ${length} at ${offset} of ${source.size}`);
  }
  const piece = source.read(offset, length);
  if (piece.byteLength === 0 || piece.byteLength > length) {
    throw new RangeError(`cannot read bytes: ${piece.byteLength} came for ${length} at ${offset}`);
  }
  return Buffer.isBuffer(piece) ? piece : Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
}
