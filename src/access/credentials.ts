/**
 * The credentials of a client: in `Authorization`, or in `/token/<token>/…` at the begin of its path. The path is for
 * clients that send no credentials over http, such as the `go` command.
 */

import { isToken } from './secret.ts';

/** `text`: the header as it came, or the one that says the same. */
export type Credentials = { readonly text: string } & (
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }
  /** Something that is no login of ours. */
  | { readonly kind: 'malformed' }
);

/** @param header `Authorization` as it came; empty: none. @returns undefined: the client says nothing */
export function parseAuthorization(header: string): Credentials | undefined {
  if (header === '') return undefined;
  const [, scheme = '', login = ''] = /^([A-Za-z]+) +([^ ]+) *$/.exec(header) ?? [];
  if (scheme.toLowerCase() === 'bearer') return { kind: 'token', token: login, text: header };
  if (scheme.toLowerCase() !== 'basic' || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(login)) {
    return { kind: 'malformed', text: header };
  }
  const plain = Buffer.from(login, 'base64').toString('utf8');
  const colon = plain.indexOf(':');
  if (colon < 0) return { kind: 'malformed', text: header };
  const password = plain.slice(colon + 1);
  // A token stands in the place of a password too, under any name: .netrc has no other place.
  if (isToken(password)) return { kind: 'token', token: password, text: header };
  return { kind: 'password', user: plain.slice(0, colon), password, text: header };
}

/** The login of a token in a path. */
export function tokenCredentials(token: string): Credentials {
  return { kind: 'token', token, text: tokenHeader(token) };
}

/** The header that says the same as a token in a path. */
export function tokenHeader(token: string): string {
  return `Bearer ${token}`;
}

/** The paths that {@link splitTokenPath} takes apart begin so, unless they are percent-encoded. */
export const TOKEN_PREFIX = '/token/';

/** A path and the token before it. The path alone may be logged or quoted. */
export type TokenPath = { readonly path: string; readonly token: string | undefined };

/** Takes `/token/<token>` off the begin of a path as it came, percent-encoded. */
export function splitTokenPath(path: string): TokenPath {
  if (path.startsWith(TOKEN_PREFIX)) {
    const end = path.indexOf('/', TOKEN_PREFIX.length);
    if (end < 0) return { path: '/', token: decoded(path.slice(TOKEN_PREFIX.length)) };
    return { path: path.slice(end), token: decoded(path.slice(TOKEN_PREFIX.length, end)) };
  }
  const [, name = '', token = '', rest = '/'] = /^\/([^/]{5,15})\/([^/]*)(\/.*)?$/s.exec(path) ?? [];
  // Nearly no name has an escape, and this is on the way of each request.
  const hasToken = name === 'token' || (name.includes('%') && decoded(name) === 'token');
  if (!hasToken) return { path, token: undefined };
  return { path: rest, token: decoded(token) };
}

function decoded(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
