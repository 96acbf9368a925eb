/**
 * First sights of versions: when a list of a known module gets a new version, that one is no older than the last list without
 * it. Its author can't choose that time, as he can the one in its `.info`.
 */

import { messageOf } from '../core/errors.ts';
import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import { escapeModulePath, type ModulePath } from '../core/module-path.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import { escapeVersion } from '../core/version.ts';
import { versionsOn } from '../core/version-list.ts';
import type { Events } from '../observe/events.ts';
import type { ListChange } from './fetcher.ts';
import { LISTED_VERSIONS_MAX } from './limits.ts';

export type SightingsOptions = {
  readonly store: Pick<Store, 'getSightings' | 'noteSightings'>;
  readonly clock: Clock;
  readonly events: Pick<Events, 'housekeepingFailed'>;
};

export class Sightings {
  readonly #options: SightingsOptions;
  #noted: Promise<unknown> = Promise.resolve();

  constructor(options: SightingsOptions) {
    this.#options = options;
  }

  /** Notes the versions that a list has got. */
  note({ module, before, beforeMs, after }: ListChange): void {
    const { clock, events } = this.#options;
    // A time of the future was taken by another clock.
    if (beforeMs === 0 || beforeMs > clock.wallMs()) return;
    const [had, has] = [linesOf(before), linesOf(after)];
    if (had.length > LISTED_VERSIONS_MAX || has.length > LISTED_VERSIONS_MAX) return;
    const known = new Set(versionsOn(had));
    const versions = versionsOn(has).filter((version) => !known.has(version));
    if (versions.length === 0) return;
    const write = this.#write(module, versions.map(escapeVersion), beforeMs).catch((error: unknown) =>
      events.housekeepingFailed(`cannot note versions of ${module}: ${messageOf(error)}`),
    );
    this.#noted = Promise.all([this.#noted, write]).then(() => {}); // Else each would keep all before it.
  }

  /** By escaped version, the time at which the module's list did not have it yet: Unix time. */
  async of(module: ModulePath): Promise<ReadonlyMap<string, number>> {
    await this.#noted;
    const { store, clock } = this.#options;
    const { sightings } = await store.getSightings({ module: escapeModulePath(module) });
    const nowMs = clock.wallMs();
    const credible = sightings.filter(({ absentAtMs }) => absentAtMs <= nowMs);
    return new Map(credible.map(({ version, absentAtMs }) => [version, absentAtMs]));
  }

  async #write(module: ModulePath, versions: readonly string[], absentAtMs: number): Promise<void> {
    const escaped = escapeModulePath(module);
    for (let at = 0; at < versions.length; at += KEYS_PER_CALL_MAX) {
      const some = versions.slice(at, at + KEYS_PER_CALL_MAX);
      await this.#options.store.noteSightings({ module: escaped, versions: some, absentAtMs });
    }
  }
}

function linesOf(list: Uint8Array): string[] {
  return new TextDecoder().decode(list).split('\n');
}
