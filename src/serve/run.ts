/**
 * A server over an open store, from its start to its end: joins the rooms, serves, and takes everything down in
 * order at SIGTERM or SIGINT.
 */

import type { Logins } from '../access/logins.ts';
import { controlPath } from '../control/control-path.ts';
import { ControlServer } from '../control/control-server.ts';
import { messageOf } from '../core/errors.ts';
import { BodyRoom } from '../front/body-room.ts';
import { CacheEndpoint } from '../front/cache-endpoint.ts';
import { ChecksumsEndpoint } from '../front/checksums-endpoint.ts';
import { FilterEndpoint } from '../front/filter-endpoint.ts';
import { ModulesEndpoint } from '../front/modules-endpoint.ts';
import { OperationsEndpoint } from '../front/operations-endpoint.ts';
import { OwnHosts } from '../front/own-hosts.ts';
import { ProgramEndpoint } from '../front/program-endpoint.ts';
import { PutsEndpoint } from '../front/puts-endpoint.ts';
import { Server } from '../front/server.ts';
import { SessionEndpoint } from '../front/session-endpoint.ts';
import { StatusEndpoint } from '../front/status-endpoint.ts';
import { VulnerabilitiesEndpoint } from '../front/vulnerabilities-endpoint.ts';
import { fetchWhole } from '../modules/fetch-whole.ts';
import { EventLoopDelay } from '../observe/event-loop.ts';
import type { Events } from '../observe/events.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Profiles } from '../observe/profiles.ts';
import { readAuthFile } from '../settings/auth-file.ts';
import type { Config } from '../settings/config.ts';
import { readPolicy, readPolicySettings } from '../settings/policy-settings.ts';
import { Settings } from '../settings/sources.ts';
import { BuilderPool } from '../workers/builder-pool.ts';
import type { ThreadStore } from '../workers/thread-store.ts';
import { announce } from './announce.ts';
import { Background } from './background.ts';
import { type BucketTier, openBucketTier } from './bucket-tier.ts';
import { cacheProgram } from './cache-program.ts';
import { connectionsMax } from './connection-limit.ts';
import { watchForgotten } from './forgotten-failures.ts';
import { boundHeapGrowth, endHeapBound } from './heap-growth.ts';
import { Housekeeping } from './housekeeping.ts';
import { STOP_GRACE_MS } from './limits.ts';
import { importLocalCache } from './local-cache.ts';
import { openLogins } from './logins.ts';
import { nameSigner } from './name-signer.ts';
import { ownNames } from './own-names.ts';
import { pageFiles } from './page-files.ts';
import { notifySystemd, ServiceManager } from './service-manager.ts';
import { createServices, type Services } from './services.ts';
import { openStatus, type ServerStatus } from './status.ts';
import { aborted, onHangup } from './stop-signal.ts';

/** Threads for zip checks and for zips out of Git: one keeps up with any line; the Pi's other cores are for readers. */
const BUILDERS = 1;

export type Serving = {
  readonly config: Config;
  /** Closed at the end. */
  readonly store: ThreadStore;
  /** Serves until it is aborted. */
  readonly stop: AbortSignal;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly events: Events;
  readonly profiles: Profiles | undefined;
  /** Called after each commit. */
  readonly written: Written;
};

export type Written = { call: () => void };

