/**
 * Chunks of a set that are written while its command still runs. At the command's end little is left to write, so that a
 * machine of CI, which is thrown away then, leaves its packs to others. The layout: `pack-index.ts`.
 */

import { PACK_CONTENT_BYTES } from '../packs/limits.ts';
import type { PackChunk } from '../packs/pack-index.ts';
import { notePlaces, type PackPlace } from '../packs/set-chunks.ts';
import type { LocalEntry } from './cache-directory.ts';
import { PACK_EARLY_OUTPUTS_MAX, PACK_EARLY_SETS_MAX } from './limits.ts';

/** Writes a chunk of these outputs in their order; undefined: it is not there, and they are packed with the rest. Never rejects. */
export type WriteEarly = (entries: readonly LocalEntry[]) => Promise<PackChunk | undefined>;

export type EarlyPlaces = {
  /** Where outputs lie that are in the bucket, by their IDs. It grows. */
  readonly places: ReadonlyMap<string, PackPlace>;
  /** Settles when no more come. Never rejects. */
  readonly isWhole: Promise<void>;
};

type EarlySet = {
  /** Outputs that were taken once, by their IDs. */
  readonly seen: Set<string>;
  readonly places: Map<string, PackPlace>;
  readonly writes: Promise<void>[];
  gathered: LocalEntry[];
  gatheredBytes: number;
};

export class EarlyChunks {
  readonly #write: WriteEarly;
  /** By the set's key. The one that was put to last is last. */
  readonly #sets = new Map<string, EarlySet>();
  #open = 0;

  constructor(write: WriteEarly) {
    this.#write = write;
  }

  /** Whether no chunk is being written. */
  get isIdle(): boolean {
    return this.#open === 0;
  }

  /** Takes an output that a command of the set has made. A chunk is written as soon as it is full. */
  add(key: string, entry: LocalEntry): void {
    const set = this.#setOf(key);
    if (entry.size === 0 || set.seen.has(entry.outputId) || set.seen.size >= PACK_EARLY_OUTPUTS_MAX) return;
    set.seen.add(entry.outputId);
    set.gathered.push(entry);
    set.gatheredBytes += entry.size;
    if (set.gatheredBytes < PACK_CONTENT_BYTES) return;
    const entries = set.gathered;
    set.gathered = [];
    set.gatheredBytes = 0;
    set.writes.push(this.#writeOf(set, entries));
  }

  /** A set's chunks, those under way among them. The set is forgotten: what is in no full chunk is its caller's. */
  take(key: string): EarlyPlaces {
    const set = this.#sets.get(key) ?? newSet();
    this.#sets.delete(key);
    return { places: set.places, isWhole: Promise.all(set.writes).then(() => {}) };
  }

  #setOf(key: string): EarlySet {
    const set = this.#sets.get(key) ?? newSet();
    this.#sets.delete(key);
    this.#sets.set(key, set);
    const [oldest] = this.#sets.size > PACK_EARLY_SETS_MAX ? this.#sets.keys() : [];
    if (oldest !== undefined) this.#sets.delete(oldest);
    return set;
  }

  async #writeOf(set: EarlySet, entries: readonly LocalEntry[]): Promise<void> {
    this.#open++;
    const chunk = await this.#write(entries);
    this.#open--;
    if (chunk !== undefined) notePlaces(set.places, chunk, entries);
  }
}

function newSet(): EarlySet {
  return { seen: new Set(), places: new Map(), writes: [], gathered: [], gatheredBytes: 0 };
}
