/**
 * The end of zips for want of room, in two steps: a zip's entry goes first, and its blob when no answer reads it any more.
 *
 * Between the two the blob is *leaving*. The table of these blobs outlives a crash, so that none is forgotten.
 */

import type { WriterPort } from '../core/store-port.ts';
import type { BlobWriter } from './blob-writer.ts';
import { EXPIRED_BYTES_PER_STEP } from './limits.ts';
import type { Connection } from './schema.ts';

/** What waits for the bucket must not go before it is there. */
export const IS_UPLOADED = `NOT EXISTS (SELECT 1 FROM waiting_upload WHERE waiting_upload.kind = 'entry' AND name = key)`;

/** Rows of `entry` that eviction is about; word for word as in the index that serves it. */
export const IS_ZIP = "kind = 'zip' AND status = 200";

export class LeavingZips {
  readonly #blobs: BlobWriter;
  readonly #sql;

  constructor(db: Connection, blobs: BlobWriter) {
    this.#blobs = blobs;
    this.#sql = {
      letGo: db.prepare<[string, number], { size: number; blob: number | null }>(
        `DELETE FROM entry WHERE key = ? AND used_at_ms <= ? AND ${IS_ZIP} AND ${IS_UPLOADED} RETURNING size, blob`,
      ),
      leave: db.prepare<[number]>('INSERT OR IGNORE INTO leaving VALUES (?)'),
      leaving: db.prepare<[], { blob: number; bytes: number }>(
        'SELECT blob, coalesce(stored_bytes, 0) AS bytes FROM leaving LEFT JOIN blob ON blob.id = leaving.blob',
      ),
      left: db.prepare<[number]>('DELETE FROM leaving WHERE blob = ?'),
    };
  }

  letGo: WriterPort['letGo'] = ({ keys, usedUntilMs }) => {
    let [files, bodyBytes] = [0, 0];
    for (const key of keys) {
      const zip = this.#sql.letGo.get(key, usedUntilMs);
      if (zip === undefined) continue;
      files++;
      bodyBytes += zip.size;
      if (zip.blob !== null) this.#sql.leave.run(zip.blob);
    }
    return { files, bodyBytes };
  };

  dropLeaving: WriterPort['dropLeaving'] = ({ inUse }) => {
    const used = new Set(inUse);
    let [dropped, bytes, isDone] = [0, 0, true];
    for (const leaving of this.#sql.leaving.all()) {
      if (used.has(leaving.blob)) continue;
      if (bytes >= EXPIRED_BYTES_PER_STEP) {
        isDone = false;
        break;
      }
      this.#sql.left.run(leaving.blob);
      this.#blobs.dropIfUnused(leaving.blob);
      dropped++;
      bytes += leaving.bytes;
    }
    return { dropped, isDone };
  };
}
