/**
 * A reader's connection, and the nouns that read through it: the reader's side of `core/store-port.ts`.
 *
 * A read-only connection with its statements prepared once. The calls of a task share a transaction,
 * whose locks would cost a small row as much as reading it; it ends with the task, so that no
 * reader holds the WAL back for longer than a batch. Writing a file takes longer, and has none.
 */

import { statSync } from 'node:fs';
import type { ReaderPort } from '../core/store-port.ts';
import { ActionReader } from './action-reader.ts';
import { BlobReader } from './blob-reader.ts';
import { DeltaBases } from './delta-bases.ts';
import { DeltaReader } from './delta-reader.ts';
import { EntryReader } from './entry-reader.ts';
import { ModuleFinder } from './module-finder.ts';
import { PartialReader } from './partial-reader.ts';
import { type Connection, openReadable } from './schema.ts';
import { SessionReader } from './session-reader.ts';
import { SightingReader } from './sighting-reader.ts';
import { countAll } from './stats.ts';
import { UploadReader } from './upload-reader.ts';
import { VerdictReader } from './verdict-reader.ts';

export class StoreReader implements ReaderPort {
  readonly getEntry;
  readonly getVersions;
  readonly getSightings;
  readonly getStored;
  readonly getKeys;
  readonly getLeastUsedZips;
  readonly getPartialKeys;
  readonly getChunk;
  readonly writeBlob;
  readonly getUnsettled;
  readonly getAction;
  readonly getOutput;
  readonly getOutputChunk;
  readonly getOutputDelta;
  readonly undoOutputDelta;
  readonly getOutputsStored;
  readonly getShortIds;
  readonly getSession;
  readonly getSessions;
  readonly getUploads;
  readonly getUploadCounts;
  readonly getSizes: ReaderPort['getSizes'];
  readonly getStats: ReaderPort['getStats'];
  readonly findModules;
  readonly getModuleVersions;
  readonly #db: Connection;
  readonly #batch;

  /** @throws {StoreFailed} what `store/schema.ts` refuses */
  constructor(path: string) {
    const db = openReadable(path);
    this.#db = db;
    this.#batch = db.transaction((work: () => unknown) => work());
    const partials = new PartialReader(db);
    const entries = new EntryReader(db, partials);
    const blobs = new BlobReader(db);
    const verdicts = new VerdictReader(db);
    const actions = new ActionReader(db);
    this.getEntry = entries.getEntry;
    this.getVersions = entries.getVersions;
    this.getSightings = new SightingReader(db).getSightings;
    this.getStored = entries.getStored;
    this.getKeys = entries.getKeys;
    this.getLeastUsedZips = entries.getLeastUsedZips;
    this.getPartialKeys = partials.getPartialKeys;
    this.getChunk = blobs.getChunk;
    this.writeBlob = blobs.writeBlob;
    this.getUnsettled = verdicts.getUnsettled;
    this.getAction = actions.getAction;
    this.getOutput = actions.getOutput;
    this.getOutputChunk = actions.getOutputChunk;
    const deltas = new DeltaReader(actions);
    this.getOutputDelta = deltas.getOutputDelta;
    this.undoOutputDelta = deltas.undoOutputDelta;
    this.getOutputsStored = actions.getOutputsStored;
    this.getShortIds = actions.getShortIds;
    const sessions = new SessionReader(db, actions, new DeltaBases(db));
    this.getSession = sessions.getSession;
    this.getSessions = sessions.getSessions;
    const uploads = new UploadReader(db);
    this.getUploads = uploads.getUploads;
    this.getUploadCounts = uploads.getUploadCounts;
    const finder = new ModuleFinder(db);
    this.findModules = finder.findModules;
    this.getModuleVersions = finder.getModuleVersions;
    this.getStats = () => countAll(db, path);
    this.getSizes = () => ({
      storeBytes: bytesOfFile(path),
      walBytes: bytesOfFile(`${path}-wal`),
      ...verdicts.counts(),
    });
  }

  /** Runs `work` in one transaction: all its calls see the store as of one moment. */
  inTransaction<T>(work: () => T): T {
    return this.#batch.deferred(work) as T;
  }

  close(): void {
    this.#db.close();
  }
}

function bytesOfFile(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
