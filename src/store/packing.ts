/** Chunks of build outputs, as they lie in the store and as they are: `zstd` is one frame a chunk. */

import { zstdDecompressSync } from 'node:zlib';
import type { Encoding } from '../core/build-cache-port.ts';
import { BadRequest, messageOf } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';

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
    return zstdDecompressSync(bytes, { maxOutputLength: CHUNK_BYTES });
  } catch (cause) {
    throw new BadRequest(`cannot unpack chunk: ${messageOf(cause)}`, { cause });
  }
}
