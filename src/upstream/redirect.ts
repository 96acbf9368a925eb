/**
 * The target of a redirect, if it may be followed: at most ten steps, no circles, never from https to http, as in the `go`
 * command (cmd/go/internal/web/http.go), and never with userinfo. Stricter than there: no redirect of an upstream
 * elsewhere leads to this machine or its link.
 */

import { UPSTREAM_REDIRECTS_MAX } from '../core/limits.ts';
import { quote } from '../core/quote.ts';
import { isLocal } from './local-address.ts';
import { withoutUserinfo } from './redact.ts';

const STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function isRedirect(status: number): boolean {
  return STATUSES.has(status);
}

export type Step = { readonly url: URL } | { readonly refused: string };

/** @param passed the URLs asked so far, in order; the last one sent the redirect */
export function nextStep(passed: readonly URL[], location: string | undefined): Step {
  const from = passed.at(-1);
  if (location === undefined) return { refused: 'redirect without Location' };
  const url = URL.parse(location, from?.href);
  if (url === null) return { refused: `redirect to a bad URL: ${quoted(location)}` };
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    return { refused: `redirect to another scheme: ${quoted(location)}` };
  }
  if (from?.protocol === 'https:' && url.protocol === 'http:') {
    return { refused: `redirect from https to http: ${quoted(location)}` };
  }
  if (isLocal(url) && passed[0] !== undefined && !isLocal(passed[0])) {
    return { refused: `redirect to this machine or its own link: ${quoted(location)}` };
  }
  url.username = '';
  url.password = '';
  url.hash = '';
  if (passed.some((other) => other.href === url.href)) {
    return { refused: `redirects in a circle: ${quoted(url.href)}` };
  }
  if (passed.length > UPSTREAM_REDIRECTS_MAX) return { refused: `over ${UPSTREAM_REDIRECTS_MAX} redirects` };
  return { url };
}

// A signed URL of a file host is a secret in its query.
function quoted(location: string): string {
  return quote(withoutUserinfo(location).replace(/[?#].*$/, ''));
}
