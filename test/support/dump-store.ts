/** All that a store's file holds, for tests that look for traces. Opens it beside a stopped server. */

import { openReadable } from '../../src/store/schema.ts';

export type StoreDump = {
  readonly entries: readonly {
    readonly key: string;
    readonly status: number;
    readonly trust: string;
    readonly sha256: string;
    /** The inline body as text; empty where it is a blob. */
    readonly body: string;
  }[];
  /** Ids of blobs, growing ones too. */
  readonly blobs: readonly number[];
  readonly chunks: number;
};

export function dumpStore(path: string): StoreDump {
  const db = openReadable(path);
  try {
    const entries = db
      .prepare<[], StoreDump['entries'][number]>(
        `SELECT key, status, trust, hex(sha256) AS sha256, coalesce(CAST(body AS TEXT), '') AS body
         FROM entry ORDER BY key`,
      )
      .all();
    const blobs = db.prepare<[], number>('SELECT id FROM blob ORDER BY id').pluck().all();
    const chunks = db.prepare<[], number>('SELECT count(*) FROM chunk').pluck().get() ?? 0;
    return { entries, blobs, chunks };
  } finally {
    db.close();
  }
}