/** @throws {UsageError} the upstream is this very listener */
export async function runServer(serving: Serving): Promise<void> {
  const { config, store, stop, log, metrics, events, profiles } = serving;
  const endWatch = watchForgotten((error) => events.forgotten(error));
  const builder = new BuilderPool({ dbPath: config.dbPath, threads: BUILDERS });
  const logins = openLogins(config, events);
  const tier = tierOf(serving);
  const services = createServices({ config, store, builder, events, logins, tier });
  const background = new Background(config, { store, events, checks: services.checks });
  const builderIds = () => [...builder.threadIds, ...background.threadIds];
  const readerIds = () => [...store.threadIds().reader, ...status.threadIds()];
  profiles?.nameThreads(() => ({ ...store.threadIds(), reader: readerIds(), builder: builderIds() }));
  const loopDelay = new EventLoopDelay(() => server.noteBusy());
  const open = () => server.open;
  metrics.watch({
    weakCache: () => services.cache,
    loopDelay: () => loopDelay.take(),
    storeSizes: () => store.getSizes({}),
    storeBytesMax: () => store.bound.bytesMax,
    gitCopies: services.git.copies,
    open,
    uploads: () => store.getUploadCounts({}),
  });
  const onWork = () => loopDelay.wake();
  const program = cacheProgram();
  const status = openStatus({ config, metrics, events, services, tier, open, full: () => store.full });
  const house = new Housekeeping(config, { store, services, events, logins, status });
  const server = serverOver({ config, store, metrics, events, profiles, onWork, program, status }, services);
  const manager = serviceManagerOf(config, { store, events });
  const sweeping = setInterval(() => services.cache.sweep(), Math.max(50, config.cacheTtlMs / 4));
  let control: ControlServer | undefined;
  const takeDown = async () => {
    clearInterval(sweeping);
    endHeapBound();
    background.stop();
    const pumpStopped = tier?.pump.stop();
    const controlStopped = control?.stop();
    await server.stop(STOP_GRACE_MS);
    await services.close();
    await controlStopped;
    await pumpStopped;
    await house.close();
    await status.close();
    await store.close();
    await builder.close();
    await background.close();
    profiles?.close();
    loopDelay.stop();
    endWatch();
  };
  try {
    await tier?.bucket.ready();
    await house.start();
    await services.modules.follow(readPolicy(config, config));
    await nameSigner(config, { store, events });
    const { lessons: sumdb } = services;
    await importLocalCache(config, { store, builder: builder.call, sumdb, signal: stop, log });
    if (!stop.aborted) {
      control = await openControl(config, store, services, events);
      await announce(config, server);
      // No client can need it before this. Then all threads of the start are up.
      void builder.start().then(() => stop.aborted || boundHeapGrowth());
      void services.git.check();
      const { sha256 } = await program().catch(() => ({ sha256: undefined }));
      log.info({ upstream: config.upstreamFrom, db: config.dbPath, cacheprogSha256: sha256 }, 'serving');
      onHangup(() => void renew(config, { server, logins, log, services }));
      background.start();
      tier?.pump.start();
      manager?.ready();
    }
    await aborted(stop);
    manager?.stopping();
    log.info('stopping');
  } finally {
    await takeDown();
  }
}

function tierOf({ config, store, events, written }: Serving): BucketTier | undefined {
  const tier = config.bucket && openBucketTier(config.bucket, config, { store, events });
  written.call = () => tier?.pump.wake();
  return tier;
}

function serviceManagerOf(
  { systemd }: Config,
  { store, events }: Pick<Serving, 'store' | 'events'>,
): ServiceManager | undefined {
  if (systemd === undefined) return undefined;
  return new ServiceManager({
    watchdogMs: systemd.watchdogMs,
    isAlive: () => unreadable(store),
    send: (message) => notifySystemd(message, (why) => events.notifyFailed(why)),
  });
}

type ServerParts = Omit<Serving, 'stop' | 'log' | 'written'> & {
  readonly onWork: () => void;
  readonly program: ReturnType<typeof cacheProgram>;
  readonly status: ServerStatus;
};

type Renewable = {
  readonly server: Server;
  readonly logins: Logins | undefined;
  readonly log: Logger;
  readonly services: Services;
};

