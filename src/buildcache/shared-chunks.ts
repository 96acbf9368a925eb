/**
 * Chunks that several streams send at about the same time: each is read and unpacked once. Machines that start together want the
 * same, in the same order. One that comes a little later finds what it needs here, and so catches up.
 */

import { freeBytes } from '../core/free-bytes.ts';

/** Undefined: there is no such chunk. */
type Read = () => Promise<Uint8Array | undefined>;

/** Its user reads the bytes until it calls `release`, once. */
export type LentChunk = { readonly bytes: Uint8Array; readonly release: () => void };

type Chunk = {
  readonly read: Promise<Uint8Array | undefined>;
  bytes: Uint8Array | undefined;
  users: number;
  /** Others may find it. */
  isKept: boolean;
};

export class SharedChunks {
  readonly #bytesMax: () => number;
  /** Those read first come first. */
  readonly #kept = new Map<number, Chunk>();
  #keptBytes = 0;

  /** @param bytesMax as many are kept now; of those that are in use there may be more */
  constructor(bytesMax: () => number) {
    this.#bytesMax = bytesMax;
  }

  /** A chunk by its number, which is of this chunk alone. Undefined: there is none. @throws what `read` throws */
  async take(id: number, read: Read): Promise<LentChunk | undefined> {
    const chunk = this.#kept.get(id) ?? this.#begin(id, read);
    chunk.users++;
    const bytes = await chunk.read;
    if (bytes === undefined) return undefined;
    return { bytes, release: () => this.#release(chunk) };
  }

  /** Drops what is past the bound, the oldest first. */
  trim(): void {
    for (const [id, chunk] of this.#kept) {
      if (this.#keptBytes <= this.#bytesMax()) return;
      if (chunk.bytes === undefined) continue;
      this.#kept.delete(id);
      this.#keptBytes -= costOf(chunk.bytes);
      chunk.isKept = false;
      freeUnused(chunk);
    }
  }

  #begin(id: number, read: Read): Chunk {
    const chunk: Chunk = { read: read(), bytes: undefined, users: 0, isKept: true };
    this.#kept.set(id, chunk);
    chunk.read.then(
      (bytes) => {
        if (bytes === undefined) {
          this.#kept.delete(id);
          return;
        }
        chunk.bytes = bytes;
        this.#keptBytes += costOf(bytes);
        this.trim();
      },
      () => this.#kept.delete(id), // Each of its users is told.
    );
    return chunk;
  }

  #release(chunk: Chunk): void {
    chunk.users--;
    freeUnused(chunk);
  }
}

function freeUnused({ bytes, users, isKept }: Chunk): void {
  if (bytes !== undefined && users === 0 && !isKept) freeBytes(bytes);
}

/** Of its bytes, and of what tells of them. */
function costOf({ byteLength }: Uint8Array): number {
  return byteLength + CHUNK_OVERHEAD_BYTES;
}

const CHUNK_OVERHEAD_BYTES = 512;
