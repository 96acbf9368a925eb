/** The scopes of a login: the things that it may do. */

import { isNamespace } from '../core/cache-id.ts';
import { BadRequest } from '../core/errors.ts';
import { isPrefixPatterns } from '../core/glob.ts';
import { quote } from '../core/quote.ts';

/**
 * `read`: public modules of `--require-login`. `private`: private modules, and those of `read`. `cache-read` and
 * `cache-write`: get from the build cache, put into it. `admin`: the status page, metrics and profiles, and nothing else.
 */
export const scopes = ['read', 'private', 'cache-read', 'cache-write', 'admin'] as const;

type CacheScope = 'cache-read' | 'cache-write';

export type ModuleScope = 'read' | 'private';

/**
 * A scope of the build cache may be tied to a namespace, or to all that begin alike: `cache-write:pr/*`. One of modules may be
 * tied to a pattern, as in GOPRIVATE: `private:corp.example/team/*`.
 */
export type Scope = (typeof scopes)[number] | `${CacheScope | ModuleScope}:${string}`;

/** @throws {BadRequest} an unknown scope, a malformed namespace or pattern, or none */
export function parseScopes(text: string): readonly Scope[] {
  return text.split(',').map((part) => {
    const name = part.trim();
    const scope = scopes.find((one) => one === name) ?? parseTied(name);
    if (scope === undefined) throw new BadRequest(`not a scope: ${quote(name.slice(0, 40))}`);
    return scope;
  });
}

/**
 * Whether one of the scopes is `wanted` for this namespace.
 *
 * @param namespace undefined: any namespace will do
 */
export function grants(scopes: readonly Scope[], wanted: CacheScope, namespace: string | undefined): boolean {
  return scopes.some((scope) => {
    if (scope === wanted) return true;
    if (!scope.startsWith(`${wanted}:`)) return false;
    return namespace === undefined || matches(scope.slice(wanted.length + 1), namespace);
  });
}

function matches(pattern: string, namespace: string): boolean {
  return pattern.endsWith('*') ? namespace.startsWith(pattern.slice(0, -1)) : pattern === namespace;
}

function parseTied(text: string): Scope | undefined {
  const [, name, pattern = ''] = /^([a-z-]+):(.*)$/s.exec(text) ?? [];
  if (name === 'read' || name === 'private') {
    return pattern !== '' && isPrefixPatterns(pattern) ? `${name}:${pattern}` : undefined;
  }
  const begin = pattern.endsWith('*') ? pattern.slice(0, -1) : pattern;
  // A star alone would be the scope without a namespace, under another name.
  if ((name !== 'cache-read' && name !== 'cache-write') || !isNamespace(begin)) return undefined;
  return `${name}:${pattern}`;
}
