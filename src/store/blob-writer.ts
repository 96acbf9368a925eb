/**
 * Writes of blobs: those that grow by chunks, those that come whole, and their end when no owner is left.
 *
 * Knows no owner: `store/blob-owners.ts` says whether a blob has one.
 */

import { createHash } from 'node:crypto';
import type { Encoding } from '../core/build-cache-port.ts';
import { BadRequest, StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES, CHUNKS_PER_BLOB, INLINE_BYTES_MAX } from '../core/limits.ts';
import type { WriterPort } from '../core/store-port.ts';
import { BlobOwners } from './blob-owners.ts';
import type { FileSource } from './file-source.ts';
import { type Content, ContentLook, GrowingHashes } from './growing-hashes.ts';
import { OUTPUT_PARTIAL_KEPT_MS, PARTIAL_KEPT_MS } from './limits.ts';
import { lendChunk } from './packing.ts';
import { type Connection, chunkId } from './schema.ts';

/** A whole blob. */
export type Sealed = { readonly blob: number; readonly sha256: Buffer };

/** What names a content. */
type Digest = Pick<Content, 'sha256' | 'size'>;

/** A whole blob of one chunk. */
type Chunk = Digest & { readonly encoding: Encoding; readonly nowMs: number };

type Growth = { readonly outputId: string; readonly encoding: Encoding; readonly nowMs: number };

export class BlobWriter {
  readonly #sql;
  readonly #owners: BlobOwners;
  readonly #hashes = new GrowingHashes();
  /** Blobs that grew since the last tidy. */
  readonly #grown = new Set<number>();
  /** Files are read into this buffer. */
  readonly #piece = new Uint8Array(CHUNK_BYTES);

  constructor(db: Connection) {
    this.#sql = prepare(db);
    this.#owners = new BlobOwners(db);
  }

  openBlob: WriterPort['openBlob'] = ({ blob, key, size, etag, lastModified, nowMs }) => {
    const older = this.growingOf(key);
    if (older !== blob) this.#refuseGrowing(blob);
    if (older !== undefined && older !== blob) this.remove(older);
    this.#sql.open.run(blob, key, size ?? null, etag ?? null, lastModified ?? null, nowMs);
    this.#grown.add(blob);
    return {};
  };

