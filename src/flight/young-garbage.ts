/**
 * Frees the buffers that sockets were read into, as soon as their bytes were copied.
 *
 * Each buffer holds up to 64 KiB outside V8's heap, but only a few hundred bytes inside. So V8 does not collect them
 * until there are 64 MiB of them, and then a full collection stops the thread. Buffers that cannot be freed by hand
 * are left to a minor collection after every few megabytes. It finds them all young and takes about a millisecond.
 */

import { type Collect, findCollector } from '../core/collector.ts';

/** Bytes between two minor collections. At half, they cost 1 % of a fast line's CPU; at double, memory doubles. */
const ROUND_BYTES = 16 * 1024 * 1024;

/** A shorter buffer may be part of the pool that Node cuts small buffers from. Others use that pool too. */
const FREED_BYTES_MIN = 16 * 1024;

// Node 22's own size. Node 24's pools have 64 KiB, and could not be told from a socket's buffer.
Buffer.poolSize = Math.min(Buffer.poolSize, FREED_BYTES_MIN / 2);

/** It was made before, and may be larger. */
const FIRST_POOL = Buffer.allocUnsafe(1).buffer;

export class YoungGarbage {
  readonly #roundBytes: number;
  #collect: Collect | undefined;
  #bytes = 0;

  /** @param roundBytes garbage between two minor collections */
  constructor(roundBytes = ROUND_BYTES) {
    this.#roundBytes = roundBytes;
  }

  /**
   * Tells that a piece was copied and that nobody needs it any more. If the piece ends its buffer, the buffer is freed
   * and the piece is empty after this call. Otherwise a parser may still need the bytes behind the piece.
   */
  took({ buffer, byteOffset, byteLength }: Uint8Array): void {
    const isLast = byteOffset + byteLength === buffer.byteLength;
    const isOwn = buffer.byteLength >= FREED_BYTES_MIN && buffer !== FIRST_POOL;
    if (isLast && isOwn && buffer instanceof ArrayBuffer) buffer.transfer(0);
    else this.note(byteLength);
  }

  /** Tells that so many bytes outside the heap have become garbage. */
  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < this.#roundBytes) return;
    this.#bytes = 0;
    this.#collect ??= findCollector();
    this.#collect({ type: 'minor' });
  }
}
