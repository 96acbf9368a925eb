/** One output on its way into the store: in chunks as it comes, so that no large one is ever held whole. */

import type { Encoding } from '../core/build-cache-port.ts';
import { FRAME_BYTES_MAX } from '../core/build-cache-wire.ts';
import { BadRequest, isServeError, messageOf, TooLarge } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import { zstdFrames } from '../core/zstd-frames.ts';
import { ChunkPacker } from './chunk-packer.ts';
import { BUILD_OUTPUT_BYTES_MAX } from './limits.ts';

/** One chunk as it is stored. All of an output have one encoding. */
export type StoredChunk = {
  readonly encoding: Encoding;
  readonly bytes: Uint8Array;
  /** Of the output, up to and with this chunk. */
  readonly sizeSoFar: number;
};

export type OutputUpload = {
  readonly store: Pick<
    Store,
    'putOutput' | 'openOutput' | 'putChunk' | 'sealOutput' | 'dropBlob' | 'nextBlob' | 'waitForRoom'
  >;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly outputId: string;
  /** At least one; rejects where no more can come. Their bytes are given away: they are freed. */
  readonly chunks: AsyncIterable<StoredChunk>;
};

/**
 * @returns whether it was not stored before
 * @throws {BadRequest} its SHA-256 is another, or a chunk before the last one is not full
 * @throws {TooLarge} over BUILD_OUTPUT_BYTES_MAX
 * @throws what `chunks` rejects with; nothing of it is kept
 */
export async function uploadOutput({ store, clock, outputId, chunks }: OutputUpload): Promise<boolean> {
  const blob = store.nextBlob();
  const nowMs = clock.wallMs();
  let seq = 0;
  let isOpened = false;
  try {
    let last: StoredChunk | undefined;
    for await (const chunk of chunks) {
      if (chunk.sizeSoFar > BUILD_OUTPUT_BYTES_MAX)
        throw new TooLarge(`cannot take output: over ${BUILD_OUTPUT_BYTES_MAX} bytes`);
      if (last !== undefined) {
        if (!isOpened) await store.openOutput({ blob, outputId, encoding: last.encoding, nowMs });
        isOpened = true;
        await store.waitForRoom();
        await store.putChunk({ blob, seq: seq++, bytes: last.bytes });
        freeBytes(last.bytes);
      }
      last = chunk;
    }
    if (last === undefined) throw new BadRequest('cannot take output: no chunk of it');
    const { encoding, bytes, sizeSoFar: size } = last;
    if (!isOpened) {
      const { isNew } = await store.putOutput({ blob, outputId, size, nowMs, encoding, bytes });
      freeBytes(bytes);
      return isNew;
    }
    await store.putChunk({ blob, seq, bytes });
    freeBytes(bytes);
    return (await store.sealOutput({ blob, outputId, size, nowMs })).isNew;
  } catch (error) {
    if (isOpened) await store.dropBlob({ blob }).catch(() => {}); // The tidy does it later.
    // It is the client's own error here, not an upstream's.
    if (isServeError(error) && error.kind === 'check-failed') throw new BadRequest(messageOf(error));
    throw error;
  }
}

/** Chunks of an output that comes plain, packed if that pays. @param body each piece is lent until the next one is asked for */
export async function* packedChunks(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<StoredChunk, void, void> {
  const packer = new ChunkPacker();
  let sizeSoFar = 0;
  for await (const chunk of chunksOf(body)) {
    sizeSoFar += chunk.byteLength;
    yield { ...(await packer.pack(chunk)), sizeSoFar };
  }
}

/** An output of one chunk, packed if that pays. @param bytes at most CHUNK_BYTES; the caller gives them away */
export async function* packedChunk(bytes: Uint8Array): AsyncGenerator<StoredChunk, void, void> {
  const sizeSoFar = bytes.byteLength;
  yield { ...(await new ChunkPacker().pack(bytes)), sizeSoFar };
}

/**
 * Chunks of an output that comes packed, one frame each. The writer unpacks them, and finds those that are not full.
 *
 * @param body each piece is lent until the next one is asked for
 * @param size the output's, as its client states it: it bounds the frames, and the writer checks it
 * @throws {BadRequest} no zstd, or other frames than an output of that size has
 */
export async function* framedChunks(
  body: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<StoredChunk, void, void> {
  const count = Math.max(1, Math.ceil(size / CHUNK_BYTES));
  let frames = 0;
  for await (const bytes of zstdFrames(body, FRAME_BYTES_MAX)) {
    if (++frames > count) throw new BadRequest(`cannot take output: over ${count} frames`);
    yield { encoding: 'zstd', bytes, sizeSoFar: frames === count ? size : frames * CHUNK_BYTES };
  }
  if (frames < count) throw new BadRequest(`cannot take output: ${frames} frames of ${count}`);
}

/**
 * Chunks of CHUNK_BYTES, the last one less; one empty chunk of an empty body. Each has a buffer of its own.
 *
 * @param pieces each is lent until the next one is asked for
 */
async function* chunksOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const chunk = new GrowingChunk();
  for await (const piece of pieces) {
    for (let at = 0; at < piece.byteLength; ) {
      if (chunk.size === CHUNK_BYTES) yield chunk.take();
      const part = piece.subarray(at, at + CHUNK_BYTES - chunk.size);
      chunk.add(part);
      at += part.byteLength;
    }
  }
  yield chunk.take();
}

/** Holds little more than what has come: with 256 puts in one request, a buffer of a chunk for each would take 64 MiB. */
class GrowingChunk {
  #buffer = new Uint8Array(0);
  size = 0;

  /** @param part it fits in */
  add(part: Uint8Array): void {
    const size = this.size + part.byteLength;
    if (size > this.#buffer.byteLength) this.#grow(this.size === 0 ? size : Math.min(2 * size, CHUNK_BYTES));
    this.#buffer.set(part, this.size);
    this.size = size;
  }

  take(): Uint8Array {
    const taken = this.size === this.#buffer.byteLength ? this.#buffer : this.#buffer.slice(0, this.size);
    if (taken !== this.#buffer) freeBytes(this.#buffer);
    this.#buffer = new Uint8Array(0);
    this.size = 0;
    return taken;
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(bytes);
    grown.set(this.#buffer.subarray(0, this.size));
    freeBytes(this.#buffer);
    this.#buffer = grown;
  }
}
