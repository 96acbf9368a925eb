/** The body of an output that is put as deltas: 4 bytes for the length of each, then the delta. */

import { BadRequest } from './errors.ts';
import { CHUNK_BYTES } from './limits.ts';

/** Of new bytes alone: all of a chunk, and numbers. */
const DELTA_BYTES_MAX = CHUNK_BYTES + 64;
const HEAD_BYTES = 4;

/** One delta with its length before it. */
export function encodeDeltaFrame(delta: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(delta.byteLength);
  return Buffer.concat([head, delta]);
}

/**
 * Gives delta by delta; each has a buffer of its own.
 *
 * @throws {BadRequest} one is too long, or cut
 */
export async function* deltaFrames(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const frame = Buffer.alloc(HEAD_BYTES + DELTA_BYTES_MAX);
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.byteLength; ) {
      const length = filled < HEAD_BYTES ? 0 : frame.readUInt32LE();
      if (length > DELTA_BYTES_MAX) throw new BadRequest(`delta of ${length} bytes`);
      const wanted = HEAD_BYTES + length;
      const part = piece.subarray(at, at + wanted - filled);
      frame.set(part, filled);
      filled += part.byteLength;
      at += part.byteLength;
      if (filled < HEAD_BYTES || filled < HEAD_BYTES + Math.min(frame.readUInt32LE(), DELTA_BYTES_MAX + 1))
        continue;
      yield new Uint8Array(frame.subarray(HEAD_BYTES, filled));
      filled = 0;
    }
  }
  if (filled > 0) throw new BadRequest('a delta is cut');
}
