/** Many patterns, asked about one module at a time: those without globs are found by their paths. */

import type { ModulePath } from '../core/module-path.ts';
import type { Version } from '../core/version.ts';
import type { VersionPattern } from './version-pattern.ts';

export class PatternSet<P extends VersionPattern> {
  readonly #byPath = new Map<string, P[]>();
  readonly #globs: P[] = [];

  constructor(patterns: readonly P[]) {
    for (const pattern of patterns) {
      const { literal } = pattern;
      const same = literal === undefined ? this.#globs : this.#byPath.get(literal);
      if (same !== undefined) same.push(pattern);
      else if (literal !== undefined) this.#byPath.set(literal, [pattern]);
    }
  }

  /** The patterns for some version of the module. */
  of(module: ModulePath): readonly P[] {
    if (this.#byPath.size === 0 && this.#globs.length === 0) return [];
    const found = this.#globs.filter((pattern) => pattern.matchesModule(module));
    for (let prefix: string = module; prefix !== ''; prefix = prefix.slice(0, prefix.lastIndexOf('/'))) {
      for (const pattern of this.#byPath.get(prefix) ?? []) {
        if (pattern.matchesModule(module)) found.push(pattern);
      }
      if (!prefix.includes('/')) break;
    }
    return found;
  }

  /** A pattern that is for this version. */
  find(module: ModulePath, version: Version): P | undefined {
    return this.of(module).find((pattern) => pattern.matchesVersion(version));
  }
}
