/** Chunks of build outputs, as they lie in the store and as they are: `zstd` is one frame a chunk. */

import { constants, zstdDecompressSync } from 'node:zlib';
import type { Encoding } from '../core/build-cache-port.ts';
import { FRAME_WINDOW_LOG_MAX } from '../core/build-cache-wire.ts';
import { BadRequest, messageOf } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNK_BYTES, KiB } from '../core/limits.ts';
import { noteZstdCall } from '../core/zstd-contexts.ts';

/**
 * The content of one chunk.
 *
 * @throws {BadRequest} it can't be unpacked, or has over CHUNK_BYTES of content
 */
export function unpackChunk(bytes: Uint8Array, encoding: Encoding): Uint8Array {
  const content = encoding === 'zstd' ? unpack(bytes) : bytes;
  if (content.byteLength <= CHUNK_BYTES) return content;
  throw new BadRequest(`chunk of ${content.byteLength} bytes: over ${CHUNK_BYTES}`);
}

function unpack(bytes: Uint8Array): Uint8Array {
  try {
    // zlib's own 16 KiB would be joined, at twice the CPU, and left to V8.
    const room = Math.max(UNPACKED_BYTES_MIN, bytes.byteLength * UNPACKED_TIMES);
    const chunkSize = Math.min(CHUNK_BYTES, room) + 1; // One that is filled has zlib make another.
    const content = zstdDecompressSync(bytes, { maxOutputLength: CHUNK_BYTES, chunkSize, params: WINDOW });
    noteZstdCall();
    if (content.byteLength === content.buffer.byteLength) return content;
    const exact = new Uint8Array(content);
    freeBytes(new Uint8Array(content.buffer));
    return exact;
  } catch (cause) {
    throw new BadRequest(`cannot unpack chunk: ${messageOf(cause)}`, { cause });
  }
}

const WINDOW = { [constants.ZSTD_d_windowLogMax]: FRAME_WINDOW_LOG_MAX };

/** Room for a chunk that is unpacked, by its packed length: Go's archives have some four times as much. */
const UNPACKED_TIMES = 8;
/** Less would lie in Node's pool of small buffers, which has others in it and must not be freed. */
const UNPACKED_BYTES_MIN = Math.max(16 * KiB, Buffer.poolSize);
