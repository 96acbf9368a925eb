/**
 * The one writer's connection, and the nouns that write through it: the writer's side of `core/store-port.ts`.
 *
 * The calls of a task run in one transaction (`inTransaction`); each is idempotent, as
 * the front sends a group again when the writer died and nobody knows whether it committed.
 */

import type { WriterPort } from '../core/store-port.ts';
import { BlobWriter } from './blob-writer.ts';
import { EntryWriter } from './entry-writer.ts';
import { type Connection, closeWritable, openWritable, readSetting, type WriterMode } from './schema.ts';
import { Upkeep } from './upkeep.ts';
import { VerdictWriter } from './verdict-writer.ts';

export class StoreWriter implements WriterPort {
  readonly putEntry;
  readonly putFile;
  readonly sealBlob;
  readonly confirmEntry;
  readonly touch;
  readonly dropEntry;
  readonly forget;
  readonly openBlob;
  readonly putChunk;
  readonly dropBlob;
  readonly dropUnused;
  readonly setVerdict;
  readonly confirmBy;
  readonly checkpoint;
  readonly tidy;
  readonly #db: Connection;
  readonly #blobs: BlobWriter;

  /** @throws {StoreFailed} what `store/schema.ts` refuses */
  constructor(path: string, mode: WriterMode = 'shared') {
    const db = openWritable(path, mode);
    this.#db = db;
    const blobs = new BlobWriter(db);
    this.#blobs = blobs;
    this.openBlob = blobs.openBlob;
    this.putChunk = blobs.putChunk;
    this.dropBlob = blobs.dropBlob;
    this.dropUnused = blobs.dropUnused;
    const entries = new EntryWriter(db, blobs);
    this.putEntry = entries.putEntry;
    this.putFile = entries.putFile;
    this.sealBlob = entries.sealBlob;
    this.confirmEntry = entries.confirmEntry;
    this.touch = entries.touch;
    this.dropEntry = entries.dropEntry;
    this.forget = entries.forget;
    const verdicts = new VerdictWriter(db);
    this.setVerdict = verdicts.setVerdict;
    this.confirmBy = verdicts.confirmBy;
    const upkeep = new Upkeep(db, path, blobs);
    this.checkpoint = upkeep.checkpoint;
    this.tidy = upkeep.tidy;
  }

  /** Runs `work` in one transaction: all of it is committed when this returns, or none. */
  inTransaction<T>(work: () => T): T {
    try {
      return this.#db.transaction(work).immediate();
    } catch (error) {
      this.#blobs.forgetUndone();
      throw error;
    }
  }

  /** The highest blob id in use, for the front, which gives them out. */
  lastBlobId(): number {
    return this.#blobs.lastId();
  }

  instance(): string {
    return readSetting(this.#db, 'instance');
  }

  close(): void {
    closeWritable(this.#db);
  }
}
