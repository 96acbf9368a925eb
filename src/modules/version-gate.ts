/** Asks a policy about versions, with what it must know of them: their ages, and whether they were here before it. */

import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import { escapeModulePath, type ModulePath } from '../core/module-path.ts';
import { type Resource, resourceKey } from '../core/resource.ts';
import type { Store } from '../core/store-port.ts';
import { unescapeVersion, type Version } from '../core/version.ts';
import type { Policy } from '../policy/policy.ts';
import { denied, type Refusal, tooYoung } from '../policy/refusal.ts';
import { type AgeAsk, VersionAges, type VersionAgesOptions } from './version-ages.ts';

export type VersionGateOptions = VersionAgesOptions & {
  readonly store: Pick<Store, 'getEntry' | 'getVersions' | 'getStored'>;
};

/** A version is kept at any age if its zip was stored before this time, or imported: Unix time. */
type Kept = { readonly keptBeforeMs: number };

/** Versions that may be shown, and until when: Unix time. */
export type Shown = { readonly shown: ReadonlySet<Version>; readonly untilMs: number };

export class VersionGate {
  readonly policy: Policy;
  readonly #options: VersionGateOptions & Kept;
  readonly #ages: VersionAges;

  constructor(policy: Policy, options: VersionGateOptions & Kept) {
    this.policy = policy;
    this.#options = options;
    this.#ages = new VersionAges(options);
  }

  /** Whether the version that answers `resource` must have an age. */
  delays(resource: Resource): boolean {
    if (this.policy.ageMsOf(resource.module) === 0) return false;
    if (this.policy.isExactDelayed) return true;
    if (resource.kind === 'query') return !COMMIT.test(resource.query);
    return resource.kind === 'list' || resource.kind === 'latest';
  }

  /**
   * Why `version` is no answer to `resource`; undefined: it is one.
   *
   * @param info the text of its `.info`
   */
  async refusalOf(resource: Resource, version: Version, info: string): Promise<Refusal | undefined> {
    const { module } = resource;
    const denial = denied(this.policy, module, version);
    if (denial !== undefined || !this.delays(resource) || this.policy.isAllowed(module, version))
      return denial;
    const ageMs = this.policy.ageMsOf(module);
    const { clock, sightings } = this.#options;
    const nowMs = clock.wallMs();
    const publishedMs = await this.#ages.publishedMs(module, version, {
      info,
      absentMs: await sightings.of(module),
    });
    if (publishedMs + ageMs <= nowMs || (await this.#kept(module, [version])).length > 0) return undefined;
    return tooYoung(module, version, { publishedMs, ageMs, nowMs });
  }

  /** @throws what kept the ages from being known, if for want of them none may be shown */
  async shown(
    { resource: { module }, mayFetch, via }: AgeAsk & { readonly resource: Resource },
    all: readonly Version[],
  ): Promise<Shown> {
    const versions = all.filter((version) => this.policy.denialOf(module, version) === undefined);
    const ageMs = this.policy.ageMsOf(module);
    if (ageMs === 0 || versions.length === 0) return { shown: new Set(versions), untilMs: Infinity };
    const isExempt = (version: Version) => this.policy.isAllowed(module, version);
    const old = await this.#ages.oldEnough({ module, versions, ageMs, isExempt, mayFetch, via });
    const young = versions.filter((version) => !old.versions.has(version));
    const shown = new Set([...old.versions, ...(await this.#kept(module, young))]);
    if (shown.size === 0 && old.failure !== undefined) throw old.failure;
    return { shown, untilMs: old.untilMs };
  }

  /** The versions of a module whose `.info` is stored. */
  async storedVersions(module: ModulePath): Promise<Version[]> {
    const { versions } = await this.#options.store.getVersions({ module: escapeModulePath(module) });
    return versions.flatMap(({ version, hasInfo }) => {
      const plain = unescapeVersion(version);
      return hasInfo && plain.kind === 'version' ? [plain.version] : [];
    });
  }

  /** Those of `versions` that were downloaded before any age was asked for, or imported. */
  async #kept(module: ModulePath, versions: readonly Version[]): Promise<Version[]> {
    const { store, keptBeforeMs } = this.#options;
    const kept: Version[] = [];
    for (let at = 0; at < versions.length; at += KEYS_PER_CALL_MAX) {
      const some = versions.slice(at, at + KEYS_PER_CALL_MAX);
      const keys = some.map((version) => resourceKey({ kind: 'zip', module, version }));
      const { stored } = await store.getStored({ keys });
      for (const [index, version] of some.entries()) {
        if (!stored[index]) continue;
        const { entry } = await store.getEntry({ key: keys[index] ?? '' });
        if (entry?.status === 200 && (entry.source === 'import' || entry.checkedAtMs < keptBeforeMs))
          kept.push(version);
      }
    }
    return kept;
  }
}

/** A commit by its hash, or the beginning of one. */
const COMMIT = /^[0-9a-f]{7,40}$/;
