/**
 * Method, URL and headers, turned into a `Route` union once. After this nobody parses a string.
 *
 * Percent-decoding comes first, then the "!" escapes: `go` sends `%21` (PROTOCOL 3b).
 */

import { BadRequest } from '../core/errors.ts';
import { parseResource, type Resource } from '../core/resource.ts';
import type { ProfileRequest } from '../observe/profiles.ts';
import { parseSumdbPath, type SumdbAsk } from '../sumdb/sumdb-path.ts';
import { parseProfile } from './profile-route.ts';

export type Route =
  | { readonly kind: 'file'; readonly resource: Resource; readonly key: string; readonly mayFetch: boolean }
  | { readonly kind: 'sumdb'; readonly ask: SumdbAsk; readonly mayFetch: boolean }
  | { readonly kind: 'healthz' | 'readyz' | 'metrics' }
  | { readonly kind: 'profile'; readonly request: ProfileRequest }
  | { readonly kind: 'unknown' };

const own: ReadonlyMap<string, Route> = new Map([
  ['/healthz', { kind: 'healthz' }],
  ['/readyz', { kind: 'readyz' }],
  ['/metrics', { kind: 'metrics' }],
]);

/**
 * The store's key a hot URL may have, without checking it: only keys that were parsed once are
 * in memory, so one that is found there is good, and the others go through {@link parseRoute}.
 */
export function hotKey(url: string): string {
  const path = url.slice(1);
  return path.includes('%') ? path.replaceAll('%21', '!') : path;
}

/**
 * @param url the path as it came, without query
 * @param query what stood behind the `?`: only profiles have one
 * @throws {BadRequest} a malformed escape, path or version
 */
export function parseRoute(url: string, query = ''): Route {
  const special = own.get(url);
  if (special !== undefined) return special;
  const profile = parseProfile(url, query);
  if (profile !== undefined) return { kind: 'profile', request: profile };
  let path = decode(url).slice(1);
  let mayFetch = true;
  for (const prefix of PREFIXES) {
    if (!path.startsWith(prefix)) continue;
    path = path.slice(prefix.length);
    if (prefix === 'cached-only/') mayFetch = false;
  }
  if (path.startsWith('sumdb/')) {
    const ask = parseSumdbPath(path);
    return ask === undefined ? { kind: 'unknown' } : { kind: 'sumdb', ask, mayFetch };
  }
  const resource = parseResource(path);
  return resource === undefined ? { kind: 'unknown' } : { kind: 'file', resource, key: path, mayFetch };
}

/** Either, or both in any order: /cached-only/mod/… and /mod/cached-only/… are what go-cache-plugin's users would write. */
const PREFIXES = ['mod/', 'cached-only/', 'mod/'] as const;

function decode(url: string): string {
  if (!url.includes('%')) return url;
  try {
    return decodeURIComponent(url);
  } catch {
    throw new BadRequest(`cannot decode path: bad percent-escape: ${JSON.stringify(url.slice(0, 200))}`);
  }
}
