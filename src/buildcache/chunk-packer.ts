/**
 * Packs the chunks of one output with zstd, if that pays: Go's archives shrink to a quarter, and an SD card is below.
 *
 * libuv's threads do the work, so the front thread only waits. The first chunk decides for the whole output.
 */

import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import type { Encoding } from '../core/build-cache-port.ts';
import { noteZstdCall } from '../core/zstd-contexts.ts';

const compress = promisify(zstdCompress);

/** Level 1: of 169 MB (go build std) it leaves 44 MB in 0.65 s of CPU; level 3 leaves 42 MB in 1.7 s. */
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

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
    const packed = new Uint8Array(await compress(content, LEVEL)); // With a buffer of its own, to be moved.
    noteZstdCall();
    this.#encoding ??= packed.byteLength <= content.byteLength * PART_MAX ? 'zstd' : 'identity';
    return { encoding: this.#encoding, bytes: this.#encoding === 'zstd' ? packed : content };
  }
}
