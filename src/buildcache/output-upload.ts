/** One output on its way into the store: in chunks as it comes, so that no large one is ever held whole. */

import { BadRequest, isServeError, messageOf, TooLarge } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import { ChunkPacker } from './chunk-packer.ts';
import { BUILD_OUTPUT_BYTES_MAX } from './limits.ts';

export type OutputUpload = {
  readonly store: Pick<
    Store,
    'putOutput' | 'openOutput' | 'putChunk' | 'sealOutput' | 'dropBlob' | 'nextBlob' | 'waitForRoom'
  >;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly outputId: string;
  /** The bytes as they come; rejects where no more can come. */
  readonly body: AsyncIterable<Uint8Array>;
};

/**
 * @returns whether it was not stored before
 * @throws {BadRequest} its SHA-256 is another
 * @throws {TooLarge} over BUILD_OUTPUT_BYTES_MAX
 * @throws what `body` rejects with; nothing of it is kept
 */
export async function uploadOutput({ store, clock, outputId, body }: OutputUpload): Promise<boolean> {
  const blob = store.nextBlob();
  const packer = new ChunkPacker();
  const nowMs = clock.wallMs();
  let seq = 0;
  let size = 0;
  let isOpened = false;
  try {
    let last: Uint8Array = NOTHING;
    for await (const chunk of chunksOf(body)) {
      if (last.byteLength > 0) {
        const { encoding, bytes } = await packer.pack(last);
        if (!isOpened) await store.openOutput({ blob, outputId, encoding, nowMs });
        isOpened = true;
        await store.waitForRoom();
        await store.putChunk({ blob, seq: seq++, bytes });
      }
      size += chunk.byteLength;
      if (size > BUILD_OUTPUT_BYTES_MAX)
        throw new TooLarge(`cannot take output: over ${BUILD_OUTPUT_BYTES_MAX} bytes`);
      last = chunk;
    }
    if (!isOpened) {
      const packed = await packer.pack(last);
      return (await store.putOutput({ blob, outputId, size, nowMs, ...packed })).isNew;
    }
    await store.putChunk({ blob, seq, bytes: (await packer.pack(last)).bytes });
    return (await store.sealOutput({ blob, outputId, size, nowMs })).isNew;
  } catch (error) {
    if (isOpened) await store.dropBlob({ blob }).catch(() => {}); // The tidy does it later.
    // It is the client's own error here, not an upstream's.
    if (isServeError(error) && error.kind === 'check-failed') throw new BadRequest(messageOf(error));
    throw error;
  }
}

/** Chunks of CHUNK_BYTES, the last one less; one empty chunk of an empty body. Each has a buffer of its own. */
async function* chunksOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let chunk = new Uint8Array(CHUNK_BYTES);
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.byteLength; ) {
      if (filled === CHUNK_BYTES) {
        yield chunk;
        chunk = new Uint8Array(CHUNK_BYTES);
        filled = 0;
      }
      const part = piece.subarray(at, at + CHUNK_BYTES - filled);
      chunk.set(part, filled);
      filled += part.byteLength;
      at += part.byteLength;
    }
  }
  yield chunk.slice(0, filled);
}

const NOTHING = new Uint8Array(0);
