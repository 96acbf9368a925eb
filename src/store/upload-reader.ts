/** Reads of the queue for the bucket. The words: `core/upload-port.ts`. */

import type { UploadCounts, UploadReaderPort, UploadRow } from '../core/upload-port.ts';
import { UPLOAD_WAIT_MS_MAX, UPLOADS_PER_CALL_MAX } from './limits.ts';
import type { Connection } from './schema.ts';

export class UploadReader {
  readonly #sql;

  constructor(db: Connection) {
    this.#sql = prepare(db);
  }

  getUploads: UploadReaderPort['getUploads'] = ({ after, nowMs, limit }) => {
    return {
      rows: this.#sql.due.all(
        after,
        nowMs,
        nowMs + UPLOAD_WAIT_MS_MAX,
        Math.min(limit, UPLOADS_PER_CALL_MAX),
      ),
    };
  };

  getUploadCounts: UploadReaderPort['getUploadCounts'] = () => {
    const found = this.#sql.counts.get();
    return { ...NONE, ...found, oldestAtMs: found?.oldestAtMs ?? undefined };
  };
}

const NONE: UploadCounts = { waiting: 0, oldestAtMs: undefined, lost: 0, skipped: 0 };

/** All figures of the queue; `oldestAtMs` is null if nothing waits. */
export const UPLOAD_COUNTS = `SELECT coalesce(sum(is_lost = 0), 0) AS waiting, coalesce(sum(is_lost), 0) AS lost,
  min(iif(is_lost, NULL, queued_at_ms)) AS oldestAtMs,
  coalesce((SELECT CAST(value AS INTEGER) FROM setting WHERE name = 'uploads_skipped'), 0) AS skipped
  FROM upload`;

function prepare(db: Connection) {
  return {
    due: db.prepare<[number, number, number, number], UploadRow>(
      `SELECT id, kind, name, tries FROM upload
       WHERE id > ? AND is_lost = 0 AND (after_ms <= ? OR after_ms > ?) ORDER BY id LIMIT ?`,
    ),
    counts: db.prepare<[], Omit<UploadCounts, 'oldestAtMs'> & { oldestAtMs: number | null }>(UPLOAD_COUNTS),
  };
}
