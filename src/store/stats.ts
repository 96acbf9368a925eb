/**
 * Counts the contents of a store: the figures of `astera stats`.
 *
 * Reads no body and no chunk: entries are counted out of one index that has all it takes.
 */

import { statSync } from 'node:fs';
import { messageOf, StoreFailed } from '../core/errors.ts';
import { CHUNK_BYTES, CHUNKS_PER_BLOB } from '../core/limits.ts';
import { pinsOf } from '../core/pins.ts';
import { quote } from '../core/quote.ts';
import type { ZipRow } from '../core/store-port.ts';
import type {
  BuildCacheStats,
  Conflict,
  Partial,
  StoreStats,
  Tally,
  Unsettled,
  UploadStats,
} from '../core/store-stats.ts';
import { IS_ZIP } from './leaving-zips.ts';
import { type Connection, openReadable } from './schema.ts';
import { boundsOf } from './size-setting.ts';
import { UNSETTLED_COUNTS } from './unsettled.ts';
import { UPLOAD_COUNTS } from './upload-reader.ts';

const PARTIALS_LISTED_MAX = 20;
const CONFLICTS_LISTED_MAX = 20;
const LOST_LISTED_MAX = 20;

/**
 * Counts what the store at `path` holds, in one short transaction beside whoever writes to it.
 *
 * @throws {StoreFailed} what `store/schema.ts` refuses
 */
export function readStats(path: string): StoreStats {
  const db = openReadable(path);
  try {
    return db.transaction(() => countAll(db, path))();
  } catch (error) {
    throw new StoreFailed(`cannot read store ${quote(path)}: ${messageOf(error)}`, { cause: error });
  } finally {
    db.close();
  }
}

/** The same over a connection that is open, in the transaction that it is in. */
export function countAll(db: Connection, path: string): StoreStats {
  return {
    storeBytes: bytesOfFile(path),
    walBytes: bytesOfFile(`${path}-wal`),
    freeBytes: numberOf(db, 'PRAGMA freelist_count') * numberOf(db, 'PRAGMA page_size'),
    bytesMax: boundsOf(db).bytesMax ?? null,
    pinned: pinned(db),
    tallies: tallies(db),
    blobs: blobs(db),
    partials: partials(db),
    partialCount: numberOf(db, "SELECT count(*) FROM blob WHERE growing_kind = 'entry'"),
    buildCache: buildCache(db),
    uploads: uploads(db),
    ...unsettled(db),
  };
}

function tallies(db: Connection): Tally[] {
  const sql = `SELECT kind, status, source, count(*) AS entries, sum(size) AS bytes,
                      min(stored_at_ms) AS oldestAtMs, max(stored_at_ms) AS newestAtMs
               FROM entry GROUP BY kind, status, source`;
  return db.prepare<[], Tally>(sql).all();
}

function pinned(db: Connection): StoreStats['pinned'] {
  const patterns = boundsOf(db).pinned;
  const sum = { zips: 0, bytes: 0 };
  if (patterns === '') return sum;
  const isPinned = pinsOf(patterns);
  const sql = `SELECT key, source, size FROM entry WHERE ${IS_ZIP}`;
  for (const zip of db.prepare<[], Pick<ZipRow, 'key' | 'source' | 'size'>>(sql).iterate()) {
    if (!isPinned(zip)) continue;
    sum.zips++;
    sum.bytes += zip.size;
  }
  return sum;
}

function blobs(db: Connection): StoreStats['blobs'] {
  const sql = 'SELECT count(*) AS count, total(size) AS bytes FROM blob WHERE sha256 IS NOT NULL';
  return db.prepare<[], StoreStats['blobs']>(sql).get() ?? { count: 0, bytes: 0 };
}

function unsettled(db: Connection): Unsettled {
  return db.prepare<[], Unsettled>(UNSETTLED_COUNTS).get() ?? { unchecked: 0, unconfirmed: 0, unknown: 0 };
}

function partials(db: Connection): Partial[] {
  // Chunks come in order: the last one's number says how many there are.
  const sql = `SELECT growing_key AS key, size, changed_at_ms AS changedAtMs,
                 ${CHUNK_BYTES} * (SELECT coalesce(max(chunk.id) + 1 - blob.id * ${CHUNKS_PER_BLOB}, 0) FROM chunk
                   WHERE chunk.id >= blob.id * ${CHUNKS_PER_BLOB}
                     AND chunk.id < (blob.id + 1) * ${CHUNKS_PER_BLOB}) AS bytes
               FROM blob WHERE growing_kind = 'entry'
               ORDER BY changed_at_ms DESC LIMIT ${PARTIALS_LISTED_MAX}`;
  return db.prepare<[], Partial>(sql).all();
}

function buildCache(db: Connection): BuildCacheStats {
  const sql = `SELECT count(*) AS outputs, total(size) AS bytes, total(stored_bytes) AS storedBytes
               FROM output JOIN blob ON blob.id = output.blob`;
  const sums = db.prepare<[], Pick<BuildCacheStats, 'outputs' | 'bytes' | 'storedBytes'>>(sql).get();
  return {
    actions: numberOf(db, 'SELECT count(*) FROM action'),
    ...(sums ?? { outputs: 0, bytes: 0, storedBytes: 0 }),
    conflictCount: numberOf(db, 'SELECT count(*) FROM action WHERE conflicts > 0'),
    conflicts: conflicts(db),
  };
}

function uploads(db: Connection): UploadStats {
  const sql = `SELECT kind, name, coalesce(failure, '') AS why FROM upload WHERE is_lost = 1
               ORDER BY id DESC LIMIT ${LOST_LISTED_MAX}`;
  const lostFiles = db.prepare<[], UploadStats['lostFiles'][number]>(sql).all();
  const counts = db.prepare<[], Omit<UploadStats, 'lostFiles'>>(UPLOAD_COUNTS).get();
  return { ...(counts ?? { waiting: 0, oldestAtMs: null, lost: 0, skipped: 0 }), lostFiles };
}

function conflicts(db: Connection): Conflict[] {
  const sql = `SELECT namespace, lower(hex(action_id)) AS actionId, lower(hex(sha256)) AS outputId,
                 lower(hex(conflict_output)) AS refusedOutputId, conflicts AS times, conflict_at_ms AS atMs
               FROM action JOIN blob ON blob.id = action.output WHERE conflicts > 0
               ORDER BY conflict_at_ms DESC LIMIT ${CONFLICTS_LISTED_MAX}`;
  return db.prepare<[], Conflict>(sql).all();
}

function numberOf(db: Connection, sql: string): number {
  return db.prepare<[], number>(sql).pluck().get() ?? 0;
}

function bytesOfFile(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
