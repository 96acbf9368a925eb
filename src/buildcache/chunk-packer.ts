/**
 * Packs the chunks of one output with zstd, if that pays: Go's archives shrink to a quarter, and an SD card is below.
 *
 * libuv's threads do the work, so the front thread only waits. The first chunk decides for the whole output.
 */

import type { Encoding } from '../core/build-cache-port.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { packFrame } from './frame-packers.ts';

/** A shorter output takes one page of the store in either form. */
const PACKED_BYTES_MIN = 1024;

/** A packed first chunk that is longer than this part of its content does not pay for the unpacking. */
const PART_MAX = 0.9;

export class ChunkPacker {
  #encoding: Encoding | undefined;

  /** @param content one chunk; the caller gives it away */
  async pack(content: Uint8Array): Promise<{ readonly encoding: Encoding; readonly bytes: Uint8Array }> {
    if (content.byteLength < PACKED_BYTES_MIN) this.#encoding ??= 'identity';
    if (this.#encoding === 'identity') return { encoding: 'identity', bytes: content };
    const packed = await packFrame(content);
    this.#encoding ??= packed.byteLength <= content.byteLength * PART_MAX ? 'zstd' : 'identity';
    const [bytes, left] = this.#encoding === 'zstd' ? [packed, content] : [content, packed];
    freeBytes(left);
    return { encoding: this.#encoding, bytes };
  }
}
