/**
 * The frames of a zstd stream, told apart without unpacking them.
 *
 * The build cache keeps and sends one frame for each chunk of an output, so both ends need to know where one ends.
 * Follows RFC 8878, section 3.1.
 */

import { BadRequest } from './errors.ts';

/**
 * Gives frame by frame; each has a buffer of its own. What is in a frame is not looked at.
 *
 * @param pieces each is lent until the next one is asked for
 * @param frameBytesMax a longer frame is refused
 * @throws {BadRequest} not the frames of a zstd stream, one over the bound, or one that is cut
 */
export async function* zstdFrames(
  pieces: AsyncIterable<Uint8Array>,
  frameBytesMax: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let buffer = new Uint8Array(0);
  let filled = 0;
  let walk = new FrameWalk();
  for await (const piece of pieces) {
    for (let from = 0; from < piece.byteLength; ) {
      const part = piece.subarray(from, from + frameBytesMax - filled);
      if (part.byteLength === 0) throw new BadRequest(`zstd frame of over ${frameBytesMax} bytes`);
      buffer = withRoom(buffer, filled, part.byteLength, frameBytesMax);
      buffer.set(part, filled);
      filled += part.byteLength;
      from += part.byteLength;
      let start = 0;
      for (let end = walk.end(buffer, filled); end !== undefined; end = walk.end(buffer, filled)) {
        yield buffer.slice(start, end);
        start = end;
        walk = new FrameWalk(start);
      }
      if (start === 0) continue;
      buffer.copyWithin(0, start, filled);
      filled -= start;
      walk.moveBy(-start);
    }
  }
  if (filled > 0) throw new BadRequest('zstd frame that is cut');
}

/** Not more than has come, and as much again: many short bodies are read at one time. */
function withRoom(
  buffer: Uint8Array<ArrayBuffer>,
  filled: number,
  bytes: number,
  bytesMax: number,
): Uint8Array<ArrayBuffer> {
  if (filled + bytes <= buffer.byteLength) return buffer;
  const grown = new Uint8Array(filled === 0 ? bytes : Math.min(2 * (filled + bytes), bytesMax));
  grown.set(buffer.subarray(0, filled));
  return grown;
}

/**
 * Bytes that unpacking a frame needs to look back at, as its head says: a decoder allocates them at once.
 *
 * @returns Infinity where the head is cut; what is no frame has any number
 */
export function zstdWindowBytes(frame: Uint8Array): number {
  const head = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  try {
    const descriptor = head.getUint8(MAGIC.length);
    const at = MAGIC.length + 1;
    if ((descriptor & 0x20) === 0) {
      const window = head.getUint8(at);
      return 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8);
    }
    // A single segment: all of the content.
    const from = at + ([0, 1, 2, 4][descriptor & 3] ?? 0);
    if (descriptor >> 6 === 0) return head.getUint8(from);
    if (descriptor >> 6 === 1) return head.getUint16(from, true) + 256;
    return descriptor >> 6 === 2 ? head.getUint32(from, true) : Number(head.getBigUint64(from, true));
  } catch {
    return Infinity;
  }
}

/** One frame's headers, read as they come: none of them twice. */
class FrameWalk {
  /** Where the next header is. */
  #at: number;
  #state: 'head' | 'blocks' | 'done' = 'head';
  #checksumBytes = 0;

  constructor(start = 0) {
    this.#at = start;
  }

  moveBy(bytes: number): void {
    this.#at += bytes;
  }

  /** Where the frame ends; undefined where that is not among the bytes yet. @throws {BadRequest} no frame */
  end(bytes: Uint8Array, filled: number): number | undefined {
    if (this.#state === 'head' && !this.#readHead(bytes, filled)) return undefined;
    while (this.#state === 'blocks') {
      if (this.#at + BLOCK_HEAD_BYTES > filled) return undefined;
      const [low = 0, middle = 0, high = 0] = bytes.subarray(this.#at, this.#at + BLOCK_HEAD_BYTES);
      const type = (low >> 1) & 3;
      if (type === RESERVED) throw new BadRequest('no zstd frame: a block of a reserved type');
      const size = (low >> 3) | (middle << 5) | (high << 13);
      this.#at += BLOCK_HEAD_BYTES + (type === RUN ? 1 : size);
      if ((low & 1) === 1) {
        this.#at += this.#checksumBytes;
        this.#state = 'done';
      }
    }
    return this.#at <= filled ? this.#at : undefined;
  }

  /** False: it is not there yet. */
  #readHead(bytes: Uint8Array, filled: number): boolean {
    const head = bytes.subarray(this.#at, Math.min(filled, this.#at + MAGIC.length + 1));
    if (!MAGIC.every((byte, at) => at >= head.byteLength || head[at] === byte))
      throw new BadRequest('no zstd frame');
    const descriptor = head[MAGIC.length];
    if (descriptor === undefined) return false;
    const isSingle = (descriptor & 0x20) !== 0;
    const contentSizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
    this.#checksumBytes = (descriptor & 4) === 0 ? 0 : 4;
    this.#at += MAGIC.length + 1 + (isSingle ? 0 : 1) + dictionaryBytes + contentSizeBytes;
    this.#state = 'blocks';
    return true;
  }
}

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
const BLOCK_HEAD_BYTES = 3;
const RUN = 1;
const RESERVED = 3;