  /** Opens a growing blob for an output of a build. */
  openForOutput(blob: number, { outputId, encoding, nowMs }: Growth): void {
    const key = `${outputId}/${blob}`;
    if (this.#sql.get.get(blob)?.growing_key !== key) this.#refuseGrowing(blob);
    this.#sql.openForOutput.run(blob, key, encoding, nowMs);
    this.#grown.add(blob);
  }

  putChunk: WriterPort['putChunk'] = ({ blob, seq, bytes }) => {
    const growing = this.#sql.get.get(blob);
    if (growing === undefined) throw new StoreFailed(`cannot store chunk ${seq}: no blob ${blob} grows`);
    if (growing.sha256 !== null) return {}; // Sent again after it was sealed.
    const id = chunkId(blob, seq);
    // A chunk whose transaction failed leaves a gap. The next download could not go on behind it.
    const hasGap = seq > 0 && this.#sql.hasChunk.get(chunkId(blob, seq - 1)) === undefined;
    if (hasGap) throw new StoreFailed(`cannot store chunk ${seq}: the one before it is not stored`);
    const content = lendChunk(bytes, growing.encoding);
    this.#grown.add(blob);
    this.#sql.putChunk.run(id, bytes);
    this.#hashes.add(blob, seq, content);
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
    this.#refuseUsed(id);
    const size = bytes.byteLength;
    this.#sql.put.run({ id, sha256, size, encoding: 'identity', storedBytes: size, nowMs });
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
    this.#refuseUsed(id);
    try {
      const { body, sha256 } = this.#takeFile(file, size, id);
      if (body !== undefined) return { sha256, blob: null, body };
      return { sha256, blob: this.#settle(id, { sha256, size, nowMs }), body: null };
    } catch (error) {
      this.remove(id);
      throw error;
    }
  }

  /** Stores one chunk as the whole blob `id`. */
  addChunk(id: number, bytes: Uint8Array, { sha256, size, encoding, nowMs }: Chunk): void {
    this.#refuseUsed(id);
    this.#sql.put.run({ id, sha256, size, encoding, storedBytes: bytes.byteLength, nowMs });
    if (bytes.byteLength > 0) this.#sql.addChunk.run(chunkId(id, 0), bytes);
  }

  /**
   * Makes a growing blob whole. If another blob has the same content, that one serves, and this one's chunks go.
   *
   * @returns undefined where there is no such blob
   * @throws {StoreFailed} it has not `size` bytes
   */
  seal({ blob, size, nowMs }: { blob: number; size: number; nowMs: number }): Sealed | undefined {
    const growing = this.stateOf(blob);
    if (growing === undefined) return undefined;
    if (growing.sha256 !== null) return { blob, sha256: growing.sha256 }; // Sent again after a crash.
    const content = this.contentOf(blob);
    if (content.size !== size) {
      throw new StoreFailed(`cannot seal blob: ${content.size} bytes stored where ${size} were promised`);
    }
    const twin = this.#sql.bySha.get(content.sha256);
    if (twin !== undefined) this.remove(blob);
    else this.makeWhole(blob, content, nowMs);
    return { blob: twin?.id ?? blob, sha256: content.sha256 };
  }

  /** A blob's SHA-256, null while it grows; undefined where there is no such blob. */
  stateOf(blob: number): { readonly sha256: Buffer | null; readonly encoding: Encoding } | undefined {
    return this.#sql.get.get(blob);
  }

  /** The blob that has this content, in whichever encoding. */
  find(sha256: Buffer): number | undefined {
    return this.#sql.byShaPacked.get(sha256)?.id;
  }

  /**
   * The content of a growing blob. Its hash is taken once.
   *
   * @throws {BadRequest} a chunk before the last one is not full, or can't be unpacked
   */
  contentOf(blob: number): Content {
    const running = this.#hashes.take(blob);
    if (running !== undefined) return running;
    const { encoding } = this.stateOf(blob) ?? { encoding: 'identity' };
    const look = new ContentLook();
    const first = chunkId(blob, 0);
    for (const { id, bytes } of this.#sql.chunksOf.iterate(first, first + CHUNKS_PER_BLOB)) {
      const seq = id - first;
      if (look.size !== seq * CHUNK_BYTES) {
        throw new BadRequest(
          `cannot seal blob: ${look.size} bytes before chunk ${seq}, not ${seq * CHUNK_BYTES}`,
        );
      }
      look.add(lendChunk(bytes, encoding));
    }
    return look.end();
  }

  /** Makes a growing blob whole. */
  makeWhole(blob: number, { sha256, size }: Digest, nowMs: number): void {
    const first = chunkId(blob, 0);
    this.#sql.seal.run({ blob, sha256, size, first, end: first + CHUNKS_PER_BLOB, nowMs });
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

  /** Drops some partial downloads, and uploads, that nobody asked for. @returns how many */
  dropStale(nowMs: number): number {
    // A clock that is set forward must not make a download old that is still coming in.
    for (const blob of this.#grown) this.#sql.renew.run(nowMs, blob);
    this.#grown.clear();
    const stale = this.#sql.stale.all(nowMs - PARTIAL_KEPT_MS, nowMs - OUTPUT_PARTIAL_KEPT_MS);
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

  /** @throws {BadRequest} the number is another blob's, or can be none's: writing there would spoil that one */
  #refuseUsed(id: number): void {
    chunkId(id, 0);
    if (this.stateOf(id) !== undefined) throw new BadRequest(`cannot store blob ${id}: there is one already`);
  }

  /** The same of a number that is given to a new growing blob: one that is whole is sent again after a crash. */
  #refuseGrowing(id: number): void {
    if (this.stateOf(id)?.sha256 == null) this.#refuseUsed(id);
  }

  /** Makes stored chunks a whole blob, unless the content is there already. @returns the blob that has it */
  #settle(id: number, { sha256, size, nowMs }: { sha256: Buffer; size: number; nowMs: number }): number {
    const twin = this.#sql.bySha.get(sha256);
    if (twin === undefined)
      this.#sql.put.run({ id, sha256, size, encoding: 'identity', storedBytes: size, nowMs });
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
}

type Id = { id: number };

function prepare(db: Connection) {
  return {
    get: db.prepare<[number], { sha256: Buffer | null; encoding: Encoding; growing_key: string | null }>(
      'SELECT sha256, encoding, growing_key FROM blob WHERE id = ?',
    ),
    bySha: db.prepare<[Buffer], Id>("SELECT id FROM blob WHERE sha256 = ? AND encoding = 'identity'"),
    byShaPacked: db.prepare<[Buffer], Id>('SELECT id FROM blob WHERE sha256 = ? ORDER BY encoding LIMIT 1'),
    growingOf: db.prepare<[string], Id>(
      "SELECT id FROM blob WHERE growing_kind = 'entry' AND growing_key = ?",
    ),
    lastId: db.prepare<[], Id>('SELECT coalesce(max(id), 0) AS id FROM blob'),
    open: db.prepare(
      `INSERT INTO blob (id, growing_kind, growing_key, size, etag, last_modified, changed_at_ms)
       VALUES (?, 'entry', ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET
         size = excluded.size, etag = excluded.etag, last_modified = excluded.last_modified,
         changed_at_ms = excluded.changed_at_ms
       WHERE sha256 IS NULL`,
    ),
    openForOutput: db.prepare<[number, string, Encoding, number]>(
      `INSERT INTO blob (id, growing_kind, growing_key, encoding, changed_at_ms) VALUES (?, 'output', ?, ?, ?)
       ON CONFLICT (id) DO NOTHING`,
    ),
    put: db.prepare<[Chunk & { id: number; storedBytes: number }]>(
      `INSERT INTO blob (id, sha256, size, encoding, stored_bytes, changed_at_ms)
       VALUES (@id, @sha256, @size, @encoding, @storedBytes, @nowMs)`,
    ),
    seal: db.prepare<[Digest & { blob: number; first: number; end: number; nowMs: number }]>(
      `UPDATE blob SET sha256 = @sha256, size = @size, changed_at_ms = @nowMs, growing_kind = NULL, growing_key = NULL,
         stored_bytes = iif(encoding = 'identity', @size,
           (SELECT total(length(bytes)) FROM chunk WHERE id >= @first AND id < @end))
       WHERE id = @blob`,
    ),
    drop: db.prepare<[number]>('DELETE FROM blob WHERE id = ?'),
    renew: db.prepare<[number, number]>(
      'UPDATE blob SET changed_at_ms = ? WHERE id = ? AND growing_key IS NOT NULL',
    ),
    stale: db.prepare<[number, number], Id>(
      `SELECT id FROM blob
       WHERE growing_kind IS NOT NULL AND changed_at_ms < iif(growing_kind = 'entry', ?, ?) LIMIT 16`,
    ),
    addChunk: db.prepare<[number, Uint8Array]>('INSERT INTO chunk (id, bytes) VALUES (?, ?)'),
    putChunk: db.prepare<[number, Uint8Array]>('INSERT OR REPLACE INTO chunk (id, bytes) VALUES (?, ?)'),
    hasChunk: db.prepare<[number], Id>('SELECT id FROM chunk WHERE id = ?'),
    dropChunks: db.prepare<[number, number]>('DELETE FROM chunk WHERE id >= ? AND id < ?'),
    chunksOf: db.prepare<[number, number], { id: number; bytes: Buffer }>(
      'SELECT id, bytes FROM chunk WHERE id >= ? AND id < ? ORDER BY id',
    ),
  };
}
