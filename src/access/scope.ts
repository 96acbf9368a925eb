/** The scopes of a login: the things that it may do. */

import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/**
 * `read`: public modules, which need no login today. `private`: private modules too. `cache-write`: put into the build
 * cache. `admin`: all that is for those who run the server.
 */
export const scopes = ['read', 'private', 'cache-write', 'admin'] as const;

export type Scope = (typeof scopes)[number];

/** @throws {BadRequest} an unknown scope, or none */
export function parseScopes(text: string): readonly Scope[] {
  return text.split(',').map((name) => {
    const scope = scopes.find((one) => one === name.trim());
    if (scope === undefined) throw new BadRequest(`not a scope: ${quote(name.slice(0, 40))}`);
    return scope;
  });
}
