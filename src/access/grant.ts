/** The rights of a login: its scopes, with their patterns parsed once. */

import { prefixMatcher } from '../core/glob.ts';
import type { ModulePath } from '../core/module-path.ts';
import type { ModuleScope, Scope } from './scope.ts';

type Matcher = (module: ModulePath) => boolean;

export class Grant {
  readonly scopes: readonly Scope[];
  /** Files in memory that it was found to open. */
  readonly files = new WeakSet<object>();
  /** What is private counts as what needs `read` too. */
  readonly #opens: Readonly<Record<ModuleScope, readonly Matcher[]>>;

  constructor(scopes: readonly Scope[]) {
    this.scopes = scopes;
    const ofPrivate = matchersOf('private', scopes);
    this.#opens = { private: ofPrivate, read: [...ofPrivate, ...matchersOf('read', scopes)] };
  }

  /** Whether it opens a module that needs this scope. */
  opens(module: ModulePath, need: ModuleScope): boolean {
    return this.#opens[need].some((matches) => matches(module));
  }

  /** Whether it opens any module that needs this scope. */
  opensAny(need: ModuleScope): boolean {
    return this.#opens[need].length > 0;
  }
}

function matchersOf(name: ModuleScope, scopes: readonly Scope[]): readonly Matcher[] {
  return scopes.flatMap((scope) => {
    if (scope === name) return () => true;
    return scope.startsWith(`${name}:`) ? prefixMatcher(scope.slice(name.length + 1)) : [];
  });
}
