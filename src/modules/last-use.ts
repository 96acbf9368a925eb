/**
 * Times of last use, gathered to spare SD cards. A key's time is written at most once an hour. One call writes all
 * times since the last flush.
 */

import type { Store } from '../core/store-port.ts';

/** A use is noted only if the stored time is this old. */
const GRAIN_MS = 3_600_000;

/** Keys that wait for one write. Beyond this a key is noted at a later use. */
const KEYS_MAX = 20_000;

export class LastUse {
  readonly #keys = new Set<string>();

  /** Notes a use of the file under `key`. `usedAtMs` holds the time of its last noted use. */
  note(key: string, file: { usedAtMs: number }, nowMs: number): void {
    if (Math.abs(nowMs - file.usedAtMs) < GRAIN_MS || this.#keys.size >= KEYS_MAX) return;
    file.usedAtMs = nowMs;
    this.#keys.add(key);
  }

  /** Writes the noted times. Fails as the store does. */
  async flush(store: Pick<Store, 'touch'>, nowMs: number): Promise<void> {
    if (this.#keys.size === 0) return;
    const keys = Array.from(this.#keys);
    this.#keys.clear();
    await store.touch({ keys, nowMs });
  }
}
