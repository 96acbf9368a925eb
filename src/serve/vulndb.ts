/** The vulnerability database that the settings name, joined with the store. */

import type { Upstream } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import { Singleflight } from '../flight/singleflight.ts';
import type { Events } from '../observe/events.ts';
import type { Config } from '../settings/config.ts';
import { placeOfDatabase } from '../settings/vulndb-url.ts';
import { findConcerned } from '../vulndb/concerned.ts';
import { VulnDatabase } from '../vulndb/vuln-database.ts';
import { VulnKeeper } from '../vulndb/vuln-keeper.ts';
import { VulnRemote } from '../vulndb/vuln-remote.ts';
import { VulnRenewal } from '../vulndb/vuln-renewal.ts';
import { VulnStore } from '../vulndb/vuln-store.ts';
import { clock } from './clock.ts';
import { FETCH_FLIGHTS_MAX, FLIGHT_WAITERS_MAX } from './limits.ts';

type VulndbParts = {
  readonly config: Config;
  readonly store: Store;
  readonly events: Events;
  /** Opens the database by its URL. */
  readonly open: (url: string) => Upstream;
};

/** The database, and its work in the background; undefined: there is none. */
export function vulndbOf({ config, store, events, open }: VulndbParts) {
  const place = placeOfDatabase(config.vulndb);
  if (place === undefined) return undefined;
  const keeper = new VulnKeeper({
    store,
    keep: (id) => database.keepReport(id),
    onStopped: (why) => events.housekeepingFailed(`cannot fetch reports of vulnerabilities ahead: ${why}`),
  });
  const vulns = new VulnStore({ place, store, clock, events });
  const database: VulnDatabase = new VulnDatabase({
    store: vulns,
    remote: new VulnRemote(open(config.vulndb)),
    flights: new Singleflight({ flightsMax: FETCH_FLIGHTS_MAX, waitersMax: FLIGHT_WAITERS_MAX }),
    clock,
    events,
    freshMs: config.listTtlMs,
    staleWaitMs: config.staleWaitMs,
    isOffline: config.offline,
    onIndex: (modules) => keeper.start(modules),
  });
  const renewal = new VulnRenewal({ vulns, clock, refresh: () => database.refresh() });
  return {
    database,
    concerned: () => findConcerned({ vulns, store }),
    /** Resolves when the reports about stored modules are here too. */
    refresh: async () => {
      await database.refresh();
      await keeper.settled();
    },
    lookForNews: () => (config.offline ? Promise.resolve() : renewal.look()),
    stop: () => keeper.stop(),
  };
}
