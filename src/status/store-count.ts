/**
 * The store's figures, counted at most now and then. A large one on a slow disk takes many seconds: whoever looks gets the
 * figures from before, or none, while the store is counted.
 */

import { setTimeout } from 'node:timers/promises';
import type { BrowsePort } from '../core/browse-port.ts';
import type { EntryKind } from '../core/entry-kind.ts';
import type { Clock } from '../core/ports.ts';
import type { KindFigures, StoreFigures } from '../core/status.ts';
import type { Remote } from '../core/store-port.ts';
import type { StoreStats } from '../core/store-stats.ts';
import { COUNT_MS, COUNT_TIMES, COUNT_WAIT_MS } from './limits.ts';

export type StoreCountOptions = {
  readonly reader: Pick<Remote<BrowsePort>, 'getStats'>;
  readonly clock: Clock;
  /** Why nothing can be stored now. */
  readonly full: () => string | undefined;
};

export class StoreCount {
  readonly #options: StoreCountOptions;
  #last: StoreFigures | undefined;
  #counting: Promise<void> | undefined;
  #againMs = Number.NEGATIVE_INFINITY;
  #writes: number | undefined;

  constructor(options: StoreCountOptions) {
    this.#options = options;
  }

  /**
   * Undefined: it is counted for the first time, or can't be read.
   *
   * @param writes how many there were so far: without new ones nothing is counted anew
   */
  async figures(writes: number): Promise<StoreFigures | undefined> {
    const { clock, full } = this.#options;
    const isDue =
      clock.monotonicMs() >= this.#againMs && (writes !== this.#writes || this.#last === undefined);
    if (this.#counting === undefined && isDue) {
      this.#writes = writes;
      this.#counting = this.#count();
    }
    // Mostly it is done by then, and the first look has all.
    if (this.#last === undefined) await Promise.race([this.#counting, setTimeout(COUNT_WAIT_MS)]);
    return this.#last && { ...this.#last, full: full() };
  }

  async #count(): Promise<void> {
    const { reader, clock } = this.#options;
    const beganMs = clock.monotonicMs();
    const stats = await reader.getStats({}).catch(() => undefined);
    const nowMs = clock.monotonicMs();
    this.#againMs = nowMs + Math.max(COUNT_MS, (nowMs - beganMs) * COUNT_TIMES);
    this.#last = stats && figuresOf(stats, clock.wallMs());
    this.#counting = undefined;
  }
}

function figuresOf(stats: StoreStats, countedAtMs: number): StoreFigures {
  const { storeBytes, freeBytes, walBytes, tallies, partialCount, buildCache, unchecked, unconfirmed } =
    stats;
  const { actions, outputs, bytes, storedBytes } = buildCache;
  const { bytesMax, pinned, uploads } = stats;
  const absent = tallies.filter(({ status }) => status !== 200);
  return {
    countedAtMs,
    fileBytes: storeBytes,
    freeBytes,
    walBytes,
    limit: bytesMax === null ? undefined : { bytesMax, pinnedBytes: pinned.bytes },
    kinds: kindsOf(tallies.filter(({ status }) => status === 200)),
    absent: absent.reduce((sum, { entries }) => sum + entries, 0),
    partials: partialCount,
    buildCache: { actions, outputs, bytes, storedBytes },
    uploads: {
      waiting: uploads.waiting,
      oldestAtMs: uploads.oldestAtMs ?? undefined,
      refused: uploads.lost,
    },
    unchecked,
    unconfirmed,
    full: undefined,
  };
}

/** Over all sources, the largest first. */
function kindsOf(tallies: StoreStats['tallies']): KindFigures[] {
  const kinds = new Map<EntryKind, KindFigures>();
  for (const { kind, entries, bytes } of tallies) {
    const known = kinds.get(kind) ?? { kind, entries: 0, bytes: 0 };
    kinds.set(kind, { kind, entries: known.entries + entries, bytes: known.bytes + bytes });
  }
  return [...kinds.values()].sort((a, b) => b.bytes - a.bytes);
}
