/**
 * The source of a zip's bytes: chunk rows of the store, or one buffer.
 *
 * Reads are synchronous, because a zip is checked in a builder thread that has nothing else
 * to do. Keeps out what the bytes mean: `zip-end.ts` and its neighbours know that.
 */

/** Random access to `size` bytes that do not change. */
export type ByteSource = {
  readonly size: number;
  /**
   * At least 1 and at most `length` bytes from `offset` on; fewer where a chunk ends. Callers ask
   * only within bounds and never write to what they get.
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

/** The same range as {@link readExactly}, in pieces of at most `PIECE_BYTES_MAX`, nothing gathered. */
export function* readPieces(source: ByteSource, { offset, length }: Range): Generator<Buffer> {
  const end = offset + length;
  for (let at = offset; at < end; ) {
    const piece = readSome(source, { offset: at, length: Math.min(PIECE_BYTES_MAX, end - at) });
    yield piece;
    at += piece.byteLength;
  }
}

/**
 * A view of `source` that reads ahead and keeps the last piece, so that a walk over many small
 * ranges in file order costs one read for each `aheadBytes`, not one for each range.
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

// As large as a chunk of the store: a larger piece would not come in one read.
const PIECE_BYTES_MAX = 256 * 1024;

/** One read, held to the contract of {@link ByteSource}; what breaks it is a bug, not a bad zip. */
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
