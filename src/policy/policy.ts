/**
 * Decides which module versions may be had here, from their paths, versions and ages, without I/O.
 *
 *     allowed by a pattern ─▶ given, whatever else is said
 *     denied by a pattern  ─▶ not given, stored or not
 *     too young            ─▶ in no list and no query yet
 *
 * A go.mod file is always given: `go` reads those of versions that no build uses, and there is no code in it.
 */

import type { ModulePath } from '../core/module-path.ts';
import type { Version } from '../core/version.ts';
import { PatternSet } from './pattern-set.ts';
import type { VersionPattern } from './version-pattern.ts';

/** A pattern of versions that are not given, and the operator's reason, on one line; may be empty. */
export type DenyPattern = VersionPattern & { readonly reason: string };

/** The age that versions of some modules must have. */
export type AgeRule = { readonly matches: (module: ModulePath) => boolean; readonly ageMs: number };

export type PolicyRules = {
  readonly allow: readonly VersionPattern[];
  readonly deny: readonly DenyPattern[];
  /** The first one that matches counts; none: any age will do. */
  readonly ages: readonly AgeRule[];
  /** Whether a version that is asked for by its exact name, or by its commit, must have its age too. */
  readonly isExactDelayed: boolean;
};

export class Policy {
  readonly #allow: PatternSet<VersionPattern>;
  readonly #deny: PatternSet<DenyPattern>;
  readonly #ages: readonly AgeRule[];
  readonly isExactDelayed: boolean;
  /** Everything is given, at once. */
  readonly isEmpty: boolean;

  constructor({ allow, deny, ages, isExactDelayed }: PolicyRules) {
    this.#allow = new PatternSet(allow);
    this.#deny = new PatternSet(deny);
    this.#ages = ages;
    this.isExactDelayed = isExactDelayed;
    this.isEmpty = deny.length === 0 && !this.hasAges;
  }

  /** Whether versions of some modules must have an age. */
  get hasAges(): boolean {
    return this.#ages.some(({ ageMs }) => ageMs > 0);
  }

  /** The pattern that denies a version; undefined: it may be had, as far as its name goes. */
  denialOf(module: ModulePath, version: Version): DenyPattern | undefined {
    const denial = this.#deny.find(module, version);
    return denial === undefined || this.isAllowed(module, version) ? undefined : denial;
  }

  /** The pattern that denies all versions of a module. */
  denialOfAll(module: ModulePath): DenyPattern | undefined {
    const denial = this.#deny.of(module).find(({ isOfAll }) => isOfAll);
    return denial === undefined || this.#allow.of(module).length > 0 ? undefined : denial;
  }

  /** Whether some version of the module may be denied or delayed. */
  concerns(module: ModulePath): boolean {
    return this.#deny.of(module).length > 0 || this.ageMsOf(module) > 0;
  }

  isAllowed(module: ModulePath, version: Version): boolean {
    return this.#allow.find(module, version) !== undefined;
  }

  /** The age that versions of the module must have, but for allowed ones; 0: none. */
  ageMsOf(module: ModulePath): number {
    return this.#ages.find(({ matches }) => matches(module))?.ageMs ?? 0;
  }
}
