/**
 * Reads blobs whole, for `astera verify`, and remembers which are bad: each has one fault under all its owners.
 *
 * A blob that is dropped or replaced while it is read is no fault.
 */

import { createHash } from 'node:crypto';
import { isServeError, messageOf } from '../core/errors.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { AuditedBlob, StoreAudit } from '../store/audit.ts';
import { lendChunk } from '../store/packing.ts';

export type BlobCheckOptions = {
  readonly audit: StoreAudit;
  readonly onProgress: (done: { readonly files: number; readonly bytes: number }) => void;
  readonly signal: AbortSignal;
};

export class BlobCheck {
  readonly #options: BlobCheckOptions;
  readonly #audit: StoreAudit;
  /** The fault of each blob that was read, if any. */
  readonly #bad = new Map<number, string>();
  readonly #growing = new Set<number>();
  #last = -1;

  constructor(options: BlobCheckOptions) {
    this.#options = options;
    this.#audit = options.audit;
  }

  /** Takes one blob in; to be called for all of them, in order. Growing ones are not read. */
  check(blob: AuditedBlob): void {
    this.#last = blob.id;
    if (blob.growingKey === null) this.#read(blob);
    else this.#growing.add(blob.id);
  }

  /** The fault of a whole blob, if any. Reads one that came, or became whole, after all were read. */
  faultOf(blob: AuditedBlob): string | undefined {
    if (blob.id > this.#last || this.#growing.has(blob.id)) this.#read(blob);
    return this.#bad.get(blob.id);
  }

  #read(blob: AuditedBlob): void {
    try {
      const why = this.#faultIn(blob);
      // Half read when it was dropped, it is nobody's.
      if (why === undefined || !this.#audit.isBlobAsRead(blob)) return;
      this.#bad.set(blob.id, `blob ${blob.id} ${why}`);
    } catch (error) {
      if (!isDamage(error) && !isServeError(error)) throw error;
      if (this.#audit.isBlobAsRead(blob)) this.#bad.set(blob.id, `blob ${blob.id}: ${messageOf(error)}`);
    }
  }

  /** @throws {BadRequest} a chunk that can't be unpacked */
  #faultIn({ id, size, sha256, encoding, storedBytes }: AuditedBlob): string | undefined {
    const digest = createHash('sha256');
    const { count } = this.#audit.chunkSpan(id);
    let [bytes, stored] = [0, 0];
    for (let seq = 0; seq < count; seq++) {
      const chunk = this.#audit.chunk(id, seq);
      if (chunk === undefined) break;
      const content = lendChunk(chunk, encoding);
      digest.update(content);
      bytes += content.byteLength;
      stored += chunk.byteLength;
      this.#options.onProgress({ files: 0, bytes: chunk.byteLength });
      if (this.#options.signal.aborted) return undefined;
      if (content.byteLength !== CHUNK_BYTES) break;
    }
    const isWhole = bytes === size && count === Math.ceil(bytes / CHUNK_BYTES);
    if (!isWhole) return `has ${bytes} bytes in ${count} chunks where ${size} are due`;
    if (stored !== storedBytes) return `is stored in ${stored} bytes where it says ${storedBytes}`;
    return sha256?.equals(digest.digest()) === true ? undefined : 'has not its SHA-256';
  }
}

/** SQLite can't read what it has written: bad pages, or a disk that fails. */
export function isDamage(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^SQLITE_(?:CORRUPT|NOTADB|IOERR)/.test(code);
}
