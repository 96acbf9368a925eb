/**
 * Users and tokens, rules for tokens of an OIDC issuer, and the file that keeps them. A line each:
 *
 *     user  NAME SCOPES scrypt:COST:BLOCK:PARALLEL:SALT:HASH
 *     token NAME SCOPES sha256:HEX EXPIRES
 *     oidc  NAME SCOPES CLAIM=VALUE,CLAIM=VALUE
 *
 * SCOPES are joined by commas; EXPIRES is a time such as `2027-01-31T00:00:00.000Z`, or `never`. Empty lines and lines that
 * begin with `#` don't count. `astera user` writes it.
 */

import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { type ClaimRule, parseClaims, parseScopeForms } from './claim-rule.ts';
import { parseScopes, type Scope } from './scope.ts';
import { formatPasswordHash, type PasswordHash, parsePasswordHash } from './secret.ts';

export type User = {
  readonly kind: 'user';
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly password: PasswordHash;
};

export type Token = {
  readonly kind: 'token';
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** SHA-256 in hex. */
  readonly sha256: string;
  /** Unix time; Infinity for one that never expires. */
  readonly expiresMs: number;
};

/** Each name is there once. */
export type Account = User | Token | ClaimRule;

/** @throws {BadRequest} a malformed line, which it names by its number and never quotes, or a name that is there twice */
export function parseAccounts(text: string): readonly Account[] {
  const accounts: Account[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const account = parseLine(line.trim().split(/\s+/));
    if (account === undefined)
      throw new BadRequest(`line ${index + 1} is neither a user, a token nor a rule`);
    if (accounts.some(({ name }) => name === account.name)) {
      throw new BadRequest(`line ${index + 1} has the name of another line: ${quote(account.name)}`);
    }
    accounts.push(account);
  }
  return accounts;
}

/** The inverse of {@link parseAccounts}. */
export function formatAccounts(accounts: readonly Account[]): string {
  const lines = accounts.map((one) => {
    const begin = [one.kind, one.name, one.scopes.join(',')];
    if (one.kind === 'user') return [...begin, formatPasswordHash(one.password)].join(' ');
    if (one.kind === 'oidc') return [...begin, formatClaims(one)].join(' ');
    const expires = one.expiresMs === Infinity ? 'never' : new Date(one.expiresMs).toISOString();
    return [...begin, `sha256:${one.sha256}`, expires].join(' ');
  });
  return ['# Users and tokens of Astera, written by "astera user".', ...lines, ''].join('\n');
}

/** The inverse of `parseClaims`. */
export function formatClaims({ claims }: ClaimRule): string {
  return claims.map(({ name, pattern }) => `${name}=${pattern}`).join(',');
}

/** @throws {BadRequest} a name that no line can have */
export function parseAccountName(text: string): string {
  if (NAME.test(text)) return text;
  throw new BadRequest(`not a name: ${quote(text.slice(0, 80))}: letters, digits and ._@- only, 64 at most`);
}

// No colon: it ends the name in a Basic login.
const NAME = /^[A-Za-z0-9._@-]{1,64}$/;

function parseLine([kind, name = '', scopes = '', secret = '', expires, ...more]: readonly string[]):
  | Account
  | undefined {
  if (!NAME.test(name) || more.length > 0) return undefined;
  try {
    if (kind === 'oidc' && expires === undefined) {
      return { kind, name, scopes: parseScopeForms(scopes), claims: parseClaims(secret) };
    }
    const begin = { name, scopes: parseScopes(scopes) };
    if (kind === 'user' && expires === undefined) {
      return { kind, ...begin, password: parsePasswordHash(secret) };
    }
    const [, sha256] = /^sha256:([0-9a-f]{64})$/.exec(secret) ?? [];
    const expiresMs = expires === 'never' ? Infinity : Date.parse(expires ?? '');
    if (kind !== 'token' || sha256 === undefined || Number.isNaN(expiresMs)) return undefined;
    return { kind, ...begin, sha256, expiresMs };
  } catch {
    return undefined;
  }
}
