/** Chunks of build outputs, as they lie in the store and as they are: `zstd` is one frame a chunk. */

import { constants, createZstdDecompress } from 'node:zlib';
import type { Encoding } from '../core/build-cache-port.ts';
import { FRAME_WINDOW_LOG_MAX } from '../core/build-cache-wire.ts';
import { BadRequest } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import { PIECE_BYTES, ZlibHandle } from '../core/zlib-handle.ts';
import { zstdWindowBytes } from '../core/zstd-frames.ts';

/**
 * The content of one chunk.
 *
 * @throws {BadRequest} it can't be unpacked, or has over CHUNK_BYTES of content
 */
export function unpackChunk(bytes: Uint8Array, encoding: Encoding): Uint8Array {
  const content = lendChunk(bytes, encoding);
  return content === bytes ? bytes : content.slice();
}

/** The same, to be read before the next call: then its bytes are others. A hash needs no copy. */
export function lendChunk(bytes: Uint8Array, encoding: Encoding): Uint8Array {
  const content = encoding === 'zstd' ? unpack(bytes) : bytes;
  if (content.byteLength <= CHUNK_BYTES) return content;
  throw new BadRequest(`chunk of ${content.byteLength} bytes: over ${CHUNK_BYTES}`);
}

/** One for each thread. A call of zlib makes a context for each chunk: 30 % more CPU, and Node frees it only when V8 collects. */
let handle: ZlibHandle | undefined;

function unpack(bytes: Uint8Array): Uint8Array {
  // A context that is used again has zlib's own bound, of 128 MiB.
  if (zstdWindowBytes(bytes) > 2 ** FRAME_WINDOW_LOG_MAX)
    throw new BadRequest('cannot unpack chunk: its window is too long');
  handle ??= new ZlibHandle(createZstdDecompress({ chunkSize: 64 }));
  handle.reset();
  const { output, rest, failure } = handle.step(constants.ZSTD_e_end, bytes, 0);
  // One that fills the output to its last byte may have more.
  const isOver = rest > 0 || (output.byteLength === PIECE_BYTES && hasMore(handle));
  if (failure === '' && !isOver) return output;
  handle = undefined; // An error stays in it.
  throw new BadRequest(`cannot unpack chunk: ${failure || `not one frame of up to ${CHUNK_BYTES} bytes`}`);
}

function hasMore(of: ZlibHandle): boolean {
  const { output, failure } = of.step(constants.ZSTD_e_end, NOTHING, 0);
  return failure !== '' || output.byteLength > 0;
}

const NOTHING = new Uint8Array(0);
