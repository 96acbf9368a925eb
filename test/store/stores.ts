/** What the store's tests share: made-up contents, and a look at the file behind the writer's back. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import type { StoreReader } from '../../src/store/reader.ts';
import type { StoreWriter } from '../../src/store/writer.ts';
import { oldSchemas } from './old-schemas.ts';

/** `size` bytes that differ from those of any other `seed`. */
export function contentOf(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size).fill(seed);
  if (size >= 4) new DataView(bytes.buffer).setUint32(size - 4, seed * 2_654_435_761);
  return bytes;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** `bytes` cut into chunks as the store has them. */
export function chunksOf(bytes: Uint8Array): Uint8Array[] {
  const count = Math.ceil(bytes.byteLength / CHUNK_BYTES);
  return Array.from({ length: count }, (_, seq) => bytes.slice(seq * CHUNK_BYTES, (seq + 1) * CHUNK_BYTES));
}

type Put = { key: string; bytes: Uint8Array; blob?: number; status?: number; nowMs?: number };

/** Stores one whole answer in a transaction of its own. */
export function put(writer: StoreWriter, { key, bytes, blob = 0, status = 200, nowMs = 1_000 }: Put) {
  return writer.inTransaction(() =>
    writer.putEntry({ key, status, source: 'upstream', nowMs, blob, bytes: bytes.slice() }),
  );
}

/** Opens a growing blob and stores `chunks` of it. */
export function grow(
  writer: StoreWriter,
  {
    key,
    blob,
    chunks = [],
    nowMs = 1_000,
  }: { key: string; blob: number; chunks?: Uint8Array[]; nowMs?: number },
): void {
  writer.inTransaction(() => {
    writer.openBlob({ blob, key, size: undefined, etag: '"e"', lastModified: undefined, nowMs });
    chunks.forEach((bytes, seq) => {
      writer.putChunk({ blob, seq, bytes });
    });
  });
}

export function seal(writer: StoreWriter, { key, blob, size }: { key: string; blob: number; size: number }) {
  return writer.inTransaction(() => writer.sealBlob({ blob, key, size, source: 'upstream', nowMs: 1_000 }));
}

/** The body stored under `key`, all chunks of it; undefined where nothing is. */
export function bodyOf(reader: StoreReader, key: string): Uint8Array | undefined {
  const { entry, bytes } = reader.getEntry({ key });
  if (entry === undefined) return undefined;
  if (entry.blob === undefined) return bytes;
  const parts: Uint8Array[] = [];
  for (let seq = 0; seq * CHUNK_BYTES < entry.size; seq++) {
    const part = reader.getChunk({ blob: entry.blob, seq }).bytes;
    assert.ok(part, `chunk ${seq} of ${key}`);
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** Asks the file itself. */
export function query(path: string, sql: string): unknown[] {
  const db = new Database(path, { readonly: true });
  try {
    return db.prepare(sql).pluck().all();
  } finally {
    db.close();
  }
}

/** Changes the file itself; makes it where there is none. */
export function execute(path: string, sql: string): void {
  const db = new Database(path);
  try {
    db.exec(sql);
  } finally {
    db.close();
  }
}

/** Every promise of the schema, checked from outside: whole file, no orphan, every hash true. */
export function assertWhole(path: string): void {
  const db = new Database(path, { readonly: true });
  try {
    assert.deepEqual(db.pragma('integrity_check', { simple: true }), 'ok');
    assert.deepEqual(db.pragma('foreign_key_check'), []);
    const orphans = db
      .prepare('SELECT count(*) FROM chunk WHERE id >> 20 NOT IN (SELECT id FROM blob)')
      .pluck();
    assert.equal(orphans.get(), 0, 'chunks without a blob');
    const idle = db.prepare(
      `SELECT count(*) FROM blob WHERE growing_key IS NULL AND id NOT IN
         (SELECT blob FROM entry WHERE blob IS NOT NULL)`,
    );
    assert.equal(idle.pluck().get(), 0, 'whole blobs nothing points to');
    const blobs = db.prepare<[], { id: number; sha256: Buffer; size: number }>(
      'SELECT id, sha256, size FROM blob WHERE sha256 IS NOT NULL',
    );
    const chunks = db.prepare<[number, number], Buffer>(
      'SELECT bytes FROM chunk WHERE id >= ? AND id < ? ORDER BY id',
    );
    for (const { id, sha256, size } of blobs.all()) {
      const bytes = Buffer.concat(chunks.pluck().all(id * 2 ** 20, (id + 1) * 2 ** 20) as Buffer[]);
      assert.equal(bytes.byteLength, size, `size of blob ${id}`);
      assert.equal(sha256Of(bytes), sha256.toString('hex'), `hash of blob ${id}`);
    }
    const inline = db.prepare<[], { sha256: Buffer; body: Buffer }>(
      'SELECT sha256, body FROM entry WHERE body IS NOT NULL',
    );
    for (const { sha256, body } of inline.all()) assert.equal(sha256Of(body), sha256.toString('hex'));
  } finally {
    db.close();
  }
}

/** The versions a store can be of, but for the newest. */
export const earlierSchemas: readonly number[] = Object.keys(oldSchemas).map(Number);

/** Makes the store at `path` one that an earlier Astera would have made: that one's tables, and all rows that fit them. */
export function takeBack(path: string, version: number): void {
  const newer = `${path}.newer`;
  renameSync(path, newer);
  execute(
    path,
    `PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = 0x41737472`,
  );
  execute(path, `PRAGMA journal_mode = WAL; ${oldSchemas[version]}; PRAGMA user_version = ${version}`);
  const db = new Database(path);
  try {
    db.prepare('ATTACH ? AS newer').run(newer);
    for (const table of ['setting', 'blob', 'chunk', 'entry']) {
      const shared = db.prepare<[string, string], string>(
        `SELECT name FROM pragma_table_info(?) INTERSECT SELECT name FROM pragma_table_info(?, 'newer')`,
      );
      const columns = shared.pluck().all(table, table).join(', ');
      db.exec(`INSERT OR REPLACE INTO main.${table} (${columns}) SELECT ${columns} FROM newer.${table}`);
    }
  } finally {
    db.close();
  }
  rmSync(newer);
}
