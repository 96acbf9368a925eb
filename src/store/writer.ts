/**
 * What the one writer does to the store: the writer's side of `core/store-port.ts`.
 *
 * The calls of a task run in one transaction (`inTransaction`); each is idempotent, as
 * the front sends a group again when the writer died and nobody knows whether it committed.
 * SHA-256 of a growing blob is taken chunk by chunk as they come; after a restart, from the rows.
 */

import { createHash, type Hash, hash } from 'node:crypto';
import { statSync } from 'node:fs';
import { BadRequest, StoreFailed } from '../core/errors.ts';
import {
  CHUNK_BYTES,
  CHUNKS_PER_BLOB,
  INLINE_BYTES_MAX,
  KEYS_PER_CALL_MAX,
  NEGATIVE_ROWS_MAX,
  PARTIAL_KEPT_MS,
} from '../core/limits.ts';
import type { Checked, Trust, WriterPort } from '../core/store-port.ts';
import { FileSource } from './file-source.ts';
import {
  type Connection,
  chunkId,
  closeWritable,
  openWritable,
  readSetting,
  type WriterMode,
} from './schema.ts';
import { prepareWrites } from './statements.ts';

/** Least-used 404s dropped at a time when their bound is met: each drop costs a count of them all. */
const NEGATIVE_ROWS_DROPPED = 2_000;

/** Our own readers end a batch well within this time. Other processes may read for longer: nobody waits for them. */
const CHECKPOINT_WAIT_MS = 50;

/** The setting that says whose word `confirmed` is. */
const CONFIRMED_BY = 'confirmed_by';

type Running = { readonly hash: Hash; nextSeq: number; bytes: number };

export class StoreWriter implements WriterPort {
  readonly #db: Connection;
  readonly #path: string;
  readonly #sql;
  /** Hashes of blobs that grow in this process. Gone ones are re-read from their chunks. */
  readonly #running = new Map<number, Running>();
  /** Blobs that grew since the last tidy. */
  readonly #grown = new Set<number>();
  /** What files are read into. */
  readonly #piece = new Uint8Array(CHUNK_BYTES);
  /** At most so many 404s are stored: counted when they were last, and one up for each put since. */
  #negativesAtMost = Number.POSITIVE_INFINITY;

  constructor(path: string, mode: WriterMode = 'shared') {
    this.#path = path;
    this.#db = openWritable(path, mode);
    this.#sql = prepareWrites(this.#db);
  }

  /** Runs `work` in one transaction: all of it is committed when this returns, or none. */
  inTransaction<T>(work: () => T): T {
    try {
      return this.#db.transaction(work).immediate();
    } catch (error) {
      this.#running.clear(); // What was hashed may have been rolled back.
      throw error;
    }
  }

