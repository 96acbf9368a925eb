/**
 * The module proxy and the memory in front of it, joined once: for the server, for commands that fetch, and for
 * tests, which hand in a world of their own.
 */

import { StoredFile, type VisibilityOf } from '../core/answer.ts';
import type { Checksums, VerifyMode } from '../core/checksums.ts';
import type { Clock, ModuleSource } from '../core/ports.ts';
import type { Builder, Store } from '../core/store-port.ts';
import type { LastUse } from '../flight/last-use.ts';
import { freeAfterTurn, isPiece, Memory, type Piece } from '../flight/memory.ts';
import { ReadThrough } from '../flight/read-through.ts';
import { Singleflight, type SingleflightOptions } from '../flight/singleflight.ts';
import { WeakCache } from '../flight/weak-cache.ts';
import { YoungGarbage } from '../flight/young-garbage.ts';
import { CheckedIngest } from '../modules/checked-ingest.ts';
import { Downloads } from '../modules/downloads.ts';
import type { ListChange } from '../modules/fetcher.ts';
import type { Found, Read } from '../modules/found.ts';
import { Freshness } from '../modules/freshness.ts';
import { ModuleProxy } from '../modules/module-proxy.ts';
import { OutsideWrites } from '../modules/outside-writes.ts';
import { type SourceRoute, Sources } from '../modules/sources.ts';
import { StoredCheck } from '../modules/stored-check.ts';
import type { Events } from '../observe/events.ts';

export type MemoryParts = {
  readonly store: Store;
  readonly lastUse: LastUse<string>;
  readonly clock: Clock;
  /** Bytes held strongly and weakly, and how long an unused entry is held strongly. */
  readonly budget: {
    readonly cacheBytesMax: number;
    readonly cacheWeakBytesMax: number;
    readonly cacheTtlMs: number;
  };
  /** Of reads from the store. */
  readonly bounds: SingleflightOptions;
};

/** The weak cache, the memory over it, and the flights that read the store. */
export function joinMemory({ store, lastUse, clock, budget, bounds }: MemoryParts) {
  const cache = new WeakCache<StoredFile | Piece>({
    strongBytesMax: budget.cacheBytesMax,
    weakBytesMax: budget.cacheWeakBytesMax,
    strongMs: budget.cacheTtlMs,
    now: () => clock.monotonicMs(),
    isStrongOnly: isPiece,
    onDrop: freeAfterTurn,
    // A file that stays in memory because it is used is not read from the store again, where its use would be noted.
    // Each use of an action is noted anyway.
    onProlong: (key, value) => {
      if (!(value instanceof StoredFile) || typeof key !== 'string' || value.kind === 'output') return;
      lastUse.note(key, value, clock.wallMs());
    },
  });
  const memory = new Memory({ cache, store, flights: new Singleflight(bounds) });
  return { cache, memory, lastUse, reads: new Singleflight<Read>(bounds) };
}

export type ModulesParts = ReturnType<typeof joinMemory> & {
  readonly store: Store;
  readonly builder: Builder;
  /** For public modules, in the order in which they are asked; and for those that no proxy may hear of. */
  readonly outside: readonly ModuleSource[];
  readonly inside: readonly ModuleSource[];
  /** Public modules with an upstream of their own. */
  readonly moduleRoutes?: readonly SourceRoute[];
  readonly checksums: Checksums;
  readonly clock: Clock;
  readonly events: Events;
  /** Of fetches. */
  readonly bounds: SingleflightOptions;
  readonly verify: VerifyMode;
  readonly listTtlMs: number;
  readonly negativeTtlMs: number;
  readonly staleWaitMs: number;
  /** How long a version that failed its check is refused without a new fetch. */
  readonly refusedMs: number;
  readonly isOffline: boolean;
  readonly noProxyPatterns: string;
  readonly visibilityOf: VisibilityOf;
  readonly onListChanged?: (change: ListChange) => void;
};

/** The module proxy, and what else writes to or checks the store that it answers from. */
export function joinModules({ bounds, verify, refusedMs, checksums, ...parts }: ModulesParts) {
  const { store, builder, memory, reads, clock, events, negativeTtlMs } = parts;
  const readThrough = new ReadThrough({ reads, fetches: new Singleflight<Found>(bounds) });
  const outsideWrites = new OutsideWrites({ store, memory, readThrough });
  const { drop } = outsideWrites;
  const checks = { store, checksums, drop, clock, events, unknownMs: negativeTtlMs };
  const downloads = new Downloads();
  const modules = new ModuleProxy({
    ...parts,
    downloads,
    readThrough,
    heads: new Singleflight(bounds),
    sources: new Sources({ ...parts, routes: parts.moduleRoutes ?? [] }),
    garbage: new YoungGarbage(),
    freshness: new Freshness(parts),
    ingest: new CheckedIngest({ mode: verify, checksums, clock, events, refusedMs }),
    storedCheck: new StoredCheck({ ...checks, builder }),
  });
  return { modules, outsideWrites, readThrough, checks, downloads };
}
