/** The upkeep of the store's file: its WAL, its free pages, and partial downloads that nobody asked for. */

import { statSync } from 'node:fs';
import type { WriterPort } from '../core/store-port.ts';
import type { BlobWriter } from './blob-writer.ts';
import type { Connection } from './schema.ts';

/** Our own readers end a batch well within this time. Other processes may read for longer: nobody waits for them. */
const CHECKPOINT_WAIT_MS = 50;

/** Free pages given back to the disk by one tidy: 4 MiB. */
const VACUUM_PAGES = 256;

export class Upkeep {
  readonly #db: Connection;
  readonly #path: string;
  readonly #blobs: BlobWriter;

  constructor(db: Connection, path: string, blobs: BlobWriter) {
    this.#db = db;
    this.#path = path;
    this.#blobs = blobs;
  }

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
    const partials = this.#blobs.dropStale(nowMs);
    this.#db.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
    return { partials };
  };
}
