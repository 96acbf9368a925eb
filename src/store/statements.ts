/** The writer's prepared statements, each beside the type of its row. Prepared once per connection. */

import type { Connection } from './schema.ts';

type Id = { id: number };

/**
 * For keys that have no row. A statement that may replace one has SQLite keep each page it changes in a
 * journal of its own: of 16 KiB pages that was a third of all that an import wrote.
 */
const ADD_ENTRY = `
  INSERT INTO entry (key, status, size, sha256, source, stored_at_ms, checked_at_ms, used_at_ms, h1, trust, blob, body)
  VALUES (@key, @status, @size, @sha256, @source, @nowMs, @nowMs, @nowMs, @h1, @trust, @blob, @body)`;

export function prepareWrites(db: Connection) {
  return {
    statusOf: db.prepare<[string], { status: number }>('SELECT status FROM entry WHERE key = ?'),
    blobOfKey: db.prepare<[string], { blob: number | null; sha256: Buffer }>(
      'SELECT blob, sha256 FROM entry WHERE key = ?',
    ),
    sizeOf: db.prepare<[string], { status: number; size: number }>(
      'SELECT status, size FROM entry WHERE key = ?',
    ),
    entryOfBlob: db.prepare<[number], Id>('SELECT id FROM entry WHERE blob = ? LIMIT 1'),
    addEntry: db.prepare(ADD_ENTRY),
    replaceEntry: db.prepare(
      `${ADD_ENTRY} ON CONFLICT (key) DO UPDATE SET
         status = excluded.status, size = excluded.size, source = excluded.source,
         stored_at_ms = iif(sha256 = excluded.sha256, stored_at_ms, excluded.stored_at_ms),
         sha256 = excluded.sha256, checked_at_ms = excluded.checked_at_ms,
         used_at_ms = excluded.used_at_ms, h1 = excluded.h1, trust = excluded.trust,
         unknown_times = 0, ask_after_ms = 0, blob = excluded.blob, body = excluded.body`,
    ),
    confirm: db.prepare<[number, number, string]>(
      'UPDATE entry SET checked_at_ms = ?, used_at_ms = ? WHERE key = ?',
    ),
    setVerdict: db.prepare<[string, string | null, number | null, number | null, string, Buffer]>(
      `UPDATE entry SET trust = ?, h1 = coalesce(?, h1),
         unknown_times = coalesce(?, unknown_times), ask_after_ms = coalesce(?, ask_after_ms)
       WHERE key = ? AND sha256 = ?`,
    ),
    setting: db.prepare<[string], string>('SELECT value FROM setting WHERE name = ?').pluck(),
    putSetting: db.prepare<[string, string]>('INSERT OR REPLACE INTO setting VALUES (?, ?)'),
    doubt: db.prepare<[number, number]>(
      `UPDATE entry SET trust = 'unconfirmed', unknown_times = 0, ask_after_ms = 0
       WHERE id >= ? AND id < ? AND trust <> 'unchecked'`,
    ),
    lastEntryId: db.prepare<[], Id>('SELECT coalesce(max(id), 0) AS id FROM entry'),
    dropEntry: db.prepare<[string]>('DELETE FROM entry WHERE key = ?'),
    touch: db.prepare<[number, string]>('UPDATE entry SET used_at_ms = ? WHERE key = ?'),
    negatives: db.prepare<[], { n: number }>('SELECT count(*) AS n FROM entry WHERE status <> 200'),
    dropNegatives: db.prepare<[number]>(
      `DELETE FROM entry WHERE id IN
         (SELECT id FROM entry WHERE status <> 200 ORDER BY used_at_ms LIMIT ?)`,
    ),
    growingOf: db.prepare<[string], Id>('SELECT id FROM blob WHERE growing_key = ?'),
    blobOf: db.prepare<[number], { sha256: Buffer | null }>('SELECT sha256 FROM blob WHERE id = ?'),
    blobBySha: db.prepare<[Buffer], Id>('SELECT id FROM blob WHERE sha256 = ?'),
    openBlob: db.prepare(
      `INSERT INTO blob (id, growing_key, size, etag, last_modified, changed_at_ms) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET
         size = excluded.size, etag = excluded.etag, last_modified = excluded.last_modified,
         changed_at_ms = excluded.changed_at_ms
       WHERE sha256 IS NULL`,
    ),
    sealBlob: db.prepare<[Buffer, number, number, number]>(
      'UPDATE blob SET sha256 = ?, size = ?, changed_at_ms = ?, growing_key = NULL WHERE id = ?',
    ),
    putBlob: db.prepare<[number, Buffer, number, number]>(
      'INSERT INTO blob (id, sha256, size, changed_at_ms) VALUES (?, ?, ?, ?)',
    ),
    dropBlob: db.prepare<[number]>('DELETE FROM blob WHERE id = ?'),
    stalePartials: db.prepare<[number], Id>(
      'SELECT id FROM blob WHERE growing_key IS NOT NULL AND changed_at_ms < ? LIMIT 16',
    ),
    lastBlobId: db.prepare<[], Id>('SELECT coalesce(max(id), 0) AS id FROM blob'),
    addChunk: db.prepare<[number, Uint8Array]>('INSERT INTO chunk (id, bytes) VALUES (?, ?)'),
    putChunk: db.prepare<[number, Uint8Array]>('INSERT OR REPLACE INTO chunk (id, bytes) VALUES (?, ?)'),
    hasChunk: db.prepare<[number], Id>('SELECT id FROM chunk WHERE id = ?'),
    renew: db.prepare<[number, number]>(
      'UPDATE blob SET changed_at_ms = ? WHERE id = ? AND growing_key IS NOT NULL',
    ),
    dropChunks: db.prepare<[number, number]>('DELETE FROM chunk WHERE id >= ? AND id < ?'),
    chunksOf: db.prepare<[number, number], { bytes: Buffer }>(
      'SELECT bytes FROM chunk WHERE id >= ? AND id < ? ORDER BY id',
    ),
  };
}
