/** What the store's tests share: made-up contents, and a look at the file behind the writer's back. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import Database from 'better-sqlite3';
import type { Encoding } from '../../src/core/build-cache-port.ts';
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

/** A chunk of an output as it is stored. */
export function packed(content: Uint8Array, encoding: Encoding): Uint8Array {
  return encoding === 'zstd' ? new Uint8Array(zstdCompressSync(content)) : content.slice();
}

/** Puts an output: by one call where it has one chunk, else as one that grows. */
export function putOutput(
  writer: StoreWriter,
  {
    bytes,
    blob,
    encoding = 'identity',
    nowMs = 1_000,
  }: { bytes: Uint8Array; blob: number; encoding?: Encoding; nowMs?: number },
) {
  const [outputId, size] = [sha256Of(bytes), bytes.byteLength];
  if (size <= CHUNK_BYTES) {
    return writer.inTransaction(() =>
      writer.putOutput({ blob, outputId, size, encoding, nowMs, bytes: packed(bytes, encoding) }),
    );
  }
  return writer.inTransaction(() => {
    writer.openOutput({ blob, outputId, encoding, nowMs });
    chunksOf(bytes).forEach((chunk, seq) => {
      writer.putChunk({ blob, seq, bytes: packed(chunk, encoding) });
    });
    return writer.sealOutput({ blob, outputId, size, nowMs });
  });
}

/** The content of an output, all chunks of it; undefined where none is stored. */
export function outputOf(reader: StoreReader, outputId: string): Uint8Array | undefined {
  const { output, bytes } = reader.getOutput({ outputId, body: 'plain' });
  if (output === undefined) return undefined;
  const parts = [bytes ?? new Uint8Array(0)];
  for (let seq = 1; seq * CHUNK_BYTES < output.size; seq++) {
    const part = reader.getOutputChunk({ blob: output.blob, seq, body: 'plain' }).bytes;
    assert.ok(part, `chunk ${seq} of ${outputId}`);
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
         (SELECT blob FROM entry WHERE blob IS NOT NULL UNION SELECT blob FROM output)`,
    );
    assert.equal(idle.pluck().get(), 0, 'whole blobs nothing points to');
    const miscounted = db.prepare(
      'SELECT count(*) FROM output WHERE actions <> (SELECT count(*) FROM action WHERE output = blob)',
    );
    assert.equal(miscounted.pluck().get(), 0, 'outputs that count their actions wrong');
    const blobs = db.prepare<
      [],
      { id: number; sha256: Buffer; size: number; encoding: Encoding; storedBytes: number }
    >('SELECT id, sha256, size, encoding, stored_bytes AS storedBytes FROM blob WHERE sha256 IS NOT NULL');
    const chunks = db.prepare<[number, number], Buffer>(
      'SELECT bytes FROM chunk WHERE id >= ? AND id < ? ORDER BY id',
    );
    for (const { id, sha256, size, encoding, storedBytes } of blobs.all()) {
      const rows = chunks.pluck().all(id * 2 ** 20, (id + 1) * 2 ** 20) as Buffer[];
      assert.equal(Buffer.concat(rows).byteLength, storedBytes, `stored bytes of blob ${id}`);
      const bytes = Buffer.concat(encoding === 'zstd' ? rows.map((row) => zstdDecompressSync(row)) : rows);
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
