/**
 * SHA-256 of the content of blobs that grow in this process, taken chunk by chunk as they come.
 *
 * One that is out of step, after a restart or an undone transaction say, is not here: its rows are read instead.
 */

import { createHash, type Hash } from 'node:crypto';
import { CHUNK_BYTES } from '../core/limits.ts';

/** The SHA-256 and the size of a content. */
export type Content = { readonly sha256: Buffer; readonly size: number };

type Running = { readonly hash: Hash; nextSeq: number; bytes: number };

export class GrowingHashes {
  readonly #running = new Map<number, Running>();

  /** Takes the content of chunk `seq` in. */
  add(blob: number, seq: number, content: Uint8Array): void {
    if (seq === 0) this.#running.set(blob, { hash: createHash('sha256'), nextSeq: 0, bytes: 0 });
    const running = this.#running.get(blob);
    // Behind a chunk that is not full none may come.
    if (running?.nextSeq !== seq || running.bytes !== seq * CHUNK_BYTES) {
      this.#running.delete(blob);
      return;
    }
    running.hash.update(content);
    running.nextSeq++;
    running.bytes += content.byteLength;
  }

  /** The hash and size of all that came, where all of it came through here; the blob is forgotten. */
  take(blob: number): Content | undefined {
    const running = this.#running.get(blob);
    this.#running.delete(blob);
    return running && { sha256: running.hash.digest(), size: running.bytes };
  }

  drop(blob: number): void {
    this.#running.delete(blob);
  }

  /** Forgets all hashes, as their chunks may have been rolled back. */
  clear(): void {
    this.#running.clear();
  }
}
