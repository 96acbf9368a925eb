/**
 * What a GOPROXY tree that has some files of a module says in its list and its `@latest`.
 *
 * The list names the complete versions, which have an `.info`, a `.mod` and a `.zip`. If there are none of these, it names
 * the versions with a `.mod`. It does not name versions that are not in the tree, as `go` would stop at the first of them. As
 * with any proxy, pseudo-versions are in no list.
 */

import { isPseudoVersion } from './pseudo-version.ts';
import type { Resource } from './resource.ts';
import { compareVersions, type Version } from './version.ts';
import { latestOf } from './version-list.ts';

export class ModuleListing {
  readonly #versions = new Map<Version, Set<string>>();

  /** Notes a file of the tree. */
  add(resource: Resource): void {
    if (!('version' in resource)) return;
    const kinds = this.#versions.get(resource.version) ?? new Set();
    this.#versions.set(resource.version, kinds.add(resource.kind));
  }

  /** The list's text; undefined if the tree has no file of a version. */
  list(): string | undefined {
    if (this.#versions.size === 0) return undefined;
    const whole = this.#having('info', 'mod', 'zip');
    const listed = (whole.length > 0 ? whole : this.#having('mod')).filter((v) => !isPseudoVersion(v));
    return listed.map((version) => `${version}\n`).join('');
  }

  /** The version whose `.info` is `@latest`. */
  latest(): Version | undefined {
    return latestOf(this.#having('info', 'mod', 'zip')) ?? latestOf(this.#having('info'));
  }

  #having(...kinds: string[]): Version[] {
    const versions = [...this.#versions].filter(([, has]) => kinds.every((kind) => has.has(kind)));
    return versions.map(([version]) => version).sort(compareVersions);
  }
}
