/**
 * The services over a store and an upstream, joined the same way for every command that fetches.
 */

import { Access } from '../access/access.ts';
import type { Logins } from '../access/logins.ts';
import type { VisibilityOf } from '../core/answer.ts';
import type { ControlPort } from '../core/control-port.ts';
import { BadRequest } from '../core/errors.ts';
import { pinsOf } from '../core/pins.ts';
import type { Upstream } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import { parseResource } from '../core/resource.ts';
import type { Remote, Store } from '../core/store-port.ts';
import { LastUse } from '../flight/last-use.ts';
import type { Memory } from '../flight/memory.ts';
import { ReadThrough } from '../flight/read-through.ts';
import { Singleflight } from '../flight/singleflight.ts';
import type { BuildZip } from '../git/build-zip.ts';
import { createGitSource } from '../git/create-git-source.ts';
import { PolicedModules } from '../modules/policed-modules.ts';
import { ZipEviction } from '../modules/zip-eviction.ts';
import type { Events } from '../observe/events.ts';
import type { Config } from '../settings/config.ts';
import { asteraVersion } from '../settings/version.ts';
import { ChecksumDatabases } from '../sumdb/checksum-databases.ts';
import type { Database } from '../sumdb/database.ts';
import { forgetFiles, forgetVerdicts } from '../sumdb/forget-database.ts';
import { SumdbLessons } from '../sumdb/sumdb-lessons.ts';
import { SumdbProxy } from '../sumdb/sumdb-proxy.ts';
import { SumdbRemote } from '../sumdb/sumdb-remote.ts';
import { SumdbStore } from '../sumdb/sumdb-store.ts';
import { Pages } from '../upstream/page-get.ts';
import type { BuilderPool } from '../workers/builder-pool.ts';
import { READ_QUEUE_MAX } from '../workers/limits.ts';
import { bringSetBy } from './bring-set.ts';
import type { BucketTier } from './bucket-tier.ts';
import { joinBuildCache } from './build-cache.ts';
import { clock } from './clock.ts';
import { joinMemory, joinModules } from './composition.ts';
import { databasesOf, usable } from './databases.ts';
import { FETCH_FLIGHTS_MAX, FLIGHT_WAITERS_MAX } from './limits.ts';
import { pushUploadsBy } from './push-uploads.ts';
import { Upstreams } from './upstreams.ts';
import { vulndbOf } from './vulndb.ts';

export type ServicesOptions = {
  readonly config: Config;
  readonly store: Store & { readonly instance: string };
  readonly builder: Pick<BuilderPool, 'call' | 'buildZip'>;
  readonly events: Events;
  /** The logins; undefined: nobody can log in. */
  readonly logins?: Logins | undefined;
  /** Behind the store. Nothing comes from there under --offline. */
  readonly tier?: BucketTier | undefined;
};

export type Services = ReturnType<typeof createServices>;

const BOUNDS = { flightsMax: FETCH_FLIGHTS_MAX, waitersMax: FLIGHT_WAITERS_MAX } as const;

/** @throws {UsageError} a malformed checksum database or HTTP proxy */
export function createServices({ config, store, builder, events, logins, tier }: ServicesOptions) {
  const near = config.offline ? undefined : tier;
  const upstreams = new Upstreams({ config, instance: store.instance, events });
  const { upstream, moduleRoutes } = upstreams.openForModules();
  const pages = usable(() => new Pages({ version: asteraVersion(), proxyEnv: config.proxyEnv }));
  const lastUse = new LastUse<string>((keys, nowMs) => store.touch({ keys, nowMs }));
  const access = new Access({
    // A module that may go to no proxy is no less private than one that is named so.
    privatePatterns: [config.privatePatterns, config.noProxyPatterns],
    loginPatterns: config.loginPatterns,
    privateNetworks: config.privateNetworks,
    logins,
  });
  const { visibilityOf } = access;
  const git = gitModules(config, { pages, upstreams, buildZip: builder.buildZip, events });
  const held = joinMemory({
    store,
    lastUse,
    clock,
    budget: config,
    bounds: { ...BOUNDS, flightsMax: READ_QUEUE_MAX, onJoin: () => events.joinedFlight() },
  });
  const base = { store, memory: held.memory, upstream, upstreams, events, config, visibilityOf, near };
  const databases = databasesOf(config).map(
    (database) => [database.name, sumdbProxy(database, base)] as const,
  );
  const exemptPatterns = config.noSumdbPatterns;
  const sumdb = new ChecksumDatabases({ databases: new Map(databases), exemptPatterns });
  const logs = new Map(databases.map(([name, proxy]) => [name, proxy.log]));
  const joined = joinModules({
    ...held,
    ...config,
    store,
    builder: builder.call,
    moduleRoutes,
    outside: near === undefined ? [upstream] : [near.source, upstream],
    inside: near?.hasPrivate === true ? [near.source, ...git.sources] : git.sources,
    checksums: sumdb,
    clock,
    events,
    bounds: { ...BOUNDS, onJoin: () => events.joinedFlight() },
    refusedMs: config.negativeTtlMs,
    isOffline: config.offline,
    visibilityOf,
    onListChanged: (change) => policed.noteListChange(change),
  });
  const policed = new PolicedModules({ modules: joined.modules, store, clock, events });
  const vulndb = vulndbOf({ config, store, events, open: (url) => upstreams.open(url) });
  const cache = joinBuildCache({ config, store, memory: held.memory, events, logins, near });
  return {
    access,
    ...cache,
    zips: new ZipEviction({ ...held, ...joined, store, clock, isPinned: pinsOf(pinnedBy(config)) }),
    ...held,
    ...joined,
    upstream,
    modules: policed,
    /** For commands that store files, and give them to nobody: no policy holds back what they fetch. */
    unpoliced: joined.modules,
    sumdb,
    /** Has all asked anew of Git that was refused or not found. */
    git,
    upstreams,
    lessons: new SumdbLessons({ logs, exemptPatterns }),
    pushUploads: pushUploadsBy(store, tier),
    bringSet: bringSetBy(cache.sessions, near),
    lookUp: lookUpBy(sumdb),
    forgetSumdb: forgetSumdbBy(new Map(databases), base),
    /** Undefined: there is none. */
    vulndb,
    close: async () => {
      tier?.close();
      const stopped = vulndb?.stop();
      await Promise.all([upstreams.close(), pages.close(), stopped]);
    },
  };
}

