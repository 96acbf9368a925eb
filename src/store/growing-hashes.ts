/**
 * SHA-256 of blobs that grow in this process, taken chunk by chunk as they come.
 *
 * One that is out of step, after a restart or an undone transaction say, is not here: its rows are read instead.
 */

import { createHash, type Hash } from 'node:crypto';

type Running = { readonly hash: Hash; nextSeq: number; bytes: number };

export class GrowingHashes {
  readonly #running = new Map<number, Running>();

  /** Takes chunk `seq` in. */
  add(blob: number, seq: number, bytes: Uint8Array): void {
    if (seq === 0) this.#running.set(blob, { hash: createHash('sha256'), nextSeq: 0, bytes: 0 });
    const running = this.#running.get(blob);
    if (running?.nextSeq !== seq) {
      this.#running.delete(blob);
      return;
    }
    running.hash.update(bytes);
    running.nextSeq++;
    running.bytes += bytes.byteLength;
  }

  /** The hash of all `size` bytes, where they all came through here; the blob is forgotten either way. */
  take(blob: number, size: number): Buffer | undefined {
    const running = this.#running.get(blob);
    this.#running.delete(blob);
    return running?.bytes === size ? running.hash.digest() : undefined;
  }

  drop(blob: number): void {
    this.#running.delete(blob);
  }

  /** Forgets all: what was hashed may have been rolled back. */
  clear(): void {
    this.#running.clear();
  }
}
