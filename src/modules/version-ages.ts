/**
 * The ages of versions, for a policy that holds young ones back.
 *
 * A list has no times; the `.info` of each version has one, and never changes, so the store keeps it. Within a line of
 * versions (v1.4.*) versions are published in their order, so a line is looked through from its highest version down to the
 * first one that is old enough. Which lines are looked through:
 *
 *     the highest of each major version    down to the first line with a release that is old enough
 *     the highest AGE_LINES_MAX with fixes for old lines get fixes too
 *     all others                           only as far as times are stored
 *
 * A version's time is the one in its `.info`, which its author chose, but no earlier than the last list without it.
 */

import { isServeError, NotFound } from '../core/errors.ts';
import { Gate } from '../core/gate.ts';
import { escapeModulePath, type ModulePath } from '../core/module-path.ts';
import type { Clock } from '../core/ports.ts';
import { pseudoVersionTime } from '../core/pseudo-version.ts';
import { resourceKey } from '../core/resource.ts';
import type { Store } from '../core/store-port.ts';
import { escapeVersion, isPrerelease, type Version } from '../core/version.ts';
import { readInfo } from '../policy/info-facts.ts';
import { AGE_CHECKS_MAX, AGE_FETCHES_MAX, AGE_LINES_MAX, AGE_QUEUE_MAX, AGE_WAIT_MS } from './limits.ts';
import type { ModuleProxy } from './module-proxy.ts';
import type { Sightings } from './sightings.ts';
import { byHead, hasFixes, linesByMajor, type VersionLine } from './version-lines.ts';
import { textOf, wholeAnswer } from './whole-answer.ts';

export type VersionAgesOptions = {
  readonly modules: Pick<ModuleProxy, 'get'>;
  readonly store: Pick<Store, 'getEntry' | 'getVersions'>;
  readonly clock: Clock;
  readonly sightings: Pick<Sightings, 'of'>;
  /** Longest wait for the times of one list. Default AGE_WAIT_MS. */
  readonly waitMs?: number;
};

/** What tells the age of a version. `absentMs`: as `Sightings.of` gives it. */
export type AgeFacts = { readonly info: string; readonly absentMs: ReadonlyMap<string, number> };

/** A version that is in the list and has no `.info` is looked for again after so long. */
const ABSENT_AGAIN_MS = 60_000;

/** How the client of a list asked for it. */
export type AgeAsk = { readonly mayFetch: boolean; readonly via: string | undefined };

export type AgeQuestion = AgeAsk & {
  readonly module: ModulePath;
  readonly versions: readonly Version[];
  readonly ageMs: number;
  /** Versions of any age that may be shown. */
  readonly isExempt: (version: Version) => boolean;
};

export type OldEnough = {
  readonly versions: ReadonlySet<Version>;
  /** Until when that holds: Unix time. */
  readonly untilMs: number;
  /** Why the times of some versions could not be had. */
  readonly failure: unknown;
};

/** One look through a list. */
type Look = AgeQuestion & {
  readonly absentMs: AgeFacts['absentMs'];
  readonly hasInfo: ReadonlySet<string>;
  readonly shown: Set<Version>;
  fetches: number;
  untilMs: number;
  failure: unknown;
  isWhole: boolean;
};

