/**
 * Takes the URL of a request apart, once. No later code decodes or strips anything.
 *
 * Percent-decoding comes first, then the "!" escapes: `go` sends `%21` (PROTOCOL 3b).
 */

import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

export type Target = {
  /** The path as it came: `/healthz` and the like are compared with it. */
  readonly url: string;
  /** The text behind the `?`. */
  readonly query: string;
  /** Percent-decoded, below our prefixes, without a leading slash. */
  readonly path: string;
  /** False under `/cached-only/`: the answer is from the store. */
  readonly mayFetch: boolean;
};

/** @throws {BadRequest} a malformed percent-escape */
export function parseTarget(url: string, query = ''): Target {
  let path = decode(url).slice(1);
  let mayFetch = true;
  for (const prefix of PREFIXES) {
    if (!path.startsWith(prefix)) continue;
    path = path.slice(prefix.length);
    if (prefix === 'cached-only/') mayFetch = false;
  }
  return { url, query, path, mayFetch };
}

/**
 * The store's key that a hot URL may have, unchecked. Memory holds only keys that were parsed once, so a key
 * that is found there is good. All other URLs go through {@link parseTarget}.
 */
export function hotKey(url: string): string {
  let from = 1;
  for (const prefix of PREFIXES) if (url.startsWith(prefix, from)) from += prefix.length;
  const path = url.slice(from);
  return path.includes('%') ? path.replaceAll('%21', '!') : path;
}

/** Either, or both in any order: go-cache-plugin's users write /cached-only/mod/… or /mod/cached-only/…. */
const PREFIXES = ['mod/', 'cached-only/', 'mod/'] as const;

function decode(url: string): string {
  if (!url.includes('%')) return url;
  try {
    return decodeURIComponent(url);
  } catch {
    throw new BadRequest(`cannot decode path: bad percent-escape: ${quote(url.slice(0, 200))}`);
  }
}
