/** The indexes of the bucket's packs, as they were a short time ago, and what turned out to be wrong of them. */

import { collect } from '../core/collect.ts';
import { messageOf } from '../core/errors.ts';
import { Gate } from '../core/gate.ts';
import type { ObjectStore } from '../core/object-store.ts';
import type { Clock } from '../core/ports.ts';
import type { SessionName } from '../core/session-port.ts';
import {
  decodePackIndex,
  PACK_INDEX_BYTES_MAX,
  type PackIndex,
  type PackRow,
  packChunkKey,
  packSetKey,
  shortId,
} from '../packs/pack-index.ts';
import { notesOf } from './kept-action.ts';
import {
  PACK_INDEX_FRESH_MS,
  PACK_INDEX_READS_MAX,
  PACK_INDEX_READS_WAITING_MAX,
  PACK_INDEXES_BYTES_MAX,
  PACK_INDEXES_MAX,
  WRONG_OBJECTS_MAX,
} from './limits.ts';
import type { WrongObjects } from './wrong-objects.ts';

/** What names a set. */
export type SetName = Pick<SessionName, 'key' | 'project'>;

export type PackIndexesOptions = {
  readonly bucket: Pick<ObjectStore, 'get'>;
  readonly wrong: WrongObjects;
  readonly clock: Clock;
};

type Kept = {
  /** Undefined: there was none that can be understood. */
  readonly index: PackIndex | undefined;
  readonly apart: ReadonlySet<string>;
  /** Of the object. */
  readonly bytes: number;
  readonly readAtMs: number;
};

export class PackIndexes {
  readonly #options: PackIndexesOptions;
  readonly #gate = new Gate({
    placesMax: PACK_INDEX_READS_MAX,
    queueMax: PACK_INDEX_READS_WAITING_MAX,
    full: 'cannot read an index of packs: too many are read',
  });
  /** By the set's key, last read last. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  readonly #reads = new Map<string, Promise<Kept>>();
  /** An index may name an output where another one is. */
  readonly #wrongOutputs = new Set<string>();

  constructor(options: PackIndexesOptions) {
    this.#options = options;
  }

  /**
   * The index of a set, or the last one of its project, without rows that are known to be wrong.
   *
   * @param ageMsMax it may be so old
   * @returns undefined: neither is there. @throws {UpstreamDown} {UpstreamFailed} {Busy}
   */
  async find(
    { key, project }: SetName,
    ageMsMax = PACK_INDEX_FRESH_MS,
  ): Promise<{ key: string; index: PackIndex } | undefined> {
    for (const one of new Set([key, project])) {
      const { index } = await this.#get(one, ageMsMax);
      if (index === undefined) continue;
      const rows = index.rows.filter((row) => !this.isWrong(row));
      return { key: one, index: { rows, apart: index.apart } };
    }
    return undefined;
  }

  /** Whether an index in memory says that no machine takes an action's output from another one. */
  isApart(actionId: string): boolean {
    const short = shortId(actionId);
    for (const { apart } of this.#kept.values()) if (apart.has(short)) return true;
    return false;
  }

  isWrong({ chunk, outputId }: PackRow): boolean {
    if (this.#wrongOutputs.has(outputId)) return true;
    return chunk !== undefined && this.#options.wrong.has(packChunkKey(chunk.sha256));
  }

  noteWrongRow({ outputId, chunk }: PackRow, why: string): void {
    if (this.#wrongOutputs.size < WRONG_OBJECTS_MAX) this.#wrongOutputs.add(outputId);
    this.#options.wrong.tell(chunk === undefined ? `output ${outputId}` : packChunkKey(chunk.sha256), why);
  }

  /** Notes what was written: its rows are right now. @param bytes of the object */
  written(key: string, index: PackIndex, bytes: number): void {
    for (const { outputId } of index.rows) this.#wrongOutputs.delete(outputId);
    this.#keep(key, index, bytes);
  }

  #keep(key: string, index: PackIndex | undefined, bytes: number): Kept {
    const kept = { index, apart: new Set(index?.apart), bytes, readAtMs: this.#options.clock.monotonicMs() };
    this.#drop(key);
    this.#kept.set(key, kept);
    this.#keptBytes += kept.bytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= PACK_INDEXES_MAX && this.#keptBytes <= PACK_INDEXES_BYTES_MAX) break;
      this.#drop(oldest);
    }
    return kept;
  }

  #get(key: string, ageMsMax: number): Kept | Promise<Kept> {
    const kept = this.#kept.get(key);
    const isFresh = kept !== undefined && this.#options.clock.monotonicMs() < kept.readAtMs + ageMsMax;
    if (isFresh) return kept;
    let read = this.#reads.get(key);
    if (read === undefined) {
      read = this.#gate.run(() => this.#read(key)).finally(() => this.#reads.delete(key));
      this.#reads.set(key, read);
    }
    return read;
  }

  async #read(key: string): Promise<Kept> {
    const { bucket, wrong } = this.#options;
    const object = await bucket.get(packSetKey(key));
    const bytes = object && ((await collect(object.body, PACK_INDEX_BYTES_MAX)) ?? Buffer.alloc(0));
    let index: PackIndex | undefined;
    try {
      index = bytes && cleaned(decodePackIndex(bytes));
    } catch (error) {
      wrong.tell(packSetKey(key), messageOf(error)); // The next one is written over it in any case.
    }
    return this.#keep(key, index, index === undefined ? 0 : (bytes?.length ?? 0));
  }

  #drop(key: string): void {
    this.#keptBytes -= this.#kept.get(key)?.bytes ?? 0;
    this.#kept.delete(key);
  }
}

/** With notes that may be stored and sent. */
function cleaned({ rows, apart }: PackIndex): PackIndex {
  return { rows: rows.map((row) => ({ ...row, note: notesOf(row.note).join(' ') || undefined })), apart };
}