/** The patterns of modules whose zips are never evicted. */
export function pinnedBy({ privatePatterns, noProxyPatterns, pinPatterns }: Config): string {
  return [privatePatterns, noProxyPatterns, pinPatterns].filter((one) => one !== '').join(',');
}

/** Git, unless it is off. */
function gitModules(
  config: Config,
  {
    pages,
    upstreams,
    buildZip,
    events,
  }: { pages: Pages; upstreams: Upstreams; buildZip: BuildZip; events: Events },
) {
  const { gitMappings, gitDir, insecurePatterns, environment, listTtlMs } = config;
  const privatePatterns = [config.privatePatterns, config.noProxyPatterns]
    .filter((one) => one !== '')
    .join(',');
  if (gitMappings === undefined)
    return { sources: [], retry: () => {}, check: async () => {}, copies: () => undefined };
  const git = createGitSource({
    mappings: gitMappings,
    directory: gitDir,
    privatePatterns,
    insecurePatterns,
    environment,
    clock,
    listTtlMs,
    warn: (message) => events.upstreamWarned(message),
    get: pages.get,
    buildZip,
    openProxy: (origin) => upstreams.open(origin),
  });
  return {
    sources: [git.source],
    retry: () => git.retry(),
    copies: git.copies,
    /** Logs what Git lacks on this machine, if there are modules for it. */
    check: async () => {
      if (privatePatterns === '') return;
      for (const line of await git.check()) events.gitLacks(line);
    },
  };
}

/** The lookups of commands about stored files. They ask the database itself, even if it was asked before. */
function lookUpBy(sumdb: ChecksumDatabases): Remote<ControlPort>['lookUp'] {
  return async ({ key }) => {
    const resource = parseResource(key);
    if (resource === undefined || !('version' in resource)) {
      throw new BadRequest(`cannot look up ${quote(key)}: not a file of a module version`);
    }
    return sumdb.lookUp(resource, { isAnew: true });
  };
}

/** Forgets a database: one that is asked here begins anew, of another one the store is cleared. */
function forgetSumdbBy(
  databases: ReadonlyMap<string, SumdbProxy>,
  { store, memory }: { readonly store: Store; readonly memory: Memory },
): Remote<ControlPort>['forgetSumdb'] {
  return async ({ database }) => {
    const proxy = databases.get(database);
    const files = await (proxy === undefined ? forgetFiles(store, database) : proxy.forget());
    const verdicts = await forgetVerdicts(store, database);
    memory.deleteFiles(''); // What is in memory counts as judged.
    return { files, verdicts };
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
    visibilityOf: VisibilityOf;
    near: BucketTier | undefined;
  },
): SumdbProxy {
  const { store, memory, upstream, upstreams, events, config, visibilityOf, near } = parts;
  return new SumdbProxy({
    name,
    key,
    store: new SumdbStore({ name, store, clock, events }),
    remote: new SumdbRemote({
      name,
      list: upstream,
      host: upstreams.open(url),
      noProxyPatterns: config.noProxyPatterns,
      clock,
      near: near?.sumdb(name),
    }),
    memory,
    readThrough: new ReadThrough({ reads: new Singleflight(BOUNDS), fetches: new Singleflight(BOUNDS) }),
    clock,
    events,
    isOffline: config.offline,
    visibilityOf,
  });
}
