/**
 * The one writer's connection, and the nouns that write through it: the writer's side of `core/store-port.ts`.
 *
 * The calls of a task run in one transaction (`inTransaction`); each is idempotent, as
 * the front sends a group again when the writer died and nobody knows whether it committed.
 */

import type { WriterPort } from '../core/store-port.ts';
import { ActionExpiry } from './action-expiry.ts';
import { ActionWriter } from './action-writer.ts';
import { BlobWriter } from './blob-writer.ts';
import { EntryWriter } from './entry-writer.ts';
import { LeavingZips } from './leaving-zips.ts';
import { OutputWriter } from './output-writer.ts';
import { PolicyWriter } from './policy-writer.ts';
import { type Connection, closeWritable, openWritable, readSetting, type WriterMode } from './schema.ts';
import { SessionWriter } from './session-writer.ts';
import { keepWithin } from './size-setting.ts';
import { Upkeep } from './upkeep.ts';
import { UploadQueue } from './upload-queue.ts';
import { UseTimes } from './use-times.ts';
import { VerdictWriter } from './verdict-writer.ts';

export class StoreWriter implements WriterPort {
  readonly putEntry;
  readonly putFile;
  readonly sealBlob;
  readonly revalidateEntry;
  readonly touch;
  readonly dropEntry;
  readonly forget;
  readonly openBlob;
  readonly putChunk;
  readonly dropBlob;
  readonly dropUnused;
  readonly setVerdict;
  readonly confirmBy;
  readonly exemptBy;
  readonly dropVerdicts;
  readonly delayYoung;
  readonly noteSightings;
  readonly putOutput;
  readonly openOutput;
  readonly sealOutput;
  readonly putAction;
  readonly touchActions;
  readonly dropAction;
  readonly dropOutput;
  readonly expireActions;
  readonly forgetActions;
  readonly putSession;
  readonly keepUploads;
  readonly endUploads;
  readonly retryUploads;
  readonly queueStored;
  readonly checkpoint;
  readonly tidy;
  readonly letGo;
  readonly dropLeaving;
  readonly shrink;
  readonly keepWithin;
  readonly sizes;
  readonly #db: Connection;
  readonly #blobs: BlobWriter;
  readonly #outputs: OutputWriter;
  readonly #use: UseTimes;
  readonly #uploads: UploadQueue;

  /**
   * @param monotonicMs a clock that nobody sets, to tell when the other one was set
   * @throws {StoreFailed} what `store/schema.ts` refuses
   */
  constructor(path: string, mode: WriterMode = 'shared', monotonicMs = () => performance.now()) {
    const db = openWritable(path, mode);
    this.#db = db;
    const blobs = new BlobWriter(db);
    this.#blobs = blobs;
    this.openBlob = blobs.openBlob;
    this.putChunk = blobs.putChunk;
    this.dropBlob = blobs.dropBlob;
    this.dropUnused = blobs.dropUnused;
    const uploads = new UploadQueue(db);
    this.#uploads = uploads;
    this.keepUploads = uploads.keepUploads;
    this.endUploads = uploads.endUploads;
    this.retryUploads = uploads.retryUploads;
    this.queueStored = uploads.queueStored;
    const entries = new EntryWriter(db, blobs, uploads);
    this.putEntry = entries.putEntry;
    this.putFile = entries.putFile;
    this.sealBlob = entries.sealBlob;
    this.revalidateEntry = entries.revalidateEntry;
    this.touch = entries.touch;
    this.dropEntry = entries.dropEntry;
    this.forget = entries.forget;
    const verdicts = new VerdictWriter(db);
    this.setVerdict = verdicts.setVerdict;
    this.confirmBy = verdicts.confirmBy;
    this.exemptBy = verdicts.exemptBy;
    this.dropVerdicts = verdicts.dropVerdicts;
    const policy = new PolicyWriter(db);
    this.delayYoung = policy.delayYoung;
    this.noteSightings = policy.noteSightings;
    const outputs = new OutputWriter(db, blobs);
    this.#outputs = outputs;
    this.putOutput = outputs.putOutput;
    this.openOutput = outputs.openOutput;
    this.sealOutput = outputs.sealOutput;
    const use = new UseTimes(db, monotonicMs);
    this.#use = use;
    const actions = new ActionWriter(db, { outputs, use, uploads });
    this.putAction = actions.putAction;
    this.touchActions = actions.touchActions;
    this.dropAction = actions.dropAction;
    this.dropOutput = actions.dropOutput;
    const sessions = new SessionWriter(db, uploads);
    this.putSession = sessions.putSession;
    const expiry = new ActionExpiry(db, { actions, outputs, use, sessions });
    this.expireActions = expiry.expireActions;
    this.forgetActions = expiry.forgetActions;
    const upkeep = new Upkeep(db, path, blobs);
    this.checkpoint = upkeep.checkpoint;
    this.tidy = upkeep.tidy;
    this.shrink = upkeep.shrink;
    this.sizes = upkeep.sizes;
    const leaving = new LeavingZips(db, blobs);
    this.letGo = leaving.letGo;
    this.dropLeaving = leaving.dropLeaving;
    this.keepWithin = keepWithin(db);
  }

  /** Runs `work` in one transaction: all of it is committed when this returns, or none. */
  inTransaction<T>(work: () => T): T {
    const { seen } = this.#use;
    try {
      return this.#db.transaction(work).immediate();
    } catch (error) {
      this.#blobs.forgetUndone();
      this.#outputs.forgetUndone();
      this.#uploads.forgetUndone();
      this.#use.restore(seen);
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
