/**
 * Empties the queue into the bucket: some uploads at a time, at a bounded rate, in the order in which files came.
 *
 * A bucket that can't be reached stops it for a while and costs no row a try. A row that the bucket refuses is tried again
 * later, and given up after UPLOAD_TRIES_MAX tries. After a crash the rows whose ends were not written are uploaded once
 * more: their objects are there, and stay.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { type ErrorKind, isServeError, messageOf } from '../core/errors.ts';
import { Gate } from '../core/gate.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { FailedUpload, UploadName, UploadRow } from '../core/upload-port.ts';
import { WakeUp } from '../core/wake-up.ts';
import { uploadAction } from './action-upload.ts';
import {
  PUMP_BURST_BYTES,
  PUMP_BUSY_BYTES_PER_MS,
  PUMP_BUSY_MS,
  PUMP_BYTES_PER_MS,
  PUMP_ENDS_MAX,
  PUMP_LOOK_MS,
  PUMP_OBJECT_BYTES,
  PUMP_RETRY_MS,
  PUMP_ROWS_MAX,
  PUMP_SETS_MAX,
  UPLOAD_RETRY_MS,
  UPLOAD_TRIES_MAX,
} from './limits.ts';
import { moduleFileOf, uploadList, uploadModuleFile } from './module-upload.ts';
import { Pace } from './pace.ts';
import { type SetUploadOptions, uploadSet } from './set-upload.ts';
import { uploadSumdbFile } from './sumdb-upload.ts';
import { NOTHING_TO_DO, type Uploaded } from './upload.ts';

export type PumpOptions = Omit<SetUploadOptions, 'pace'> & {
  /** Answers that were given to clients so far. */
  readonly answers: () => number;
  /** Whether actions go as objects of their own, beside packs. */
  readonly hasObjects: boolean;
  /** Uploads at one time. */
  readonly lanes: number;
  readonly events: {
    uploaded(result: 'done' | 'failed' | 'lost', bytes: number): void;
    uploadFailed(what: string, why: string, isLost: boolean): void;
    housekeepingFailed(why: string): void;
  };
};

export class Pump {
  readonly #options: PumpOptions & SetUploadOptions;
  readonly #pace: Pace;
  readonly #sets = new Gate({ placesMax: PUMP_SETS_MAX, queueMax: Infinity, full: '' });
  #answers = 0;
  #busyUntilMs = Number.NEGATIVE_INFINITY;
  readonly #news = new WakeUp();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** Something was stored since the queue was last found empty. */
  #hasNews = true;
  #isHurried = false;

