/**
 * The prefetches that run over one cache. Sessions of one command that run together share one: a plugin server's line is
 * too slow to carry the same outputs twice.
 */

import { PREFETCH_SHARED_MS, PREFETCHES_MAX } from './limits.ts';
import type { Prefetch } from './prefetch.ts';
import type { CommandName } from './session-name.ts';

export type PrefetchesDoors = {
  readonly open: (name: CommandName) => Prefetch;
  /** One that nobody uses any more. */
  readonly onOver: (prefetch: Prefetch) => void;
  readonly now: () => number;
};

type Shared = { readonly key: string; readonly openedAtMs: number; users: number };

export class Prefetches {
  readonly #doors: PrefetchesDoors;
  readonly #shared = new Map<Prefetch, Shared>();
  /** The newest one of each key. */
  readonly #byKey = new Map<string, Prefetch>();

  constructor(doors: PrefetchesDoors) {
    this.#doors = doors;
  }

  /** Starts to fetch what such a command asks for, or joins who does. Undefined: too many run. Whoever got one leaves it. */
  join(name: CommandName): Prefetch | undefined {
    const running = this.#byKey.get(name.key);
    const shared = running && this.#shared.get(running);
    if (running !== undefined && shared !== undefined && this.#isFresh(running, shared)) {
      shared.users++;
      return running;
    }
    if (this.#shared.size >= PREFETCHES_MAX) return undefined;
    const { open, now } = this.#doors;
    const prefetch = open(name);
    this.#shared.set(prefetch, { key: name.key, openedAtMs: now(), users: 1 });
    this.#byKey.set(name.key, prefetch);
    return prefetch;
  }

  /** The last one to leave ends it. */
  leave(prefetch: Prefetch): void {
    const shared = this.#shared.get(prefetch);
    if (shared === undefined || --shared.users > 0) return;
    this.#shared.delete(prefetch);
    if (this.#byKey.get(shared.key) === prefetch) this.#byKey.delete(shared.key);
    prefetch.close();
    this.#doors.onOver(prefetch);
  }

  /** An older one lacks what others have put since. While it runs, another one would bring most of it again. */
  #isFresh(prefetch: Prefetch, { openedAtMs }: Shared): boolean {
    return !prefetch.isOver || this.#doors.now() - openedAtMs < PREFETCH_SHARED_MS;
  }
}
