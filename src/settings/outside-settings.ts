/**
 * The settings of what is outside: upstreams, repositories, checksum and vulnerability databases, and which modules go where.
 */

import { parsePatterns, parseText } from '../core/setting.ts';
import { UsageError } from '../core/usage-error.ts';
import { checkMappingsMeet, parsePathMappings } from '../git/path-mapping.ts';
import { parseProxyList } from '../upstream/proxy-list-syntax.ts';
import { parseRoutes, type Route } from '../upstream/route-syntax.ts';
import type { ProxyEnv } from '../upstream/settings.ts';
import { askGo } from './ask-go.ts';
import type { Env, GoEnv } from './go-env.ts';
import { serveOptions } from './serve-options.ts';
import { checked, type Found, nonEmpty, parseFound, type Settings } from './sources.ts';
import { placeOfDatabase } from './vulndb-url.ts';

export type UpstreamSettings = {
  /** A list in GOPROXY's form, as `parseProxyList` takes it; `off` if there is none and none is needed. */
  readonly upstream: string;
  /** The origin of `upstream`, for the log: `--upstream`, `go env GOPROXY`, … */
  readonly upstreamFrom: string;
};

export type DatabaseSettings = {
  /** As `parseDatabases` takes them; `off` for none. */
  readonly sumdb: string;
  /** The URL of a vulnerability database, as `placeOfDatabase` takes it; `off` for none. */
  readonly vulndb: string;
  /** As `matchPrefixPatterns` takes them; may be empty. */
  readonly privatePatterns: string;
  /** Patterns of modules that no upstream hears of; GONOPROXY's, else the private ones. */
  readonly noProxyPatterns: string;
  /** Patterns of modules that no checksum database is asked about: GONOSUMDB's, else the private ones. */
  readonly noSumdbPatterns: string;
};

/** @throws {UsageError} bad value */
export function readDatabases(settings: Settings, goEnv: GoEnv): DatabaseSettings {
  const sumdb = settings.find('sumdb') ??
    goEnv.find('GOSUMDB') ?? { text: 'sum.golang.org', from: 'default' };
  return {
    sumdb: parseFound(serveOptions.sumdb, sumdb, parseText),
    vulndb: readVulndb(settings, goEnv),
    ...readPatterns(settings, goEnv),
  };
}

/** GOVULNDB is no setting of `go env`; gopls and govulncheck read it as one. */
function readVulndb(settings: Settings, goEnv: GoEnv): string {
  const fallback = { text: 'https://vuln.go.dev', from: 'default' };
  const found = settings.find('vulndb') ?? goEnv.find('GOVULNDB') ?? fallback;
  const url = parseFound(serveOptions.vulndb, found, parseText);
  checked(serveOptions.vulndb, found, () => placeOfDatabase(url));
  return url;
}

/** As cmd/go/internal/cfg has it: GOPRIVATE is only the default of the other two, which may take it back by "none". */
function readPatterns(settings: Settings, goEnv: GoEnv): Omit<DatabaseSettings, 'sumdb' | 'vulndb'> {
  const secret = settings.find('private') ?? goEnv.find('GOPRIVATE') ?? { text: '', from: 'default' };
  const read = (found: Found) => parseFound(serveOptions.privatePatterns, found, parsePatterns);
  return {
    privatePatterns: read(secret),
    noProxyPatterns: read(goEnv.find('GONOPROXY') ?? secret),
    noSumdbPatterns: read(goEnv.find('GONOSUMDB') ?? secret),
  };
}

/**
 * Where the repositories of private modules are, beside what their hosts say; undefined: off.
 *
 * @throws {UsageError} bad value
 */
export function readMappings(settings: Settings, noProxyPatterns: string): string | undefined {
  const found = settings.find('git');
  if (found === undefined || found.text === '') return '';
  const mappings = parseFound(serveOptions.gitMappings, found, parseText);
  if (mappings === 'off') return undefined;
  checked(serveOptions.gitMappings, found, () =>
    checkMappingsMeet(parsePathMappings(mappings), noProxyPatterns),
  );
  return mappings;
}

/** @throws {UsageError} bad value */
export function readRoutes(settings: Settings): readonly Route[] {
  const found = settings.find('route');
  if (found === undefined) return [];
  const text = parseFound(serveOptions.routes, found, parseText);
  return checked(serveOptions.routes, found, () => parseRoutes(text));
}

/** What else a look for the upstream depends on. */
type UpstreamSources = { readonly env: Env; readonly goEnv: GoEnv; readonly offline: boolean };

/** Looked into at once, so that a mistyped list makes no store. @throws {UsageError} bad value, or there is none */
export async function readUpstream(settings: Settings, sources: UpstreamSources): Promise<UpstreamSettings> {
  const found = await findUpstream(settings, sources);
  const upstream = parseFound(serveOptions.upstream, found, parseText);
  // The parser's own words hold no password.
  checked(serveOptions.upstream, found, () => parseProxyList(upstream));
  return { upstream, upstreamFrom: found.from };
}

async function findUpstream(settings: Settings, { env, goEnv, offline }: UpstreamSources): Promise<Found> {
  const found = settings.find('upstream') ?? goEnv.find('GOPROXY');
  if (found !== undefined) return found;
  if (offline) return { text: 'off', from: '--offline' };
  const text = await askGo('GOPROXY', env);
  if (text !== undefined) return { text, from: 'go env GOPROXY' };
  throw new UsageError(
    'no upstream: pass --upstream https://proxy.example or set GOPROXY; --offline serves only what is stored',
  );
}

/** Upper case first, as Go 1.26 has it. */
export function readProxyEnv(env: Env): Required<ProxyEnv> {
  const either = (name: string) => nonEmpty(env[name]) ?? env[name.toLowerCase()] ?? '';
  return Object.freeze({
    httpProxy: either('HTTP_PROXY'),
    httpsProxy: either('HTTPS_PROXY'),
    noProxy: either('NO_PROXY'),
    isCgi: nonEmpty(env.REQUEST_METHOD) !== undefined,
  });
}
