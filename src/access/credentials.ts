/**
 * The credentials of a client: in `Authorization`, or in `/token/<token>/…` at the begin of its path. The path is for
 * clients that send no credentials over http, such as the `go` command.
 */

import { isToken } from './secret.ts';

export type Credentials =
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }
  /** Something that is no login of ours. */
  | { readonly kind: 'malformed' };

/** @param header `Authorization` as it came; empty: none. @returns undefined: the client says nothing */
export function parseAuthorization(header: string): Credentials | undefined {
  if (header === '') return undefined;
  const [, scheme = '', text = ''] = /^([A-Za-z]+) +([^ ]+) *$/.exec(header) ?? [];
  if (scheme.toLowerCase() === 'bearer') return { kind: 'token', token: text };
  if (scheme.toLowerCase() !== 'basic' || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(text))
    return { kind: 'malformed' };
  const plain = Buffer.from(text, 'base64').toString('utf8');
  const colon = plain.indexOf(':');
  if (colon < 0) return { kind: 'malformed' };
  const password = plain.slice(colon + 1);
  // A token stands in the place of a password too, under any name: .netrc has no other place.
  if (isToken(password)) return { kind: 'token', token: password };
  return { kind: 'password', user: plain.slice(0, colon), password };
}

/** A path and the token before it. The path alone may be logged or quoted. */
export type TokenPath = { readonly path: string; readonly token: string | undefined };

/** Takes `/token/<token>` off the begin of a path as it came, percent-encoded. */
export function splitTokenPath(path: string): TokenPath {
  const [, name = '', token = '', rest = '/'] = /^\/([^/]{5,15})\/([^/]*)(\/.*)?$/s.exec(path) ?? [];
  if (decoded(name) !== 'token') return { path, token: undefined };
  return { path: rest, token: decoded(token) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
