/**
 * The window of a download that can't be stored: a few chunks, held until its slowest client has them.
 *
 * For when the disk is full. Clients that were there when a chunk was let go still get the whole;
 * who comes later can't, and is told to come again.
 */

import { CHUNK_BYTES, WINDOW_CHUNKS_MAX } from '../core/limits.ts';

/** How far a client has read. */
export type Position = { offset: number };

export class PassThrough {
  readonly #chunks = new Map<number, Uint8Array>();
  readonly #readers = new Set<Position>();
  #onMove: (() => void) | undefined;
  /** Whether a chunk was let go: the beginning can't be had any more. */
  hasLost = false;

  get(seq: number): Uint8Array | undefined {
    return this.#chunks.get(seq);
  }

  put(seq: number, bytes: Uint8Array): void {
    this.#chunks.set(seq, bytes);
  }

  /** What it held is of no use: the file begins anew. */
  startAgain(): void {
    this.#chunks.clear();
    this.hasLost = false;
  }

  /** All the chunks from the first on, where none was stored and none let go. */
  whole(chunks: number): Uint8Array[] | undefined {
    const parts = Array.from({ length: chunks }, (_, seq) => this.#chunks.get(seq));
    return parts.every((part) => part !== undefined) ? parts : undefined;
  }

  /** A client reads at its position. */
  moved(reader: Position): void {
    this.#readers.add(reader);
    this.#onMove?.();
  }

  left(reader: Position): void {
    this.#readers.delete(reader);
    this.#onMove?.();
  }

  /**
   * Waits until the window has room for one more chunk.
   *
   * @returns false when nobody reads any more, so that there is nothing to wait for
   */
  async waitForRoom(): Promise<boolean> {
    for (;;) {
      if (this.#chunks.size < WINDOW_CHUNKS_MAX) return true;
      if (this.#readers.size === 0) return false;
      this.#dropRead();
      if (this.#chunks.size < WINDOW_CHUNKS_MAX) return true;
      await new Promise<void>((resolve) => {
        this.#onMove = resolve;
      });
      this.#onMove = undefined;
    }
  }

  /** What every client has passed. Without clients that would be all of it. */
  #dropRead(): void {
    const slowest = Math.min(...Array.from(this.#readers, ({ offset }) => offset));
    for (const seq of this.#chunks.keys()) {
      if ((seq + 1) * CHUNK_BYTES > slowest) continue;
      this.#chunks.delete(seq);
      this.hasLost = true;
    }
  }
}
