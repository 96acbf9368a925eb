/**
 * Frames on a byte stream: four bytes of length, big end first, and one msgpackr value.
 *
 * For the control socket, whose other end is a process of its own: nothing can be moved there, and
 * what comes may be anything. Keeps out what the values mean.
 */

import { BadRequest, messageOf } from '../core/errors.ts';
import { Packr, Unpackr } from './msgpackr.ts';

const HEAD_BYTES = 4;

// Without records every message says its own field names, so that none depends on one before it.
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

/** Cuts a stream of bytes into the values of its frames. Holds one frame at most, and what came behind it. */
export class StreamFrames {
  readonly #bytesMax: number;
  #pieces: Uint8Array[] = [];
  #held = 0;
  /** What must be here before there is more to do. */
  #needed = HEAD_BYTES;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether it is in the middle of a frame. */
  get isPartial(): boolean {
    return this.#held > 0;
  }

  /**
   * Takes bytes in; they must not be written to any more.
   *
   * @returns the values that are whole now, each with the bytes of its frame; byte fields are views of it
   * @throws {BadRequest} a frame over the bound, or one that is no value
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

  /** All that is held as one piece: joined once when a head is here and once when its frame is. */
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
    throw new BadRequest(`frame that is no message: ${messageOf(cause)}`, { cause });
  }
}
