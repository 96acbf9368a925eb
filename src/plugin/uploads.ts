/**
 * Uploads that go on behind a build: a few at a time, from the files on disk. The rest is left to a spool in the local
 * directory at the end, which the next run empties.
 */

import { isCacheId } from '../core/cache-id.ts';
import { noteDropped } from '../core/dropped-buffers.ts';
import { PUTS_BYTES_MAX, PUTS_MAX, PUTS_OUTPUT_BYTES_MAX } from '../core/puts-wire.ts';
import type { LocalEntry } from './cache-directory.ts';
import { PLUGIN_UPLOADS_WAITING_MAX } from './limits.ts';
import type { LocalCache } from './local-cache.ts';
import type { NamedEntry, Remote } from './remote.ts';
import { Spool } from './spool.ts';

export class Uploads {
  readonly #local: LocalCache;
  readonly #remote: Remote;
  readonly #openMax: number;
  /** Action IDs, oldest first. */
  readonly #waiting = new Set<string>();
  /** Actions of the requests that are open. */
  readonly #underWay = new Set<string>();
  readonly #uploads = new Set<Promise<void>>();
  /** Requests that are open. */
  #open = 0;
  /** False: a bucket, or an older server, which takes one at a time. */
  #takesMany: boolean;
  readonly #spool: Spool;
  done = 0;

  constructor(local: LocalCache, remote: Remote, openMax: number) {
    this.#local = local;
    this.#remote = remote;
    this.#spool = new Spool(local.ownPath('spool'));
    this.#takesMany = remote.putMany !== undefined;
    this.#openMax = openMax;
  }

  /** Whether no upload is under way. */
  get isIdle(): boolean {
    return this.#open === 0;
  }

  add(actionId: string): void {
    if (this.#waiting.size >= PLUGIN_UPLOADS_WAITING_MAX) return;
    this.#waiting.add(actionId);
    this.#start();
  }

  /** Takes over what earlier runs left, those among them that were killed. */
  takeSpool(): void {
    for (const actionId of this.#spool.take().flat()) if (isCacheId(actionId)) this.add(actionId);
  }

  /** Waits for all uploads, but no longer than `waitMs`, and leaves the rest to the spool. */
  async close(waitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), waitMs);
    });
    while (this.#uploads.size > 0) {
      if ((await Promise.race([timeout, ...this.#uploads])) === 'late') break;
    }
    clearTimeout(timer);
    const left = [...this.#underWay, ...this.#waiting];
    // Where they can't be written down, a later build of the same package on another machine compiles it again.
    if (left.length === 0 || this.#spool.add(left)) this.#spool.dropClaimed();
  }

  #start(): void {
    for (const actionId of this.#waiting) {
      if (this.#open >= this.#openMax || !this.#remote.takesPuts) return;
      const entry = this.#local.getOwn(actionId);
      this.#waiting.delete(actionId);
      if (entry === undefined) continue;
      const batch = this.#takesMany ? this.#batchFrom({ actionId, entry }) : [{ actionId, entry }];
      this.#open++;
      for (const put of batch) this.#underWay.add(put.actionId);
      const upload = this.#upload(batch).finally(() => {
        this.#open--;
        for (const put of batch) this.#underWay.delete(put.actionId);
        this.#uploads.delete(upload);
        if (this.#open + this.#waiting.size === 0) this.#spool.dropClaimed();
        this.#start();
      });
      this.#uploads.add(upload);
    }
  }

  /** The put and small ones that wait behind it, if it is small itself. */
  #batchFrom(first: NamedEntry): NamedEntry[] {
    const batch = [first];
    if (!this.#isSmall(first.entry)) return batch;
    let bytes = first.entry.size + RECORD_BYTES;
    for (const actionId of this.#waiting) {
      if (batch.length === PUTS_MAX) break;
      const entry = this.#local.getOwn(actionId);
      if (entry !== undefined && !this.#isSmall(entry)) continue;
      bytes += (entry?.size ?? 0) + RECORD_BYTES;
      if (bytes > PUTS_BYTES_MAX) break;
      this.#waiting.delete(actionId);
      if (entry !== undefined) batch.push({ actionId, entry });
    }
    return batch;
  }

  #isSmall(entry: LocalEntry): boolean {
    return entry.size <= PUTS_OUTPUT_BYTES_MAX && !this.#remote.isHostBound(entry);
  }

  async #upload(batch: readonly NamedEntry[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    const isMany = this.#takesMany && this.#isSmall(first.entry);
    const ends = isMany
      ? await this.#remote.putMany?.(batch)
      : [await this.#remote.put(first.actionId, first.entry)];
    if (ends === undefined) this.#takesMany = false;
    for (const [at, { actionId, entry }] of batch.entries()) {
      noteDropped(entry.size); // Read to be sent.
      const end = ends?.[at] ?? 'later';
      if (end === 'stored') this.done++;
      else if (end === 'later') this.#waiting.add(actionId);
      else this.#local.dropIfDamaged(entry);
    }
  }
}

/** Of a put in a request of many, at most: IDs, numbers and a signature. */
const RECORD_BYTES = 512;