  putEntry: WriterPort['putEntry'] = (request) => {
    const { key, status, bytes, nowMs, source } = request;
    if (status !== 200 && this.#sql.statusOf.get(key)?.status === 200) {
      return { sha256: '', blob: undefined, kept: false };
    }
    if (status !== 200) this.#makeRoomForNegative();
    const sha256 = hash('sha256', bytes, 'buffer');
    const inline = bytes.byteLength <= INLINE_BYTES_MAX;
    const blob = inline ? null : this.#putWhole(request.blob, bytes, sha256, nowMs);
    const body = inline ? bytes : null;
    this.#pointKey({
      key,
      status,
      size: bytes.byteLength,
      sha256,
      source,
      nowMs,
      blob,
      body,
      ...checkedOf(request),
    });
    return { sha256: sha256.toString('hex'), blob: blob ?? undefined, kept: true };
  };

  confirmEntry: WriterPort['confirmEntry'] = ({ key, nowMs }) => {
    this.#sql.confirm.run(nowMs, nowMs, key);
    return {};
  };

  setVerdict: WriterPort['setVerdict'] = ({ key, sha256, trust, h1, wait }) => {
    const content = Buffer.from(sha256, 'hex');
    const { unknownTimes = null, askAfterMs = null } = wait ?? {};
    this.#sql.setVerdict.run(trust, h1 ?? null, unknownTimes, askAfterMs, key, content);
    return {};
  };

  confirmBy: WriterPort['confirmBy'] = ({ signer, row }) => {
    const before = this.#sql.setting.get(CONFIRMED_BY);
    if (before === signer) return { doubted: 0 };
    const nextRow = row + KEYS_PER_CALL_MAX;
    // A store that never said whose word it has: an earlier Astera's, or new.
    const doubted = before === undefined ? 0 : this.#sql.doubt.run(row, nextRow).changes;
    if (before !== undefined && nextRow <= (this.#sql.lastEntryId.get()?.id ?? 0))
      return { doubted, nextRow };
    this.#sql.putSetting.run(CONFIRMED_BY, signer);
    return { doubted };
  };

  dropEntry: WriterPort['dropEntry'] = ({ key, sha256 }) => {
    if (this.#sql.blobOfKey.get(key)?.sha256.toString('hex') === sha256) this.#dropKey(key);
    return {};
  };

  forget: WriterPort['forget'] = ({ keys }) => {
    let [answers, negatives, partials, bodyBytes] = [0, 0, 0, 0];
    for (const key of keys) {
      const growing = this.#sql.growingOf.get(key);
      if (growing !== undefined) {
        this.#remove(growing.id);
        partials++;
      }
      const row = this.#sql.sizeOf.get(key);
      if (row === undefined) continue;
      this.#dropKey(key);
      if (row.status === 200) answers++;
      else negatives++;
      if (row.status === 200) bodyBytes += row.size;
    }
    return { answers, negatives, partials, bodyBytes };
  };

  dropUnused: WriterPort['dropUnused'] = ({ blobs }) => {
    for (const blob of blobs) {
      const isGrowing = this.#sql.blobOf.get(blob)?.sha256 === null;
      if (!isGrowing) this.#dropIfUnused(blob);
    }
    return {};
  };

  putFile: WriterPort['putFile'] = ({ key, path, size, blob, ...about }) => {
    if (this.#sql.statusOf.get(key)?.status === 200) return {};
    const file = new FileSource(path);
    try {
      const { body, sha256 } = this.#takeFile(file, size, blob);
      const twin = body === undefined ? this.#sql.blobBySha.get(sha256) : undefined;
      if (twin !== undefined) this.#remove(blob);
      else if (body === undefined) this.#sql.putBlob.run(blob, sha256, size, about.nowMs);
      const at = body === undefined ? { blob: twin?.id ?? blob, body: null } : { blob: null, body };
      this.#pointKey({ key, status: 200, size, sha256, ...about, ...at, ...checkedOf({}) });
      return {};
    } catch (error) {
      this.#remove(blob);
      throw error;
    } finally {
      file.close();
    }
  };

  openBlob: WriterPort['openBlob'] = (request) => {
    const { blob, key, nowMs } = request;
    const older = this.#sql.growingOf.get(key);
    if (older !== undefined && older.id !== blob) this.#remove(older.id);
    this.#sql.openBlob.run(
      blob,
      key,
      request.size ?? null,
      request.etag ?? null,
      request.lastModified ?? null,
      nowMs,
    );
    this.#grown.add(blob);
    return {};
  };

  putChunk: WriterPort['putChunk'] = ({ blob, seq, bytes }) => {
    const growing = this.#sql.blobOf.get(blob);
    if (growing === undefined) throw new StoreFailed(`cannot store chunk ${seq}: no blob ${blob} grows`);
    if (growing.sha256 !== null) return {}; // Sent again after it was sealed.
    if (seq >= CHUNKS_PER_BLOB)
      throw new BadRequest(`cannot store chunk ${seq}: a blob has ${CHUNKS_PER_BLOB}`);
    // A chunk whose transaction failed leaves a gap. The next download could not go on behind it.
    const hasGap = seq > 0 && this.#sql.hasChunk.get(chunkId(blob, seq - 1)) === undefined;
    if (hasGap) throw new StoreFailed(`cannot store chunk ${seq}: the one before it is not stored`);
    this.#grown.add(blob);
    this.#sql.putChunk.run(chunkId(blob, seq), bytes);
    if (seq === 0) this.#running.set(blob, { hash: createHash('sha256'), nextSeq: 0, bytes: 0 });
    const running = this.#running.get(blob);
    if (running?.nextSeq === seq) {
      running.hash.update(bytes);
      running.nextSeq++;
      running.bytes += bytes.byteLength;
    } else {
      this.#running.delete(blob); // Out of step, after a restart say: sealBlob reads the rows.
    }
    return {};
  };

  sealBlob: WriterPort['sealBlob'] = (request) => {
    const { blob, key, size, source, nowMs } = request;
    const growing = this.#sql.blobOf.get(blob);
    if (growing?.sha256) return { sha256: growing.sha256.toString('hex'), blob }; // Sent again after a crash.
    if (growing === undefined) return this.#sealedBefore(key);
    const sha256 = this.#hashOf(blob, size);
    const twin = this.#sql.blobBySha.get(sha256);
    if (twin !== undefined) this.#remove(blob);
    else this.#sql.sealBlob.run(sha256, size, nowMs, blob);
    const serving = twin?.id ?? blob;
    this.#pointKey({
      key,
      status: 200,
      size,
      sha256,
      source,
      nowMs,
      blob: serving,
      body: null,
      ...checkedOf(request),
    });
    return { sha256: sha256.toString('hex'), blob: serving };
  };

  dropBlob: WriterPort['dropBlob'] = ({ blob }) => {
    // A sealed one has a key that points to it: it goes when its last key does.
    if (this.#sql.blobOf.get(blob)?.sha256 === null) this.#remove(blob);
    return {};
  };

  touch: WriterPort['touch'] = ({ keys, nowMs }) => {
    for (const key of keys) this.#sql.touch.run(nowMs, key);
    return {};
  };

  /** Not inside a transaction: the worker calls it alone. */
  checkpoint: WriterPort['checkpoint'] = ({ truncate }) => {
    // Another process may read for minutes. Writes go on without an empty WAL, and the next checkpoint tries again.
    const waitMs = this.#db.pragma('busy_timeout', { simple: true });
    this.#db.pragma(`busy_timeout = ${CHECKPOINT_WAIT_MS}`);
    try {
      this.#db.pragma(`wal_checkpoint(${truncate ? 'TRUNCATE' : 'PASSIVE'})`);
    } finally {
      this.#db.pragma(`busy_timeout = ${waitMs}`);
    }
    return { walBytes: statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0 };
  };

  tidy: WriterPort['tidy'] = ({ nowMs }) => {
    // A clock that is set forward must not make a download old that is still coming in.
    for (const blob of this.#grown) this.#sql.renew.run(nowMs, blob);
    this.#grown.clear();
    const stale = this.#sql.stalePartials.all(nowMs - PARTIAL_KEPT_MS);
    for (const { id } of stale) this.#remove(id);
    this.#db.pragma('incremental_vacuum(256)');
    return { partials: stale.length };
  };

  /** The highest blob id in use, for the front, which gives them out. */
  lastBlobId(): number {
    return this.#sql.lastBlobId.get()?.id ?? 0;
  }

  instance(): string {
    return readSetting(this.#db, 'instance');
  }

  close(): void {
    closeWritable(this.#db);
  }

  #dropKey(key: string): void {
    const blob = this.#sql.blobOfKey.get(key)?.blob ?? null;
    this.#sql.dropEntry.run(key);
    if (blob !== null) this.#dropIfUnused(blob);
  }

  #makeRoomForNegative(): void {
    if (this.#negativesAtMost++ < NEGATIVE_ROWS_MAX) return;
    this.#negativesAtMost = (this.#sql.negatives.get()?.n ?? 0) + 1;
    if (this.#negativesAtMost <= NEGATIVE_ROWS_MAX) return;
    this.#negativesAtMost -= this.#sql.dropNegatives.run(NEGATIVE_ROWS_DROPPED).changes;
  }

  /** Stores `bytes` as the whole blob `id`, unless the content is there already; returns the blob that has it. */
  #putWhole(id: number, bytes: Uint8Array, sha256: Buffer, nowMs: number): number {
    const twin = this.#sql.blobBySha.get(sha256);
    if (twin !== undefined) return twin.id;
    this.#sql.putBlob.run(id, sha256, bytes.byteLength, nowMs);
    for (let seq = 0, at = 0; at < bytes.byteLength; seq++, at += CHUNK_BYTES) {
      this.#sql.addChunk.run(chunkId(id, seq), bytes.subarray(at, at + CHUNK_BYTES));
    }
    return id;
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

  /** Points `key` to its new body; a blob that nothing points to any more goes. */
  #pointKey(row: EntryValues): void {
    const stored = this.#sql.blobOfKey.get(row.key);
    const before = stored?.blob ?? null;
    if (stored === undefined) this.#sql.addEntry.run(row);
    else this.#sql.replaceEntry.run(row);
    const partial = row.status === 200 ? this.#sql.growingOf.get(row.key) : undefined;
    if (partial !== undefined) this.#remove(partial.id);
    if (before !== null && before !== row.blob) this.#dropIfUnused(before);
  }

  #dropIfUnused(blob: number): void {
    if (this.#sql.entryOfBlob.get(blob) === undefined) this.#remove(blob);
  }

  #remove(blob: number): void {
    const first = chunkId(blob, 0);
    this.#running.delete(blob);
    this.#grown.delete(blob);
    this.#sql.dropChunks.run(first, first + CHUNKS_PER_BLOB);
    this.#sql.dropBlob.run(blob);
  }

  #sealedBefore(key: string): ReturnType<WriterPort['sealBlob']> {
    const entry = this.#sql.blobOfKey.get(key);
    if (entry?.blob == null) throw new StoreFailed(`cannot seal blob: none grows for ${JSON.stringify(key)}`);
    return { sha256: entry.sha256.toString('hex'), blob: entry.blob };
  }

  #hashOf(blob: number, size: number): Buffer {
    const running = this.#running.get(blob);
    this.#running.delete(blob);
    if (running?.bytes === size) return running.hash.digest();
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

type EntryValues = {
  key: string;
  status: number;
  size: number;
  sha256: Buffer;
  source: string;
  nowMs: number;
  blob: number | null;
  body: Uint8Array | null;
  h1: string | null;
  trust: Trust;
};

function checkedOf({ checked }: { checked?: Checked }): Pick<EntryValues, 'h1' | 'trust'> {
  return { h1: checked?.h1 ?? null, trust: checked?.trust ?? 'unchecked' };
}
