/**
 * Writes of blobs: those that grow by chunks, those that come whole, and their end when no owner is left.
 *
 * Knows no owner: who has a blob is the word of `store/blob-owners.ts`.
 */

import { createHash } from 'node:crypto';
import { BadRequest, StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES, CHUNKS_PER_BLOB, INLINE_BYTES_MAX, PARTIAL_KEPT_MS } from '../core/limits.ts';
import type { WriterPort } from '../core/store-port.ts';
import { BlobOwners } from './blob-owners.ts';
import type { FileSource } from './file-source.ts';
import { GrowingHashes } from './growing-hashes.ts';
import { type Connection, chunkId } from './schema.ts';

/** A whole blob. */
export type Sealed = { readonly blob: number; readonly sha256: Buffer };

export class BlobWriter {
  readonly #sql;
  readonly #owners: BlobOwners;
  readonly #hashes = new GrowingHashes();
  /** Blobs that grew since the last tidy. */
  readonly #grown = new Set<number>();
  /** What files are read into. */
  readonly #piece = new Uint8Array(CHUNK_BYTES);

  constructor(db: Connection) {
    this.#sql = prepare(db);
    this.#owners = new BlobOwners(db);
  }

  openBlob: WriterPort['openBlob'] = ({ blob, key, size, etag, lastModified, nowMs }) => {
    const older = this.growingOf(key);
    if (older !== undefined && older !== blob) this.remove(older);
    this.#sql.open.run(blob, key, size ?? null, etag ?? null, lastModified ?? null, nowMs);
    this.#grown.add(blob);
    return {};
  };

  putChunk: WriterPort['putChunk'] = ({ blob, seq, bytes }) => {
    const growing = this.#sql.get.get(blob);
    if (growing === undefined) throw new StoreFailed(`cannot store chunk ${seq}: no blob ${blob} grows`);
    if (growing.sha256 !== null) return {}; // Sent again after it was sealed.
    if (seq >= CHUNKS_PER_BLOB)
      throw new BadRequest(`cannot store chunk ${seq}: a blob has ${CHUNKS_PER_BLOB}`);
    // A chunk whose transaction failed leaves a gap. The next download could not go on behind it.
    const hasGap = seq > 0 && this.#sql.hasChunk.get(chunkId(blob, seq - 1)) === undefined;
    if (hasGap) throw new StoreFailed(`cannot store chunk ${seq}: the one before it is not stored`);
    this.#grown.add(blob);
    this.#sql.putChunk.run(chunkId(blob, seq), bytes);
    this.#hashes.add(blob, seq, bytes);
    return {};
  };

