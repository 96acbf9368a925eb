/**
 * The services over a store and an upstream, joined the same way for every command that fetches.
 */

import { readFileSync } from 'node:fs';
import type { Config } from '../config.ts';
import { StoredFile } from '../core/answer.ts';
import type { ControlPort } from '../core/control-port.ts';
import { BadRequest } from '../core/errors.ts';
import { FETCH_FLIGHTS_MAX, FLIGHT_WAITERS_MAX, READ_QUEUE_MAX } from '../core/limits.ts';
import type { Upstream } from '../core/ports.ts';
import { parseResource } from '../core/resource.ts';
import type { Builder, Remote, Store } from '../core/store-port.ts';
import { freeEvicted, isIdle, Memory, type Piece } from '../flight/memory.ts';
import { Singleflight } from '../flight/singleflight.ts';
import { WeakCache } from '../flight/weak-cache.ts';
import { YoungGarbage } from '../flight/young-garbage.ts';
import { CheckedIngest } from '../modules/checked-ingest.ts';
import type { Found } from '../modules/fetcher.ts';
import { Freshness } from '../modules/freshness.ts';
import { LastUse } from '../modules/last-use.ts';
import { ModuleProxy, type Read } from '../modules/module-proxy.ts';
import { OutsideWrites } from '../modules/outside-writes.ts';
import { StoredCheck } from '../modules/stored-check.ts';
import type { Events } from '../observe/events.ts';
import { ChecksumDatabases } from '../sumdb/checksum-databases.ts';
import type { Database } from '../sumdb/database.ts';
import { SumdbLessons } from '../sumdb/sumdb-lessons.ts';
import { SumdbProxy } from '../sumdb/sumdb-proxy.ts';
import { SumdbRemote } from '../sumdb/sumdb-remote.ts';
import { SumdbStore } from '../sumdb/sumdb-store.ts';
import { createUpstream } from '../upstream/proxy-list.ts';
import { clock } from './clock.ts';
import { databasesOf, exemptPatternsOf, usable } from './databases.ts';

export type ServicesOptions = {
  readonly config: Config;
  readonly store: Store & { readonly instance: string };
  readonly builder: Builder;
  readonly events: Events;
};

export type Services = ReturnType<typeof createServices>;

/** @throws {UsageError} a malformed checksum database or HTTP proxy */
export function createServices({ config, store, builder, events }: ServicesOptions) {
  const onJoin = () => events.joinedFlight();
  const bounds = { flightsMax: FETCH_FLIGHTS_MAX, waitersMax: FLIGHT_WAITERS_MAX, onJoin };
  const readBounds = { ...bounds, flightsMax: READ_QUEUE_MAX };
  const upstreams = new Upstreams({ config, instance: store.instance, events });
  const upstream = upstreams.open(config.upstream);
  const lastUse = new LastUse();
  const cache = new WeakCache<never>({
    strongBytesMax: config.cacheBytesMax,
    weakBytesMax: config.cacheWeakBytesMax,
    strongMs: config.cacheTtlMs,
    now: clock.monotonicMs,
    isIdle,
    onEvict: freeEvicted,
    // What stays in memory because it is used was never read again from the store, which would note it.
    onProlong: (key, value) => {
      if (typeof key === 'string' && value instanceof StoredFile) lastUse.note(key, value, clock.wallMs());
    },
  });
  const memory = new Memory({ cache, store, flights: new Singleflight<Piece>(readBounds) });
  const base = { store, memory, upstream, upstreams, events, config };
  const databases = databasesOf(config).map(
    (database) => [database.name, sumdbProxy(database, base)] as const,
  );
  const exemptPatterns = exemptPatternsOf(config);
  const sumdb = new ChecksumDatabases({ databases: new Map(databases), exemptPatterns });
  const logs = new Map(databases.map(([name, proxy]) => [name, proxy.log]));
  const ingest = new CheckedIngest({
    mode: config.verify,
    checksums: sumdb,
    clock,
    events,
    refusedMs: config.negativeTtlMs,
  });
  const reads = new Singleflight<Read>(readBounds);
  const fetches = new Singleflight<Found>(bounds);
  const outsideWrites = new OutsideWrites({ store, memory, reads, fetches });
  const { drop } = outsideWrites;
  const checks = { store, checksums: sumdb, drop, clock, events, unknownMs: config.negativeTtlMs };
  const modules = new ModuleProxy({
    store,
    builder,
    upstream,
    memory,
    garbage: new YoungGarbage(),
    freshness: new Freshness({ clock, ...config }),
    ingest,
    storedCheck: new StoredCheck({ ...checks, builder }),
    reads,
    fetches,
    lastUse,
    clock,
    events,
    negativeTtlMs: config.negativeTtlMs,
    staleWaitMs: config.staleWaitMs,
    isOffline: config.offline,
    privatePatterns: config.privatePatterns,
  });
  return {
    cache,
    memory,
    modules,
    outsideWrites,
    sumdb,
    lessons: new SumdbLessons({ logs, exemptPatterns }),
    lastUse,
    checks,
    lookUp: lookUpBy(sumdb),
    close: () => upstreams.close(),
  };
}

/** What commands ask about stored files: the database itself, though it was asked before. */
function lookUpBy(sumdb: ChecksumDatabases): Remote<ControlPort>['lookUp'] {
  return async ({ key }) => {
    const resource = parseResource(key);
    if (resource === undefined || !('version' in resource)) {
      throw new BadRequest(`cannot look up ${JSON.stringify(key)}: not a file of a module version`);
    }
    return sumdb.lookUp(resource, { isAnew: true });
  };
}

function sumdbProxy(
  { name, key, url }: Database,
  parts: {
    store: Store;
    memory: Memory;
    upstream: Upstream;
    upstreams: Upstreams;
    events: Events;
    config: Config;
  },
): SumdbProxy {
  const { store, memory, upstream, upstreams, events, config } = parts;
  return new SumdbProxy({
    name,
    key,
    store: new SumdbStore({ name, store, clock, events }),
    remote: new SumdbRemote({ name, list: upstream, host: upstreams.open(url), clock }),
    memory,
    flights: new Singleflight({ flightsMax: FETCH_FLIGHTS_MAX, waitersMax: FLIGHT_WAITERS_MAX }),
    clock,
    events,
    isOffline: config.offline,
  });
}

/** Opens lists of upstreams that share their settings, and closes them together. */
class Upstreams {
  readonly #options: { readonly config: Config; readonly instance: string; readonly events: Events };
  readonly #open: ReturnType<typeof createUpstream>[] = [];

  constructor(options: { config: Config; instance: string; events: Events }) {
    this.#options = options;
  }

  open(list: string): Upstream {
    const { config, instance, events } = this.#options;
    const upstream = usable(() =>
      createUpstream({
        list,
        instance,
        version: packageVersion(),
        clock,
        proxyEnv: config.proxyEnv,
        events: {
          request: (status) => events.upstreamAnswered(status),
          resume: () => events.upstreamResumed(),
          warn: (message) => events.upstreamWarned(message),
          down: (name, forMs) => events.upstreamDown(name, forMs),
        },
      }),
    );
    this.#open.push(upstream);
    return upstream;
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.map((upstream) => upstream.close()));
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version: string }).version);
}
