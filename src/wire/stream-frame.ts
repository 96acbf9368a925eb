/**
 * Frames on a byte stream: four bytes of length, most significant first, then one msgpackr value.
 *
 * The control socket uses them. Its other end is another process: buffers cannot be moved to it, and any bytes may come
 * from it. This file does not know the values' meaning.
 */

import { BadRequest, messageOf } from '../core/errors.ts';
import { Packr, Unpackr } from './msgpackr.ts';

const HEAD_BYTES = 4;

// Without records each message holds its own field names, so that none depends on an earlier one.
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

/** One value as a frame. */
export function packStreamFrame(value: unknown): Buffer {
  const packed = packr.pack(value);
  const frame = Buffer.allocUnsafeSlow(HEAD_BYTES + packed.byteLength);
  frame.writeUInt32BE(packed.byteLength);
  frame.set(packed, HEAD_BYTES);
  return frame;
}

/** Splits a byte stream into the values of its frames. It holds at most one frame and the rest of the last piece. */
export class StreamFrames {
  readonly #bytesMax: number;
  #pieces: Uint8Array[] = [];
  #held = 0;
  /** The bytes that must be held before the next step: a length, or a whole frame. */
  #needed = HEAD_BYTES;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether the stream is in the middle of a frame. */
  get isPartial(): boolean {
    return this.#held > 0;
  }

  /**
   * Takes the next bytes of the stream. The caller must not change them afterwards.
   *
   * @returns the values that are complete now, each with the size of its frame; byte fields are views of the frame
   * @throws {BadRequest} a frame over the bound, or one that holds no value
   */
  push(bytes: Uint8Array): { readonly value: unknown; readonly bytes: number }[] {
    this.#pieces.push(bytes);
    this.#held += bytes.byteLength;
    const values: { value: unknown; bytes: number }[] = [];
    while (this.#held >= this.#needed) {
      const whole = this.#joined();
      const size = whole.readUInt32BE(0);
      if (size > this.#bytesMax) throw new BadRequest(`frame of ${size} bytes: over ${this.#bytesMax}`);
      this.#needed = HEAD_BYTES + size;
      if (this.#held < this.#needed) break;
      values.push({ value: unpack(whole.subarray(HEAD_BYTES, this.#needed)), bytes: size });
      this.#pieces = [whole.subarray(this.#needed)];
      this.#held -= this.#needed;
      this.#needed = HEAD_BYTES;
    }
    return values;
  }

  /** All held bytes as one piece. They are joined when a length is complete and when its frame is. */
  #joined(): Buffer {
    const [only] = this.#pieces;
    const whole =
      this.#pieces.length === 1 && only !== undefined
        ? Buffer.from(only.buffer, only.byteOffset, only.byteLength)
        : Buffer.concat(this.#pieces);
    this.#pieces = [whole];
    return whole;
  }
}

function unpack(packed: Uint8Array): unknown {
  try {
    return unpackr.unpack(packed);
  } catch (cause) {
    throw new BadRequest(`a frame holds no message: ${messageOf(cause)}`, { cause });
  }
}
