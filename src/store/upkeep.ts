/** The upkeep of the store's file: its WAL, its free pages, and partial downloads that nobody asked for. */

import { statSync } from 'node:fs';
import type { WriterPort } from '../core/store-port.ts';
import type { BlobWriter } from './blob-writer.ts';
import type { Connection } from './schema.ts';

/** Our own readers end a batch well within this time. Other processes may read for longer: nobody waits for them. */
const CHECKPOINT_WAIT_MS = 50;

/** Free pages given back to the disk by one step, 1 MiB: pages from the end are moved, which takes 4 ms of CPU. */
const VACUUM_PAGES = 64;

export class Upkeep {
  readonly #db: Connection;
  readonly #path: string;
  readonly #blobs: BlobWriter;
  readonly #pageBytes: number;

  constructor(db: Connection, path: string, blobs: BlobWriter) {
    this.#db = db;
    this.#path = path;
    this.#blobs = blobs;
    this.#pageBytes = this.#number('page_size');
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
    return { walBytes: this.#walBytes() };
  };

  tidy: WriterPort['tidy'] = ({ nowMs }) => ({ partials: this.#blobs.dropStale(nowMs) });

  shrink: WriterPort['shrink'] = ({ bytesMax }) => {
    const { fileBytes, usedBytes } = this.sizes({});
    const pages = Math.ceil((fileBytes - Math.max(bytesMax, usedBytes)) / this.#pageBytes);
    if (pages <= 0) return { isDone: true };
    this.#db.pragma(`incremental_vacuum(${Math.min(pages, VACUUM_PAGES)})`);
    const isShorter = this.sizes({}).fileBytes < fileBytes; // Not if another program made the file anew without the pragma.
    return { isDone: !isShorter || pages <= VACUUM_PAGES };
  };

  sizes: WriterPort['sizes'] = () => {
    const [pages, free] = [this.#number('page_count'), this.#number('freelist_count')];
    const [fileBytes, usedBytes] = [pages * this.#pageBytes, (pages - free) * this.#pageBytes];
    return { fileBytes, usedBytes, walBytes: this.#walBytes() };
  };

  #walBytes(): number {
    return statSync(`${this.#path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  #number(pragma: string): number {
    return Number(this.#db.pragma(pragma, { simple: true }));
  }
}
