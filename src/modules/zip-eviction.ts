/**
 * The eviction of zips for want of room, the least recently used ones first. Their `.info` and `.mod` files stay: they are
 * small, `go` chooses versions by them without the network, and a zip can be fetched again.
 *
 * The times of last use in the store are up to an hour old. So each zip whose turn it is gets a second chance if it was
 * used since, as memory knows: then that is written down and the next one goes. Only if that leaves too little, these
 * go too.
 *
 * Nothing goes that is in flight: no zip that is being fetched, and none that a client reads now.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Store, ZipRow } from '../core/store-port.ts';
import type { LastUse } from '../flight/last-use.ts';
import type { Memory } from '../flight/memory.ts';
import type { ReadThrough } from '../flight/read-through.ts';
import type { Found, Read } from './found.ts';
import type { OutsideWrites } from './outside-writes.ts';

export type ZipEvictionOptions = {
  readonly store: Pick<Store, 'getLeastUsedZips' | 'touch' | 'dropLeaving'>;
  readonly outsideWrites: Pick<OutsideWrites, 'letGo'>;
  readonly memory: Pick<Memory, 'takeUse' | 'openBlobs'>;
  readonly lastUse: Pick<LastUse<string>, 'takeUnwritten'>;
  readonly readThrough: Pick<ReadThrough<Read, Found>, 'isFetching'>;
  readonly clock: Pick<Clock, 'wallMs'>;
  /** Zips that are never evicted. */
  readonly isPinned: (zip: ZipRow) => boolean;
};

/** What one step evicted. */
export type Evicted = {
  readonly files: number;
  readonly bytes: number;
  /** The last use of the youngest one. */
  readonly usedAtMs: number;
};

/** Zips looked at in one read. */
const ROWS = 256;

const BEGIN = { usedAtMs: -1, key: '' } as const;

export class ZipEviction {
  readonly #options: ZipEvictionOptions;

  constructor(options: ZipEvictionOptions) {
    this.#options = options;
  }

  /** One pass over the zips, from the least used one on. */
  round(): EvictionRound {
    return new EvictionRound(this.#options);
  }

  /** Drops the blobs of evicted zips that nobody reads any more. */
  async dropLeaving(): Promise<void> {
    const { store, memory } = this.#options;
    for (let isDone = false; !isDone; ) {
      await turn(); // An answer that was given before the entry went has begun to read by then.
      ({ isDone } = await store.dropLeaving({ inUse: memory.openBlobs }));
    }
  }
}

class EvictionRound {
  readonly #options: ZipEvictionOptions;
  #startMs: number;
  #hasEvicted = false;
  #after: Pick<ZipRow, 'usedAtMs' | 'key'> = BEGIN;
  /** Read, and not looked at yet. What is used meanwhile, the writer does not let go. */
  #rows: ZipRow[] = [];
  /** Whether it is each zip's first turn, where those that were used since get another chance. */
  #isFirstPass = true;

  constructor(options: ZipEvictionOptions) {
    this.#options = options;
    this.#startMs = options.clock.wallMs();
  }

  /** Evicts zips of `bytesMax`, or a little more. @returns undefined if there is none left that may go */
  async step(bytesMax: number): Promise<Evicted | undefined> {
    for (;;) {
      if (this.#rows.length === 0) await this.#read();
      const [first] = this.#rows;
      const isPassOver = first === undefined || (this.#isFirstPass && first.usedAtMs >= this.#startMs);
      if (isPassOver && !this.#isFirstPass) return undefined;
      if (isPassOver) {
        // Only a pass that found nothing is a reason to take what was used since: clients may go on for long.
        this.#isFirstPass = this.#hasEvicted;
        this.#hasEvicted = false;
        this.#startMs = this.#options.clock.wallMs();
        this.#after = BEGIN;
        this.#rows = [];
        continue;
      }
      const chosen = await this.#choose(bytesMax);
      const evicted = chosen.length > 0 ? await this.#evict(chosen) : undefined;
      if (evicted === undefined || evicted.files === 0) continue;
      this.#hasEvicted = true;
      return evicted;
    }
  }

  async #read(): Promise<void> {
    const { zips } = await this.#options.store.getLeastUsedZips({ after: this.#after, limit: ROWS });
    this.#rows = zips;
    this.#after = zips.at(-1) ?? this.#after;
  }

  /** Takes rows until there are enough. */
  async #choose(bytesMax: number): Promise<ZipRow[]> {
    const { store, memory, readThrough, clock, isPinned } = this.#options;
    const open = new Set(memory.openBlobs);
    const chosen: ZipRow[] = [];
    const used: string[] = [];
    let bytes = 0;
    let looked = 0;
    for (const zip of this.#rows) {
      if (bytes >= bytesMax || chosen.length >= KEYS_PER_CALL_MAX) break;
      looked++;
      if (isPinned(zip) || readThrough.isFetching(zip.key)) continue;
      if (zip.blob !== undefined && open.has(zip.blob)) continue;
      if (this.#isFirstPass && this.#wasUsed(zip.key)) {
        used.push(zip.key);
        continue;
      }
      chosen.push(zip);
      bytes += zip.size;
    }
    this.#rows = this.#rows.slice(looked);
    if (used.length > 0) await store.touch({ keys: used, nowMs: clock.wallMs() });
    return chosen;
  }

  /** Both are asked, so that none of them tells of this use again. */
  #wasUsed(key: string): boolean {
    const { memory, lastUse } = this.#options;
    const wasAsked = memory.takeUse(key);
    return lastUse.takeUnwritten(key) || wasAsked;
  }

  async #evict(chosen: readonly ZipRow[]): Promise<Evicted> {
    const usedAtMs = Math.max(...chosen.map((zip) => zip.usedAtMs));
    const keys = chosen.map(({ key }) => key);
    const { files, bodyBytes } = await this.#options.outsideWrites.letGo({ keys, usedUntilMs: usedAtMs });
    return { files, bytes: bodyBytes, usedAtMs };
  }
}
