/**
 * Last-use times, coalesced: an SD card is below. A key is written at most once an hour,
 * and all that were used since the last look go in one call.
 */

import type { Store } from '../core/store-port.ts';

/** Times older than this are worth a write. */
const GRAIN_MS = 3_600_000;

/** Keys waiting for one write; past it new ones wait for their next use. */
const KEYS_MAX = 20_000;

export class LastUse {
  readonly #keys = new Set<string>();

  /** What is stored under `key` was used; `file` knows when that was last noted. */
  note(key: string, file: { usedAtMs: number }, nowMs: number): void {
    if (Math.abs(nowMs - file.usedAtMs) < GRAIN_MS || this.#keys.size >= KEYS_MAX) return;
    file.usedAtMs = nowMs;
    this.#keys.add(key);
  }

  /** Writes what gathered. */
  async flush(store: Pick<Store, 'touch'>, nowMs: number): Promise<void> {
    if (this.#keys.size === 0) return;
    const keys = Array.from(this.#keys);
    this.#keys.clear();
    await store.touch({ keys, nowMs });
  }
}
