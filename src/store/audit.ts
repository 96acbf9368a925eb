/**
 * Every row of the store, for `astera verify`: read beside whoever writes, a few rows a transaction.
 *
 * A row may change at any time after it was read; {@link StoreAudit.isEntryAsRead} and its kin tell a fault
 * from a row that was replaced meanwhile. Says nothing of what bodies must hold.
 */

import type { Encoding } from '../core/build-cache-port.ts';
import type { EntryKind } from '../core/entry-kind.ts';
import { CHUNKS_PER_BLOB } from '../core/limits.ts';
import { upTo } from './audit-rows.ts';
import { BlobOwners } from './blob-owners.ts';
import { BuildCacheAudit } from './build-cache-audit.ts';
import { ChunkSource } from './chunk-source.ts';
import { type Connection, chunkId, openReadable } from './schema.ts';

export type AuditedEntry = {
  readonly id: number;
  readonly key: string;
  readonly kind: EntryKind;
  readonly status: number;
  readonly size: number;
  readonly sha256: Buffer;
  /** As go.sum has it, of what the checksum database was asked about. */
  readonly h1: string | null;
  readonly blob: number | null;
  readonly body: Buffer | null;
};

export type AuditedBlob = {
  readonly id: number;
  readonly encoding: Encoding;
  /** Null while it grows. */
  readonly sha256: Buffer | null;
  readonly size: number | null;
  /** Of its chunks as they lie in the store; null while it grows. */
  readonly storedBytes: number | null;
  /** The kind of owner that it grows for. */
  readonly growingKind: 'entry' | 'output' | null;
  readonly growingKey: string | null;
  readonly changedAtMs: number;
};

/** Rows of one transaction: bodies of 8 KiB at most. */
const ENTRIES_PER_READ = 128;
const BLOBS_PER_READ = 512;

/** SQLite's own words for what is wrong with a file are listed up to here. */
const PROBLEMS_MAX = 100;

const ENTRY_COLUMNS = 'id, key, kind, status, size, sha256, h1, blob, body';

/** Zips and go.mod files: go.sum has lines for them. */
const SUMMED = "kind IN ('zip', 'mod') AND status = 200";

const BLOB_COLUMNS = `id, encoding, sha256, size, stored_bytes AS storedBytes, growing_kind AS growingKind,
  growing_key AS growingKey, changed_at_ms AS changedAtMs`;

export class StoreAudit {
  readonly buildCache: BuildCacheAudit;
  readonly #db: Connection;
  readonly #entries;
  readonly #entry;
  readonly #summed;
  readonly #blobs;
  readonly #blob;
  readonly #owners: BlobOwners;
  readonly #chunk;
  readonly #nextChunk;
  readonly #chunkSpan;