/** The server with all its endpoints, not listening yet. */
function serverOver(
  { config, store, metrics, events, profiles, onWork, program, status }: ServerParts,
  { access, modules, sumdb, vulndb, buildCache, filters, sessions, cacheRight }: Services,
): Server {
  const { instance } = store;
  const bodyRoom = new BodyRoom();
  const notReady = async () => store.full ?? (await unreadable(store));
  return new Server({
    endpoints: [
      new OperationsEndpoint({ metricsText: () => metrics.text(), notReady, access, profiles }),
      new ProgramEndpoint(program),
      new StatusEndpoint({ ...status, file: pageFiles(), access, isSecure: config.tlsCert !== undefined }),
      new CacheEndpoint({ cache: buildCache, right: cacheRight, bodyRoom }),
      new PutsEndpoint({ cache: buildCache, right: cacheRight }),
      // A filter of this store's actions would rule out those that only the bucket has.
      ...(config.bucket === undefined ? [new FilterEndpoint({ filters, right: cacheRight })] : []),
      new SessionEndpoint({ sessions, right: cacheRight }),
      new ChecksumsEndpoint({ sumdb, instance }),
      new VulnerabilitiesEndpoint({ vulndb: vulndb?.database, instance }),
      new ModulesEndpoint({ modules, instance }),
    ],
    access,
    hosts: new OwnHosts([...config.hosts, ...ownNames(config.addr)]),
    bodies: modules,
    events,
    clientStallMs: config.clientStallMs,
    isStoring: () => store.full === undefined,
    connectionsMax: connectionsMax(),
    bodyRoom,
    onWork,
  });
}

/** At SIGHUP. All other settings count from the next start. */
async function renew(config: Config, { server, logins, log, services }: Renewable): Promise<void> {
  const { authFile, noProxyPatterns, flags, environment } = config;
  const again: string[] = [];
  try {
    const policy = readPolicy(readPolicySettings(new Settings(flags, environment)), config);
    const hasPolicy = services.modules.hasPolicy || !policy.isEmpty;
    await services.modules.follow(policy);
    services.git.retry();
    services.upstreams.readLogins();
    if (noProxyPatterns !== '') again.push('the logins of Git');
    if (authFile !== undefined) {
      logins?.replace(readAuthFile(authFile));
      again.push('users and tokens');
    }
    if ((await server.renewCertificates()) > 0) again.push('the certificate');
    if (hasPolicy) again.push('the policy');
    const what = again.length > 0 ? `read again: ${again.join(', ')}` : 'nothing to read anew';
    log.info(`SIGHUP: ${what}; settings count from the next start`);
  } catch (error) {
    log.error({ why: messageOf(error) }, 'SIGHUP: cannot read a file again: what it said before stays');
  }
}

/** Without it the server serves all the same; commands that write then can't be run beside it. */
async function openControl(
  config: Config,
  store: ThreadStore,
  {
    unpoliced,
    outsideWrites,
    buildCache,
    pushUploads,
    bringSet,
    lookUp,
    forgetSumdb,
    lessons,
    vulndb,
  }: Services,
  events: Events,
): Promise<ControlServer | undefined> {
  const { putEntry, sealBlob, forget } = outsideWrites;
  const { dropAction, dropOutput, forgetActions } = buildCache;
  const own = { putEntry, sealBlob, forget, dropAction, dropOutput, forgetActions };
  const { sumdbHead, sumdbLearn } = lessons;
  const fetch = ({ key }: { key: string }) => fetchWhole(unpoliced, key);
  const refreshVulns = async () => {
    await vulndb?.refresh();
    return {};
  };
  try {
    return await ControlServer.listen({
      path: controlPath(config.dbPath),
      handlers: {
        ...store,
        ...own,
        fetch,
        pushUploads,
        bringSet,
        lookUp,
        forgetSumdb,
        sumdbHead,
        sumdbLearn,
        refreshVulns,
      },
      onRefused: (why) => events.controlRefused(why),
      onBug: (call, error) => events.bug(`control: ${call}`, error),
    });
  } catch (error) {
    events.controlRefused(messageOf(error));
    return undefined;
  }
}

/** Why the store can't be read: its file is gone, say. Undefined: it can. */
function unreadable(store: ThreadStore): Promise<string | undefined> {
  return store.getEntry({ key: 'readyz' }).then(() => undefined, messageOf); // No file has such a key.
}
