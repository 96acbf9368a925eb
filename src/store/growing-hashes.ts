/**
 * SHA-256 of the content of blobs that grow in this process, taken chunk by chunk as they come.
 *
 * One that is out of step, after a restart or an undone transaction say, is not here: its rows are read instead.
 */

import { createHash, type Hash } from 'node:crypto';
import { CHUNK_BYTES } from '../core/limits.ts';
import { PackageScan } from '../core/package-key.ts';

/** What a content is. */
export type Content = {
  readonly sha256: Buffer;
  readonly size: number;
  /** Of a Go archive, which package it is of: `core/package-key.ts`. */
  readonly packageKey: Buffer | undefined;
};

type Running = { readonly look: ContentLook; nextSeq: number };

/** Looks at a content as it comes. */
export class ContentLook {
  readonly #hash: Hash = createHash('sha256');
  readonly #scan = new PackageScan();
  size = 0;

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#scan.push(bytes);
    this.size += bytes.byteLength;
  }

  /** To be called once. */
  end(): Content {
    return { sha256: this.#hash.digest(), size: this.size, packageKey: this.#scan.key() };
  }
}

export class GrowingHashes {
  readonly #running = new Map<number, Running>();

  /** Takes the content of chunk `seq` in. */
  add(blob: number, seq: number, content: Uint8Array): void {
    if (seq === 0) this.#running.set(blob, { look: new ContentLook(), nextSeq: 0 });
    const running = this.#running.get(blob);
    // Behind a chunk that is not full none may come.
    if (running?.nextSeq !== seq || running.look.size !== seq * CHUNK_BYTES) {
      this.#running.delete(blob);
      return;
    }
    running.look.add(content);
    running.nextSeq++;
  }

  /** What all that came is, where all of it came through here; the blob is forgotten. */
  take(blob: number): Content | undefined {
    const running = this.#running.get(blob);
    this.#running.delete(blob);
    return running?.look.end();
  }

  drop(blob: number): void {
    this.#running.delete(blob);
  }

  /** Forgets all hashes, as their chunks may have been rolled back. */
  clear(): void {
    this.#running.clear();
  }
}
