/**
 * The checksum databases of a command that has the store to itself and goes nowhere: what an import
 * brings is proven by what it brings and what is stored, or not at all.
 */

import type { StoreConfig } from '../config.ts';
import { NotFound } from '../core/errors.ts';
import { Memory } from '../flight/memory.ts';
import { Singleflight } from '../flight/singleflight.ts';
import { WeakCache } from '../flight/weak-cache.ts';
import { Events } from '../observe/events.ts';
import { createLogger } from '../observe/logger.ts';
import { Metrics } from '../observe/metrics.ts';
import { ChecksumDatabases } from '../sumdb/checksum-databases.ts';
import { SumdbProxy } from '../sumdb/sumdb-proxy.ts';
import { SumdbStore } from '../sumdb/sumdb-store.ts';
import type { ThreadStore } from '../workers/thread-store.ts';
import { clock, databasesOf, exemptPatternsOf } from './services.ts';

/** @throws {UsageError} a malformed checksum database */
export function ownSumdb(config: StoreConfig, store: ThreadStore): ChecksumDatabases {
  const events = new Events(createLogger('error', process.stderr.isTTY), new Metrics());
  const bounds = { flightsMax: 1, waitersMax: 1 };
  // Nothing is read through it: a lesson goes to the verifier and from there into the store.
  const cache = new WeakCache<never>({
    strongBytesMax: 0,
    weakBytesMax: 0,
    strongMs: 0,
    now: clock.monotonicMs,
  });
  const parts = {
    memory: new Memory({ cache, store, flights: new Singleflight(bounds) }),
    flights: new Singleflight<never>(bounds),
    remote: { whole: refuse, refuseLoop: refuse },
    clock,
    events,
    isOffline: true,
  };
  const proxies = databasesOf(config).map(({ name, key }) => {
    const proxy = new SumdbProxy({
      ...parts,
      name,
      key,
      store: new SumdbStore({ name, store, clock, events }),
    });
    return [name, proxy] as const;
  });
  return new ChecksumDatabases({ databases: new Map(proxies), exemptPatterns: exemptPatternsOf(config) });
}

const refuse = () => Promise.reject(new NotFound('an import asks nobody'));
