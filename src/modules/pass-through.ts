/**
 * The window of a download that can't be stored, as the disk is full. It holds a few chunks until the slowest client
 * has read them.
 *
 * A chunk that all clients have read is dropped. These clients still get the whole file. A client that comes later
 * can't, and gets Busy.
 */

import { CHUNK_BYTES } from '../core/limits.ts';
import { WINDOW_CHUNKS_MAX } from './limits.ts';

/** A client's position: it has read the bytes before `offset`. */
export type Position = { offset: number };

export class PassThrough {
  readonly #chunks = new Map<number, Uint8Array>();
  readonly #readers = new Set<Position>();
  #onMove: (() => void) | undefined;
  /** Whether a chunk was dropped, so that a new client can't get the beginning. */
  hasLost = false;

  get(seq: number): Uint8Array | undefined {
    return this.#chunks.get(seq);
  }

  put(seq: number, bytes: Uint8Array): void {
    this.#chunks.set(seq, bytes);
  }

  /** Drops all chunks, as the file starts again from 0. */
  startAgain(): void {
    this.#chunks.clear();
    this.hasLost = false;
  }

  /** The first `chunks` chunks; undefined if the window lacks one of them. */
  whole(chunks: number): Uint8Array[] | undefined {
    const parts = Array.from({ length: chunks }, (_, seq) => this.#chunks.get(seq));
    return parts.every((part) => part !== undefined) ? parts : undefined;
  }

  /** Tells that a client has moved on to `reader.offset`. The first call adds the client. */
  moved(reader: Position): void {
    this.#readers.add(reader);
    this.#onMove?.();
  }

  /** Tells that a client is gone. */
  left(reader: Position): void {
    this.#readers.delete(reader);
    this.#onMove?.();
  }

  /**
   * Waits until the window has room for one more chunk.
   *
   * @returns false if the window is full and no client is left to wait for
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

  /** Drops the chunks that every client has read. To be called only with clients: without one, all chunks would go. */
  #dropRead(): void {
    const slowest = Math.min(...Array.from(this.#readers, ({ offset }) => offset));
    for (const seq of this.#chunks.keys()) {
      if ((seq + 1) * CHUNK_BYTES > slowest) continue;
      this.#chunks.delete(seq);
      this.hasLost = true;
    }
  }
}