export class VersionAges {
  readonly #options: VersionAgesOptions;
  readonly #gate = new Gate({
    placesMax: AGE_CHECKS_MAX,
    queueMax: AGE_QUEUE_MAX,
    full: 'cannot look up the ages of versions: too many wait for it',
  });

  constructor(options: VersionAgesOptions) {
    this.#options = options;
  }

  /**
   * When a version was published: Unix time in ms. Without a time, or with one of the future, it counts from its first sight
   * here. It is no older than the last list without it.
   *
   * @param facts the text of its `.info`, and the module's sightings
   */
  async publishedMs(module: ModulePath, version: Version, facts: AgeFacts): Promise<number> {
    const { store, clock } = this.#options;
    const nowMs = clock.wallMs();
    const saidMs = readInfo(facts.info).publishedMs ?? pseudoVersionTime(version)?.getTime();
    const absentMs = facts.absentMs.get(escapeVersion(version)) ?? -Infinity;
    if (saidMs !== undefined && saidMs <= nowMs) return Math.max(saidMs, absentMs);
    const { entry } = await store.getEntry({ key: resourceKey({ kind: 'info', module, version }) });
    return Math.max(entry?.status === 200 ? entry.checkedAtMs : nowMs, absentMs);
  }

  /** The versions that are old enough, or exempt. Those of unknown age are not, and not for long. */
  async oldEnough(question: AgeQuestion): Promise<OldEnough> {
    const stored = await this.#options.store.getVersions({ module: escapeModulePath(question.module) });
    const look: Look = {
      ...question,
      absentMs: await this.#options.sightings.of(question.module),
      hasInfo: new Set(stored.versions.filter(({ hasInfo }) => hasInfo).map(({ version }) => version)),
      shown: new Set(),
      fetches: 0,
      untilMs: Infinity,
      failure: undefined,
      isWhole: true,
    };
    const { waitMs = AGE_WAIT_MS } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, waitMs, 'late');
    });
    // What comes late is stored, for the next look.
    const all = this.#look(look).catch((error: unknown) => {
      look.failure ??= error;
    });
    const isLate = (await Promise.race([all, timeout])) === 'late';
    clearTimeout(timer);
    const { shown, untilMs, failure } = look;
    const isWhole = look.isWhole && !isLate && failure === undefined;
    return { versions: new Set(shown), untilMs: isWhole ? untilMs : 0, failure };
  }

  async #look(look: Look): Promise<void> {
    const majors = linesByMajor(look.versions);
    const all = majors.flat();
    const looked = new Map<VersionLine, Promise<boolean>>();
    const at = (line: VersionLine): Promise<boolean> => {
      const known = looked.get(line) ?? this.#gate.run(() => this.#lookAt(look, line));
      looked.set(line, known);
      return known;
    };
    const fixed = all.filter(hasFixes).sort(byHead).slice(0, AGE_LINES_MAX);
    const tops = majors.map(async (lines) => {
      for (const line of lines) if (await at(line)) return;
    });
    await Promise.all([...tops, ...fixed.map(at)]);
    for (const line of all) if (!looked.has(line)) await this.#passOver(look, line);
  }

  /** Looks from a line's highest version down. @returns whether it has a release that is old enough */
  async #lookAt(look: Look, line: VersionLine): Promise<boolean> {
    for (const [at, version] of line.entries()) {
      if (!(await this.#isOld(look, version))) continue;
      const older = line.slice(at).filter((one) => !this.#isSightedYoung(look, one));
      for (const one of older) look.shown.add(one);
      return older.some((one) => !isPrerelease(one));
    }
    return false;
  }

  /** A line that was not looked through: all but the versions that are known to be young. */
  async #passOver(look: Look, line: VersionLine): Promise<void> {
    for (const version of line) {
      const isUnknown = !look.hasInfo.has(escapeVersion(version)) && !this.#isSightedYoung(look, version);
      if (isUnknown || (await this.#isOld(look, version))) look.shown.add(version);
    }
  }

  /** Whether a list without this version is too young for it, whatever its author says. */
  #isSightedYoung(look: Look, version: Version): boolean {
    const sightedMs = look.absentMs.get(escapeVersion(version));
    if (sightedMs === undefined || look.isExempt(version)) return false;
    const untilMs = sightedMs + look.ageMs;
    if (untilMs <= this.#options.clock.wallMs()) return false;
    look.untilMs = Math.min(look.untilMs, untilMs);
    return true;
  }

  /** Exempt versions are shown, and say nothing of others. */
  async #isOld(look: Look, version: Version): Promise<boolean> {
    const { ageMs, isExempt, shown } = look;
    if (isExempt(version)) {
      shown.add(version);
      return false;
    }
    const sightedMs = look.absentMs.get(escapeVersion(version));
    // Nobody need be asked about one that a late list did not have.
    const publishedMs =
      sightedMs !== undefined && this.#isSightedYoung(look, version)
        ? sightedMs
        : await this.#timeOf(look, version);
    if (publishedMs === undefined) return false;
    const isOld = publishedMs + ageMs <= this.#options.clock.wallMs();
    if (!isOld) look.untilMs = Math.min(look.untilMs, publishedMs + ageMs);
    return isOld;
  }

  /** When a version was published; undefined if that can't be known now. */
  async #timeOf(look: Look, version: Version): Promise<number | undefined> {
    const { module, via, hasInfo } = look;
    const stamp = pseudoVersionTime(version);
    if (stamp !== undefined) return stamp.getTime();
    const isStored = hasInfo.has(escapeVersion(version));
    // Where one can't be asked for, the next one could not either.
    const mayFetch = look.mayFetch && look.failure === undefined && look.fetches < AGE_FETCHES_MAX;
    if (!isStored && !mayFetch) {
      look.isWhole = false;
      return undefined;
    }
    if (!isStored) look.fetches += 1;
    const resource = { kind: 'info', module, version } as const;
    try {
      const ask = { resource, key: resourceKey(resource), mayFetch, isHead: false, via };
      const answer = await this.#options.modules.get(ask);
      if (answer.status !== 200) throw new NotFound('no such version');
      return await this.publishedMs(module, version, {
        info: textOf(await wholeAnswer(answer)),
        absentMs: look.absentMs,
      });
    } catch (error) {
      if (!isServeError(error)) throw error;
      if (error.kind === 'not-found' || error.kind === 'gone')
        look.untilMs = Math.min(look.untilMs, this.#options.clock.wallMs() + ABSENT_AGAIN_MS);
      else look.failure ??= error;
      return undefined;
    }
  }
}