  /** @throws {StoreFailed} what `store/schema.ts` refuses */
  constructor(path: string) {
    const db = openReadable(path);
    this.#db = db;
    this.#entries = db.prepare<[number, number], AuditedEntry>(
      `SELECT ${ENTRY_COLUMNS} FROM entry
       WHERE id > ? AND id <= ? ORDER BY id LIMIT ${ENTRIES_PER_READ}`,
    );
    this.#summed = db.prepare<[string], AuditedEntry>(
      `SELECT ${ENTRY_COLUMNS} FROM entry WHERE key > ? AND ${SUMMED} ORDER BY key LIMIT ${ENTRIES_PER_READ}`,
    );
    this.#entry = db.prepare<[number], Pick<AuditedEntry, 'key' | 'sha256' | 'size' | 'blob'>>(
      'SELECT key, sha256, size, blob FROM entry WHERE id = ?',
    );
    this.#blobs = db.prepare<[number, number], AuditedBlob>(
      `SELECT ${BLOB_COLUMNS} FROM blob WHERE id > ? AND id <= ? ORDER BY id LIMIT ${BLOBS_PER_READ}`,
    );
    this.#blob = db.prepare<[number], AuditedBlob>(`SELECT ${BLOB_COLUMNS} FROM blob WHERE id = ?`);
    this.#owners = new BlobOwners(db);
    this.buildCache = new BuildCacheAudit(db);
    this.#chunk = db.prepare<[number], Buffer>('SELECT bytes FROM chunk WHERE id = ?').pluck();
    this.#nextChunk = db
      .prepare<[number], number>('SELECT id FROM chunk WHERE id >= ? ORDER BY id LIMIT 1')
      .pluck();
    this.#chunkSpan = db.prepare<[number, number], { count: number; last: number | null }>(
      'SELECT count(*) AS count, max(id) AS last FROM chunk WHERE id >= ? AND id < ?',
    );
  }

  /**
   * SQLite's own check: of the whole file, or only of the tables that are small where a server must
   * be able to empty its WAL meanwhile. None: all is well.
   */
  problems({ isShared }: { isShared: boolean }): string[] {
    const checks = isShared ? TABLES.map((table) => `integrity_check(${table})`) : ['integrity_check'];
    const found = checks.flatMap((check) => this.#db.pragma(check) as { integrity_check: string }[]);
    return found
      .map((row) => row.integrity_check)
      .filter((text) => text !== 'ok')
      .slice(0, PROBLEMS_MAX);
  }

  /** How much there is to read, about. */
  size(): { entries: number; blobs: number; bytes: number } {
    const sql = `SELECT (SELECT count(*) FROM entry) AS entries, count(*) AS blobs, total(size) AS bytes FROM blob`;
    return (
      this.#db.prepare<[], ReturnType<StoreAudit['size']>>(sql).get() ?? { entries: 0, blobs: 0, bytes: 0 }
    );
  }

  /** Those there are when the first is taken: a busy writer would else add faster than they are checked. */
  entries(): Generator<AuditedEntry> {
    const last = this.#lastId('entry');
    return upTo(last, (after) => this.#entries.all(after, last));
  }

  /** Zips and go.mod files by their keys, those of one module version side by side; new ones among them. */
  *summed(): Generator<AuditedEntry> {
    for (let after = ''; ; ) {
      const rows = this.#summed.all(after);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.key;
    }
  }

  /** Module versions with a stored zip or go.mod: at least so many. */
  summedCount(): number {
    const sql = `SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM entry WHERE ${SUMMED} GROUP BY kind)`;
    return this.#db.prepare<[], number>(sql).pluck().get() ?? 0;
  }

  /** As {@link entries}. */
  blobs(): Generator<AuditedBlob> {
    const last = this.#lastId('blob');
    return upTo(last, (after) => this.#blobs.all(after, last));
  }

  blob(id: number): AuditedBlob | undefined {
    return this.#blob.get(id);
  }

  /** Whether anything has it. */
  isOwned(blob: number): boolean {
    return this.#owners.has(blob);
  }

  chunk(blob: number, seq: number): Buffer | undefined {
    return this.#chunk.get(chunkId(blob, seq));
  }

  /** How many chunks a blob has, and the highest number among them, in one look; -1 for none. */
  chunkSpan(blob: number): { count: number; lastSeq: number } {
    const first = chunkId(blob, 0);
    const { count = 0, last = null } = this.#chunkSpan.get(first, first + CHUNKS_PER_BLOB) ?? {};
    return { count, lastSeq: last === null ? -1 : last - first };
  }

  /** Blob numbers under which there are chunks, but no such blob. */
  *ownerless(): Generator<number> {
    const last = this.#lastId('chunk');
    for (let from = 0; from <= last; ) {
      const id = this.#nextChunk.get(from);
      if (id === undefined) return;
      const blob = Math.floor(id / CHUNKS_PER_BLOB);
      // The chunk is looked for once more: both may have come, or gone, in between.
      if (this.#blob.get(blob) === undefined && this.#nextChunk.get(from) === id) yield blob;
      from = (blob + 1) * CHUNKS_PER_BLOB;
    }
  }

  /** The blob's body by offset. */
  source(blob: number, size: number): ChunkSource {
    return new ChunkSource(this.#db, blob, size);
  }

  /** Whether the row still says what it said when it was read. */
  isEntryAsRead({ id, key, sha256, size, blob }: AuditedEntry): boolean {
    const now = this.#entry.get(id);
    if (now === undefined || now.key !== key || now.blob !== blob) return false;
    return now.size === size && now.sha256.equals(sha256);
  }

  isBlobAsRead({ id, sha256, changedAtMs, growingKey }: AuditedBlob): boolean {
    const now = this.#blob.get(id);
    if (now === undefined || now.changedAtMs !== changedAtMs || now.growingKey !== growingKey) return false;
    return sha256 === null ? now.sha256 === null : now.sha256?.equals(sha256) === true;
  }

  close(): void {
    this.#db.close();
  }

  #lastId(table: 'entry' | 'blob' | 'chunk'): number {
    return this.#db.prepare<[], number>(`SELECT coalesce(max(id), -1) FROM ${table}`).pluck().get() ?? -1;
  }
}

/** All but `chunk`, which is the store's bulk: its rows are each read, and hashed, one by one. */
const TABLES = ['setting', 'blob', 'entry', 'output', 'action'];
