/** The body of one stored answer, wherever it lies, for the builders. */

import { ChunkSource } from './chunk-source.ts';
import { openReadable } from './schema.ts';

export type StoredBody = {
  /** Inline bytes, or a blob's by offset. */
  readonly body: Uint8Array | ChunkSource;
  readonly sha256: string;
  /** Closes the connection it is read through. */
  close(): void;
};

/**
 * Opens the body of the 200 stored under `key`; `undefined` where there is none.
 *
 * @param path the store's; it is read through a connection of its own
 */
export function openBody(path: string, key: string): StoredBody | undefined {
  const db = openReadable(path);
  try {
    const sql = 'SELECT sha256, size, blob, body FROM entry WHERE key = ? AND status = 200';
    const row = db.prepare<[string], BodyColumns>(sql).get(key);
    if (row === undefined) {
      db.close();
      return undefined;
    }
    const body = row.body ?? new ChunkSource(db, row.blob ?? 0, row.size);
    return { body, sha256: row.sha256.toString('hex'), close: () => db.close() };
  } catch (error) {
    db.close();
    throw error;
  }
}

type BodyColumns = { sha256: Buffer; size: number; blob: number | null; body: Buffer | null };
