/**
 * Flags, environment and file, joined into one frozen Config. The only reader of process.env.
 *
 * For each setting the flag wins over `ASTERA_NAME`, that over the file given by `--config` or
 * ASTERA_CONFIG, and that over the default. The file has lines `name = value`, where `name` is a
 * flag's without its dashes and `value` goes to the line's end; empty lines and `#` lines don't count.
 */

import { realpathSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { bucketEnv } from '../bucket/credentials.ts';
import type { Address } from '../core/address.ts';
import { BUILD_CACHE_KEPT_MS, MiB } from '../core/limits.ts';
import { type Network, parseNetworks } from '../core/network.ts';
import { parseDuration, parseSize } from '../core/quantity.ts';
import {
  choice,
  durationWithin,
  numberWithin,
  parseHostNames,
  parsePatterns,
  parseSwitch,
  parseText,
  sizeFrom,
} from '../core/setting.ts';
import { UsageError } from '../core/usage-error.ts';
import { isSafe } from '../oidc/issuer-get.ts';
import { BUCKET_FLAGS } from '../plugin/bucket-flags.ts';
import { pluginFlags } from '../plugin/flags.ts';
import { type FindSetting, findIn } from '../plugin/options.ts';
import type { Route } from '../upstream/route-syntax.ts';
import type { ProxyEnv } from '../upstream/settings.ts';
import { askGo } from './ask-go.ts';
import { type BucketConfig, readBucketConfig } from './bucket-config.ts';
import { type Env, GoEnv } from './go-env.ts';
import {
  type DatabaseSettings,
  readDatabases,
  readMappings,
  readProxyEnv,
  readRoutes,
  readUpstream,
  type UpstreamSettings,
} from './outside-settings.ts';
import { type PluginConfig, readPlugin } from './plugin-config.ts';
import { type PolicySettings, readPolicySettings } from './policy-settings.ts';
import { serveOptions } from './serve-options.ts';
import { nonEmpty, Settings } from './sources.ts';

/** Durations in ms, sizes in bytes; `serve-options.ts` explains each of them. */
export type Config = PolicySettings &
  UpstreamSettings &
  DatabaseSettings & {
    /** Modules with upstreams of their own; the first one that matches counts. */
    readonly routes: readonly Route[];
    /** Where the repositories of private modules are, beside what their hosts say; undefined: none is fetched from Git. */
    readonly gitMappings: string | undefined;

    readonly addr: Address;
    /** Names that clients may reach it by, beside its own, as `parseHostNames` gives them. */
    readonly hosts: readonly string[];
    /** Absolute. For a link, the path of its target. */
    readonly dbPath: string;
    /** The directory of the repositories' copies; undefined: beside the database. */
    readonly gitDir: string;
    /** Patterns of private modules that may be asked for without TLS. */
    readonly insecurePatterns: string;
    /** The server's own, for the `git` program. */
    readonly environment: Env;
    /** Those of the command line, for settings that are read again. */
    readonly flags: ConfigSources['flags'];
    /** Patterns of modules that need a login, wherever they come from; may be empty. */
    readonly loginPatterns: string;
    /** The networks whose clients may read both without a login. */
    readonly privateNetworks: readonly Network[];
    /** Absolute; both or none. */
    readonly tlsCert: string | undefined;
    readonly tlsKey: string | undefined;
    /** Absolute. */
    readonly authFile: string | undefined;
    /** Both or none. */
    readonly oidcIssuer: string | undefined;
    readonly oidcAudience: string | undefined;
    readonly listTtlMs: number;
    readonly negativeTtlMs: number;
    readonly staleWaitMs: number;
    readonly clientStallMs: number;
    readonly firstByteWaitMs: number;
    readonly offline: boolean;
    readonly cacheBytesMax: number;
    readonly cacheTtlMs: number;
    readonly cacheWeakBytesMax: number;
    readonly readers: number;
    /** Bytes of the store's file; undefined: no zip is dropped. */
    readonly storeBytesMax: number | undefined;
    /** Of modules whose zips are never dropped, beside private ones, as `pinsOf` takes them; may be empty. */
    readonly pinPatterns: string;
    /** Bytes of the build cache in the store, and how long an unused output stays. */
    readonly buildCacheBytesMax: number;
    readonly buildCacheExpiryMs: number;
    readonly cacheReadNeedsLogin: boolean;
    readonly verify: 'off' | 'store' | 'strict';
    /** Behind the store; undefined: none. `bucketPrivate`: private modules go there, and come from there. */
    readonly bucket: BucketConfig | undefined;
    readonly bucketPrivate: boolean;
    readonly pprof: boolean;
    /** Import Go's download cache at the start. */
    readonly importLocalCache: boolean;
    /** Absolute; undefined: the one that `go env GOMODCACHE` names. */
    readonly localCacheDir: string | undefined;
    readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
    readonly proxyEnv: Required<ProxyEnv>;
    /** Systemd started this and waits for word; `watchdogMs`: how long it waits for the next. */
    readonly systemd: { readonly watchdogMs: number | undefined } | undefined;
  };

export type ConfigSources = {
  /** The values on the command line, by the flags' names without dashes. `config` is among them. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  /** Default: this process's. */
  readonly env?: Env;
};

/**
 * Reads every source once.
 *
 * @throws {UsageError} bad value, unknown name in the file, unreadable file, no upstream
 */
export async function loadConfig({ flags, env = process.env }: ConfigSources): Promise<Config> {
  const settings = new Settings(flags, env);
  const goEnv = new GoEnv(env);
  const offline = settings.read(serveOptions.offline, parseSwitch, 'false');
  const databases = readDatabases(settings, goEnv);
  const config = {
    addr: settings.readAddr(),
    hosts: settings.read(serveOptions.hosts, parseHostNames),
    dbPath: readDbPath(settings),
    ...databases,
    routes: readRoutes(settings),
    loginPatterns: settings.readIfSet(serveOptions.loginPatterns, parsePatterns) ?? '',
    privateNetworks: settings.read(serveOptions.privateNetworks, parseNetworks),
    gitMappings: readMappings(settings, databases.noProxyPatterns),
    gitDir: readGitDir(settings),
    insecurePatterns: settings.read(serveOptions.insecurePatterns, parsePatterns),
    environment: env,
    flags,
    ...readPolicySettings(settings),
    tlsCert: settings.readIfSet(serveOptions.tlsCert, parsePath),
    tlsKey: settings.readIfSet(serveOptions.tlsKey, parsePath),
    authFile: settings.readIfSet(serveOptions.authFile, parsePath),
    oidcIssuer: settings.readIfSet(serveOptions.oidcIssuer, parseIssuer),
    oidcAudience: settings.readIfSet(serveOptions.oidcAudience, parseText),
    listTtlMs: settings.read(serveOptions.listTtlMs, parseDuration),
    negativeTtlMs: settings.read(serveOptions.negativeTtlMs, parseDuration),
    staleWaitMs: settings.read(serveOptions.staleWaitMs, durationWithin(0, HOUR_MS)),
    clientStallMs: settings.read(serveOptions.clientStallMs, durationWithin(1, 24 * HOUR_MS)),
    firstByteWaitMs: settings.read(serveOptions.firstByteWaitMs, durationWithin(1, 24 * HOUR_MS)),
    offline,
    cacheBytesMax: settings.read(serveOptions.cacheBytesMax, parseSize),
    cacheTtlMs: settings.read(serveOptions.cacheTtlMs, durationWithin(0, 576 * HOUR_MS)),
    cacheWeakBytesMax: settings.read(serveOptions.cacheWeakBytesMax, parseSize),
    readers: settings.read(serveOptions.readers, numberWithin(1, READERS_MAX), defaultReaders()),
    storeBytesMax: settings.readIfSet(serveOptions.storeBytesMax, sizeFrom(STORE_BYTES_MIN)),
    pinPatterns: settings.read(serveOptions.pinPatterns, parsePatterns),
    buildCacheBytesMax: settings.read(serveOptions.buildCacheBytesMax, parseSize),
    buildCacheExpiryMs: settings.read(
      serveOptions.buildCacheExpiryMs,
      durationWithin(BUILD_CACHE_KEPT_MS, Number.MAX_SAFE_INTEGER),
    ),
    cacheReadNeedsLogin: settings.read(serveOptions.cacheReadNeedsLogin, parseSwitch, 'false'),
    verify: settings.read(serveOptions.verify, choice('off', 'store', 'strict')),
    bucket: readBucketConfig(settings, env),
    bucketPrivate: settings.read(serveOptions.bucketPrivate, parseSwitch, 'false'),
    pprof: settings.read(serveOptions.pprof, parseSwitch, 'false'),
    importLocalCache: settings.read(serveOptions.importLocalCache, parseSwitch, 'false'),
    localCacheDir: settings.readIfSet(serveOptions.localCacheDir, parsePath),
    logLevel: settings.read(serveOptions.logLevel, choice('debug', 'info', 'warn', 'error')),
    proxyEnv: readProxyEnv(env),
    systemd: readSystemd(env),
  };
  // Last, as it may start a process: a mistyped value is told at once.
  return Object.freeze({ ...config, ...(await readUpstream(settings, { env, goEnv, offline })) });
}

/** The settings of a command that uses no network: the store, and the checksum databases. */
export type StoreConfig = Pick<Config, 'dbPath' | 'gitDir'> & DatabaseSettings;

/**
 * As {@link loadConfig}, for commands that go nowhere: no upstream is looked for.
 *
 * @throws {UsageError} bad value, unknown name in the file, unreadable file
 */
export function loadStoreConfig({ flags, env = process.env }: ConfigSources): StoreConfig {
  const settings = new Settings(flags, env);
  return Object.freeze({
    dbPath: readDbPath(settings),
    gitDir: readGitDir(settings),
    ...readDatabases(settings, new GoEnv(env)),
  });
}

/**
 * The address of a server with these settings.
 *
 * @throws {UsageError} bad value, unknown name in the file, unreadable file
 */
export function loadAddress({ flags, env = process.env }: ConfigSources): Address {
  return new Settings(flags, env).readAddr();
}

/**
 * A plugin server's settings; undefined without `--plugin`.
 *
 * @throws {UsageError} bad value, unknown name in the file, unreadable file
 */
export function loadPlugin({ flags, env = process.env }: ConfigSources): PluginConfig | undefined {
  const plugin = readPlugin(new Settings(flags, env));
  const isLost = (name: string) => flags[name] !== undefined && !BUCKET_FLAGS.has(name);
  const lost = plugin === undefined && pluginFlags.find(({ name }) => isLost(name));
  if (lost) throw new UsageError(`--${lost.name} is for --plugin: set that too, such as --plugin 5930`);
  return plugin && Object.freeze({ ...plugin, env: bucketEnv(env), systemd: readSystemd(env) });
}

/** The environment of the `go` command that started the cache program. */
export function environment(): NodeJS.ProcessEnv {
  return process.env;
}

/** For the cache program, if it is started from the sources: its flags, then the environment. */
export function findPluginSetting(flags: Readonly<Record<string, string>>): FindSetting {
  return findIn(flags, process.env);
}

/**
 * The file of users and tokens, for the command that writes it.
 *
 * @throws {UsageError} none is named, or as {@link loadStoreConfig}
 */
export function loadAuthFile({ flags, env = process.env }: ConfigSources): string {
  const path = new Settings(flags, env).readIfSet(serveOptions.authFile, parsePath);
  if (path === undefined) throw new UsageError('no file of users: set --auth-file');
  return path;
}

/** Whether the log level asks for stack traces. False if it can't be known. */
export function isDebugging({ flags, env = process.env }: ConfigSources): boolean {
  try {
    return new Settings(flags, env).find('log-level')?.text === 'debug';
  } catch {
    return false;
  }
}

function parsePath(text: string): string {
  return resolve(parseText(text));
}

/** As it stands: tokens must name it letter by letter. */
function parseIssuer(text: string): string {
  const url = new URL(text);
  if (!isSafe(url)) throw new Error('neither https nor loopback');
  // No token names an issuer so, and no request would send it.
  if (url.username !== '' || url.password !== '') throw new Error('it has a login');
  return text;
}

/** Through a link too it is the file itself whose lock and socket count: two servers would spoil one store. */
function readDbPath(settings: Settings): string {
  const path = resolve(settings.read(serveOptions.dbPath, parseText));
  try {
    return realpathSync(path);
  } catch {
    return path; // Not there yet, or not to be had: opening it says so.
  }
}

/** Without a setting the repositories' copies lie beside the database. */
function readGitDir(settings: Settings): string {
  return settings.readIfSet(serveOptions.gitDir, parsePath) ?? `${readDbPath(settings)}.git`;
}

const HOUR_MS = 3_600_000;

/** A store of less has room for the smallest modules only. */
const STORE_BYTES_MIN = 32 * MiB;

/** A connection and its page cache each. At half the largest machines read slower; at double memory goes for nothing. */
const READERS_MAX = 64;

function defaultReaders(): string {
  return String(Math.min(READERS_MAX, Math.max(1, availableParallelism() - 1)));
}

/** The download cache of `go`; undefined without Go. */
export async function findLocalCache(env: Env = process.env): Promise<string | undefined> {
  const modules = nonEmpty(env.GOMODCACHE) ?? (await askGo('GOMODCACHE', env));
  return modules && resolve(modules, 'cache/download');
}

/** As sd_notify(3) and sd_watchdog_enabled(3) have it; a watchdog of another process is none of ours. */
function readSystemd({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }: Env): Config['systemd'] {
  if (!NOTIFY_SOCKET) return undefined;
  const isOurs = !WATCHDOG_PID || WATCHDOG_PID === String(process.pid);
  const watchdogMs = Number(WATCHDOG_USEC) / 1000;
  return { watchdogMs: isOurs && watchdogMs >= 1 ? watchdogMs : undefined };
}
