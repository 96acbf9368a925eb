/** The build cache and what belongs to it, joined over the store. */

import { CacheRight } from '../access/cache-right.ts';
import type { Logins } from '../access/logins.ts';
import { ActionFilters } from '../buildcache/action-filters.ts';
import { BuildCache } from '../buildcache/build-cache.ts';
import { lastUseOfActions } from '../buildcache/last-use-of-actions.ts';
import { Sessions } from '../buildcache/sessions.ts';
import type { Store } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';
import { ReadThrough } from '../flight/read-through.ts';
import { Singleflight } from '../flight/singleflight.ts';
import type { Events } from '../observe/events.ts';
import type { Config } from '../settings/config.ts';
import { READ_QUEUE_MAX } from '../workers/limits.ts';
import type { BucketTier } from './bucket-tier.ts';
import { clock } from './clock.ts';
import { FETCH_FLIGHTS_MAX, FLIGHT_WAITERS_MAX } from './limits.ts';

type BuildCacheParts = {
  readonly config: Config;
  readonly store: Store;
  readonly memory: Memory;
  readonly events: Events;
  readonly logins: Logins | undefined;
  readonly near: Pick<BucketTier, 'bringAction' | 'packSets'> | undefined;
};

export function joinBuildCache({ config, store, memory, events, logins, near }: BuildCacheParts) {
  const usedActions = lastUseOfActions(store);
  const filters = new ActionFilters(store);
  const bounds = { flightsMax: FETCH_FLIGHTS_MAX, waitersMax: FLIGHT_WAITERS_MAX };
  const reads = { ...bounds, flightsMax: READ_QUEUE_MAX, onJoin: () => events.joinedFlight() };
  return {
    buildCache: new BuildCache({
      store,
      memory,
      readThrough: new ReadThrough({ reads: new Singleflight(reads), fetches: new Singleflight(bounds) }),
      used: usedActions,
      filters,
      clock,
      events,
      bring: near?.bringAction,
    }),
    filters,
    sessions: new Sessions({ store, used: usedActions, clock, events, shared: near?.packSets }),
    cacheRight: new CacheRight({ logins, readNeedsLogin: config.cacheReadNeedsLogin }),
    usedActions,
  };
}