  constructor(options: PumpOptions) {
    this.#options = { ...options, pace: (bytes) => this.#wait(bytes) };
    this.#pace = new Pace({
      bytesPerMs: () => (this.#isBusy() ? PUMP_BUSY_BYTES_PER_MS : PUMP_BYTES_PER_MS),
      burstBytes: PUMP_BURST_BYTES,
      now: () => options.clock.monotonicMs(),
    });
  }

  /** Works until {@link stop}. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Something may have been queued. */
  wake(): void {
    this.#hasNews = true;
    this.#news.call();
  }

  /** Empties the queue as fast as it can, from now until it is empty. */
  hurry(): void {
    this.#isHurried = true;
    this.wake();
  }

  /** Resolves when nothing is under way any more. What waits is uploaded after the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#news.call();
    await this.#running;
  }

  /** Uploads all that may be tried now. @throws {UpstreamDown} {Busy} the bucket can't be reached. @throws {StoreFailed} no end can be written */
  async drain(): Promise<void> {
    const { store, clock } = this.#options;
    while (!this.#isStopped) {
      const { rows } = await store.getUploads({ after: 0, nowMs: clock.wallMs(), limit: PUMP_ROWS_MAX });
      if (rows.length === 0) return;
      await this.#uploadAll(rows);
    }
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      this.#hasNews = false;
      try {
        await this.drain();
        this.#isHurried = false;
        await this.#rest(UPLOAD_RETRY_MS);
      } catch (error) {
        const isKnown = isServeError(error);
        if (!isKnown) this.#options.events.housekeepingFailed(`uploads: ${messageOf(error)}`);
        // Ends that can't be written are those of files that went over the line, and go over it again.
        await this.#pause(isKnown && error.kind === 'store-failed' ? UPLOAD_RETRY_MS : PUMP_RETRY_MS);
      }
    }
  }

  /** Until there is news, or until a refused row's time may have come. */
  async #rest(ms: number): Promise<void> {
    if (this.#hasNews || this.#isStopped) return;
    const over = new AbortController();
    await Promise.race([this.#news.next(), this.#pause(ms, over.signal)]); // A stop is news too.
    over.abort();
    if (!this.#isHurried) await this.#pause(PUMP_LOOK_MS);
  }

  /** By one signal: each that is joined with one that lives as long as the server stays in memory as long (Node 22). */
  #pause(ms: number, signal = this.#stop.signal): Promise<void> {
    return delay(ms, undefined, { signal, ref: false }).catch(() => {});
  }

  /** @throws {UpstreamDown} {Busy} {StoreFailed} after the ends of the others are written */
  async #uploadAll(rows: readonly UploadRow[]): Promise<void> {
    const ends = new Ends(this.#options);
    const waiting = rows[Symbol.iterator]();
    let failure: unknown;
    const lane = async () => {
      for (const row of waiting) {
        if (failure !== undefined || this.#isStopped) return;
        await this.#uploadOne(row, ends).catch((error: unknown) => {
          failure ??= error;
        });
      }
    };
    await Promise.all(Array.from({ length: this.#options.lanes }, lane));
    await ends.flush();
    if (failure !== undefined) throw failure;
  }

  /** @throws what stops all: the bucket can't be reached, or no end can be written */
  async #uploadOne(row: UploadRow, ends: Ends): Promise<void> {
    let uploaded: Uploaded;
    try {
      await this.#wait(PUMP_OBJECT_BYTES);
      uploaded = await this.#upload(row);
    } catch (error) {
      if (!isServeError(error) || !OF_ITS_OWN.has(error.kind)) throw error;
      return this.#failed(row, error, ends);
    }
    const { bytes, queued } = uploaded;
    await ends.done(row, queued);
    this.#options.events.uploaded('done', bytes);
    if (bytes <= CHUNK_BYTES) await this.#wait(bytes); // Longer ones were paced piece by piece.
  }

  #wait(bytes: number): Promise<void> {
    return this.#isHurried ? Promise.resolve() : this.#pace.take(bytes, this.#stop.signal);
  }

  /** Clients come first. */
  #isBusy(): boolean {
    const answers = this.#options.answers();
    const nowMs = this.#options.clock.monotonicMs();
    if (answers !== this.#answers) this.#busyUntilMs = nowMs + PUMP_BUSY_MS;
    this.#answers = answers;
    return nowMs < this.#busyUntilMs;
  }

  #upload({ kind, name }: UploadRow): Promise<Uploaded> {
    const { hasObjects } = this.#options;
    if (kind === 'action')
      return hasObjects ? uploadAction(this.#options, name) : Promise.resolve(NOTHING_TO_DO);
    if (kind === 'set') return this.#sets.run(() => uploadSet(this.#options, name));
    if (kind === 'list') return uploadList(this.#options, name);
    if (name.startsWith('sumdb/')) return uploadSumdbFile(this.#options, name);
    const resource = moduleFileOf(name);
    return resource === undefined
      ? Promise.resolve(NOTHING_TO_DO)
      : uploadModuleFile(this.#options, name, resource);
  }

  async #failed({ id, kind, name, tries }: UploadRow, error: Error, ends: Ends): Promise<void> {
    const { clock, events } = this.#options;
    const isLost = tries + 1 >= UPLOAD_TRIES_MAX;
    const afterMs = clock.wallMs() + UPLOAD_RETRY_MS * 2 ** tries;
    events.uploaded(isLost ? 'lost' : 'failed', 0);
    events.uploadFailed(`${kind} ${name}`, messageOf(error), isLost);
    await ends.failed({ id, why: messageOf(error), afterMs, isLost });
  }
}

/** Failures of one row: the bucket refuses it, or the store can't give it. */
const OF_ITS_OWN: ReadonlySet<ErrorKind> = new Set(['upstream-failed', 'store-failed', 'bad-request']);

/** The ends of rows, some in one transaction. */
class Ends {
  readonly #options: Pick<PumpOptions, 'store' | 'clock'>;
  #done: number[] = [];
  #failed: FailedUpload[] = [];
  readonly #queued = new Map<string, UploadName>();

  constructor(options: Pick<PumpOptions, 'store' | 'clock'>) {
    this.#options = options;
  }

  async done({ id }: UploadRow, queued: readonly UploadName[]): Promise<void> {
    this.#done.push(id);
    for (const one of queued) this.#queued.set(`${one.kind} ${one.name}`, one);
    await this.#flushSome();
  }

  async failed(upload: FailedUpload): Promise<void> {
    this.#failed.push(upload);
    await this.#flushSome();
  }

  async flush(): Promise<void> {
    const [done, failed, queued] = [this.#done, this.#failed, [...this.#queued.values()]];
    if (done.length + failed.length === 0) return;
    this.#done = [];
    this.#failed = [];
    this.#queued.clear();
    await this.#options.store.endUploads({ done, failed, queued, nowMs: this.#options.clock.wallMs() });
  }

  async #flushSome(): Promise<void> {
    if (this.#done.length + this.#failed.length >= PUMP_ENDS_MAX) await this.flush();
  }
}