  dropBlob: WriterPort['dropBlob'] = ({ blob }) => {
    // A sealed one has an owner: it goes when its last owner does.
    if (this.#sql.get.get(blob)?.sha256 === null) this.remove(blob);
    return {};
  };

  dropUnused: WriterPort['dropUnused'] = ({ blobs }) => {
    for (const blob of blobs) {
      const isGrowing = this.#sql.get.get(blob)?.sha256 === null;
      if (!isGrowing) this.dropIfUnused(blob);
    }
    return {};
  };

  /** Stores `bytes` as the whole blob `id`, unless the content is there already. @returns the blob that has it */
  add(id: number, bytes: Uint8Array, sha256: Buffer, nowMs: number): number {
    const twin = this.#sql.bySha.get(sha256);
    if (twin !== undefined) return twin.id;
    this.#sql.put.run(id, sha256, bytes.byteLength, nowMs);
    for (let seq = 0, at = 0; at < bytes.byteLength; seq++, at += CHUNK_BYTES) {
      this.#sql.addChunk.run(chunkId(id, seq), bytes.subarray(at, at + CHUNK_BYTES));
    }
    return id;
  }

  /**
   * Stores a file of `size` bytes as the whole blob `id`, unless its content is there already or small enough to be inline.
   *
   * @returns the blob that has it, or its bytes where they are to be inline
   * @throws {BadRequest} it has another size
   */
  addFile(
    id: number,
    file: FileSource,
    { size, nowMs }: { size: number; nowMs: number },
  ): { readonly sha256: Buffer } & (
    | { readonly blob: number; body: null }
    | { blob: null; body: Uint8Array }
  ) {
    try {
      const { body, sha256 } = this.#takeFile(file, size, id);
      if (body !== undefined) return { sha256, blob: null, body };
      return { sha256, blob: this.#settle(id, { sha256, size, nowMs }), body: null };
    } catch (error) {
      this.remove(id);
      throw error;
    }
  }

  /**
   * Makes a growing blob whole. Where another one has the same content, that one serves, and this one's chunks go.
   *
   * @returns undefined where there is no such blob
   * @throws {StoreFailed} it has not `size` bytes
   */
  seal({ blob, size, nowMs }: { blob: number; size: number; nowMs: number }): Sealed | undefined {
    const growing = this.#sql.get.get(blob);
    if (growing === undefined) return undefined;
    if (growing.sha256 !== null) return { blob, sha256: growing.sha256 }; // Sent again after a crash.
    const sha256 = this.#hashOf(blob, size);
    const twin = this.#sql.bySha.get(sha256);
    if (twin !== undefined) this.remove(blob);
    else this.#sql.seal.run(sha256, size, nowMs, blob);
    return { blob: twin?.id ?? blob, sha256 };
  }

  /** The blob that grows for `key`. */
  growingOf(key: string): number | undefined {
    return this.#sql.growingOf.get(key)?.id;
  }

  /** Drops the blob and its chunks, unless something has it. */
  dropIfUnused(blob: number): void {
    if (!this.#owners.has(blob)) this.remove(blob);
  }

  /** Drops the blob and its chunks. */
  remove(blob: number): void {
    const first = chunkId(blob, 0);
    this.#hashes.drop(blob);
    this.#grown.delete(blob);
    this.#sql.dropChunks.run(first, first + CHUNKS_PER_BLOB);
    this.#sql.drop.run(blob);
  }

  /** Drops some partial downloads that nobody asked for. @returns how many */
  dropStale(nowMs: number): number {
    // A clock that is set forward must not make a download old that is still coming in.
    for (const blob of this.#grown) this.#sql.renew.run(nowMs, blob);
    this.#grown.clear();
    const stale = this.#sql.stale.all(nowMs - PARTIAL_KEPT_MS);
    for (const { id } of stale) this.remove(id);
    return stale.length;
  }

  /** Forgets what it has in memory of a transaction that was undone. */
  forgetUndone(): void {
    this.#hashes.clear();
  }

  /** The highest blob id in use; 0 for none. */
  lastId(): number {
    return this.#sql.lastId.get()?.id ?? 0;
  }

  /** Makes stored chunks a whole blob, unless the content is there already. @returns the blob that has it */
  #settle(id: number, { sha256, size, nowMs }: { sha256: Buffer; size: number; nowMs: number }): number {
    const twin = this.#sql.bySha.get(sha256);
    if (twin === undefined) this.#sql.put.run(id, sha256, size, nowMs);
    else this.remove(id);
    return twin?.id ?? id;
  }

  /** Hashes a file, and stores its chunks where it is not to be inline. @throws {BadRequest} it has another size */
  #takeFile(file: FileSource, size: number, blob: number): { body: Uint8Array | undefined; sha256: Buffer } {
    const digest = createHash('sha256');
    const isInline = size <= INLINE_BYTES_MAX;
    let at = 0;
    for (let seq = 0; at < size; seq++) {
      const bytes = this.#piece.subarray(0, file.readInto(this.#piece, at));
      if (bytes.byteLength === 0) break;
      digest.update(bytes);
      if (!isInline) this.#sql.addChunk.run(chunkId(blob, seq), bytes);
      at += bytes.byteLength;
    }
    if (at !== size)
      throw new BadRequest(`it has ${at} bytes where it had ${size}: it changes while it is read`);
    return { body: isInline ? this.#piece.slice(0, size) : undefined, sha256: digest.digest() };
  }

  #hashOf(blob: number, size: number): Buffer {
    const running = this.#hashes.take(blob, size);
    if (running !== undefined) return running;
    const fresh = createHash('sha256');
    let bytes = 0;
    const first = chunkId(blob, 0);
    for (const row of this.#sql.chunksOf.iterate(first, first + CHUNKS_PER_BLOB)) {
      fresh.update(row.bytes);
      bytes += row.bytes.byteLength;
    }
    if (bytes !== size) {
      throw new StoreFailed(`cannot seal blob: ${bytes} bytes stored where ${size} were promised`);
    }
    return fresh.digest();
  }
}

type Id = { id: number };

function prepare(db: Connection) {
  return {
    get: db.prepare<[number], { sha256: Buffer | null }>('SELECT sha256 FROM blob WHERE id = ?'),
    bySha: db.prepare<[Buffer], Id>('SELECT id FROM blob WHERE sha256 = ?'),
    growingOf: db.prepare<[string], Id>('SELECT id FROM blob WHERE growing_key = ?'),
    lastId: db.prepare<[], Id>('SELECT coalesce(max(id), 0) AS id FROM blob'),
    open: db.prepare(
      `INSERT INTO blob (id, growing_key, size, etag, last_modified, changed_at_ms) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET
         size = excluded.size, etag = excluded.etag, last_modified = excluded.last_modified,
         changed_at_ms = excluded.changed_at_ms
       WHERE sha256 IS NULL`,
    ),
    put: db.prepare<[number, Buffer, number, number]>(
      'INSERT INTO blob (id, sha256, size, changed_at_ms) VALUES (?, ?, ?, ?)',
    ),
    seal: db.prepare<[Buffer, number, number, number]>(
      'UPDATE blob SET sha256 = ?, size = ?, changed_at_ms = ?, growing_key = NULL WHERE id = ?',
    ),
    drop: db.prepare<[number]>('DELETE FROM blob WHERE id = ?'),
    renew: db.prepare<[number, number]>(
      'UPDATE blob SET changed_at_ms = ? WHERE id = ? AND growing_key IS NOT NULL',
    ),
    stale: db.prepare<[number], Id>(
      'SELECT id FROM blob WHERE growing_key IS NOT NULL AND changed_at_ms < ? LIMIT 16',
    ),
    addChunk: db.prepare<[number, Uint8Array]>('INSERT INTO chunk (id, bytes) VALUES (?, ?)'),
    putChunk: db.prepare<[number, Uint8Array]>('INSERT OR REPLACE INTO chunk (id, bytes) VALUES (?, ?)'),
    hasChunk: db.prepare<[number], Id>('SELECT id FROM chunk WHERE id = ?'),
    dropChunks: db.prepare<[number, number]>('DELETE FROM chunk WHERE id >= ? AND id < ?'),
    chunksOf: db.prepare<[number, number], { bytes: Buffer }>(
      'SELECT bytes FROM chunk WHERE id >= ? AND id < ? ORDER BY id',
    ),
  };
}
