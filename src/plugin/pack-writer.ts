/** Writes what a command adds to its set: chunks first, some while it runs, then the index that names them. The layout: `pack-index.ts`. */

import { closeSync, openSync, readSync } from 'node:fs';
import { Gate } from '../core/gate.ts';
import { type MadeChunk, makeChunk, type PackReader } from '../packs/pack-chunk.ts';
import {
  encodePackIndex,
  type PackChunk,
  type PackIndex,
  type PackRow,
  packChunkKey,
  packSetKey,
} from '../packs/pack-index.ts';
import { groupsOf, type PackPlace, placed } from '../packs/set-chunks.ts';
import { type PlanParts, planSet, type SetPlan } from '../packs/set-plan.ts';
import { ZstdPacker } from '../packs/zstd-streams.ts';
import type { BucketObjects } from './bucket-objects.ts';
import { sha256 } from './bucket-server.ts';
import type { LocalEntry } from './cache-directory.ts';
import { EarlyChunks } from './early-chunks.ts';
import { PACK_WRITES_MAX } from './limits.ts';
import type { LocalCache } from './local-cache.ts';
import type { PackIndexes, SetName } from './pack-indexes.ts';

/** A set, and what a command of it used. */
export type PackJob = SetName & {
  /** IDs of actions in the command's order. */
  readonly used: readonly string[];
};

export type PackWriterDoors = Pick<PlanParts<LocalEntry>, 'find' | 'isTrusted'> & {
  readonly objects: BucketObjects;
  readonly local: LocalCache;
  readonly indexes: PackIndexes;
};

export class PackWriter {
  readonly #doors: PackWriterDoors;
  readonly #gate = new Gate({ placesMax: PACK_WRITES_MAX, queueMax: Infinity, full: '' });
  readonly #early: EarlyChunks;
  #packer: ZstdPacker | undefined;
  /** Bytes of objects that were written. */
  bytes = 0;

  constructor(doors: PackWriterDoors) {
    this.#doors = doors;
    this.#early = new EarlyChunks((entries) => this.#writeEarly(entries));
  }

  /** Whether no chunk of a running command is being written. */
  get isIdle(): boolean {
    return this.#early.isIdle;
  }

  /** Takes what a command of the set has made, while it still runs. */
  put(key: string, entry: LocalEntry): void {
    this.#early.add(key, entry);
  }

  /** Whether it is done with; otherwise it should be tried again at another time. Never rejects. */
  async write(job: PackJob): Promise<boolean> {
    const { objects, indexes } = this.#doors;
    const early = this.#early.take(job.key);
    if (!objects.server.takesPuts) return false;
    try {
      // As it is now: another machine may have written it since.
      const index = (await indexes.read(job)) ?? { rows: [], apart: [] };
      // The process may be ended before the rest is written.
      if (
        early.places.size > 0 &&
        !(await this.#writeIndex(job, this.#placedSoFar(job, index, early.places)))
      )
        return false;
      await early.isWhole;
      const plan = this.#plan(job, index, early.places);
      if (plan === undefined) return true;
      const groups = groupsOf([...plan.fresh.values()]);
      const chunks = await Promise.all(groups.map((group) => this.#writeChunk(group)));
      if (chunks.includes('later')) return false;
      const next = placed(plan, groups, chunks);
      return next === undefined || (await this.#writeIndex(job, next));
    } catch (error) {
      objects.server.failed(error);
      return false;
    }
  }

  #plan(
    job: PackJob,
    index: PackIndex,
    places: ReadonlyMap<string, PackPlace>,
  ): SetPlan<LocalEntry> | undefined {
    const { indexes, find, isTrusted } = this.#doors;
    const isBad = (row: PackRow) => indexes.isWrong(row);
    return planSet({ index, used: job.used, places, find, isTrusted, isBad });
  }

  /** The set with what is in the bucket already. */
  #placedSoFar(job: PackJob, index: PackIndex, places: ReadonlyMap<string, PackPlace>): PackIndex {
    const { rows, apart } = this.#plan(job, index, places) ?? index;
    const before = new Map(index.rows.map((row) => [row.actionId, row]));
    const there = rows.flatMap((row) => {
      const isThere = row.chunk !== undefined || row.size === 0;
      // What is to be packed anew lies where it did, until then.
      return isThere ? [row] : (before.get(row.actionId) ?? []);
    });
    return { rows: there, apart };
  }

  /** False: it should be tried again at another time. @throws {Error} the bucket failed */
  async #writeIndex(job: PackJob, index: PackIndex): Promise<boolean> {
    const { objects, indexes } = this.#doors;
    const body = encodePackIndex(index);
    const hash = sha256(body);
    // The project's is for commands that nobody has run before.
    for (const key of new Set([job.key, job.project])) {
      const object = { size: body.length, body };
      const path = objects.path(packSetKey(key));
      if ((await objects.store(path, object, hash, { isReplaced: true })) === 'later') return false;
      this.bytes += body.length;
    }
    indexes.keep(job.key, index);
    objects.server.worked();
    return true;
  }

  async #writeEarly(entries: readonly LocalEntry[]): Promise<PackChunk | undefined> {
    try {
      const chunk = await this.#writeChunk(entries);
      return typeof chunk === 'object' ? chunk : undefined;
    } catch (error) {
      this.#doors.objects.server.failed(error);
      return undefined;
    }
  }

  /** A few at a time. @throws {Error} the bucket failed */
  #writeChunk(entries: readonly LocalEntry[]): Promise<PackChunk | 'later' | 'refused'> {
    return this.#gate.run(() => this.#writeNow(entries));
  }

  /** @throws {Error} the bucket failed */
  async #writeNow(entries: readonly LocalEntry[]): Promise<PackChunk | 'later' | 'refused'> {
    const { objects } = this.#doors;
    if (!objects.server.takesPuts) return 'later';
    const made = await this.#make(entries);
    if (made === undefined) return 'later';
    const { chunk, body } = made;
    const path = objects.path(packChunkKey(chunk.sha256));
    if (await objects.has(path, chunk.storedBytes)) return chunk;
    const end = await objects.store(path, body, chunk.sha256);
    if (end === 'later' || end === 'refused') return end;
    if (end === 'stored') this.bytes += chunk.storedBytes;
    return chunk;
  }

  /** Undefined: an output is gone or damaged. The next try does without it. */
  async #make(entries: readonly LocalEntry[]): Promise<MadeChunk | undefined> {
    try {
      this.#packer ??= new ZstdPacker();
      return await makeChunk(entries, { packer: this.#packer, open: openFile });
    } catch {
      for (const entry of entries) this.#doors.local.dropIfDamaged(entry);
      return undefined;
    }
  }
}

function openFile({ path }: LocalEntry): PackReader {
  const fd = openSync(path, 'r');
  return {
    read: (into, at) => readSync(fd, into, 0, into.length, at),
    close: () => closeSync(fd),
  };
}
