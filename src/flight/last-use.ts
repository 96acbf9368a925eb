/**
 * Times of last use, gathered to spare SD cards. A time is written at most once an hour, and all times since the last
 * flush go in few calls.
 */

import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import { LAST_USES_MAX } from './limits.ts';

/** A use is noted only if the stored time is this old. */
const GRAIN_MS = 3_600_000;

export class LastUse<Name> {
  /** Sets the last-use time of up to KEYS_PER_CALL_MAX names. */
  readonly #write: (names: Name[], nowMs: number) => Promise<unknown>;
  /** Two names are one if this text is the same. */
  readonly #idOf: (name: Name) => string;
  /** By their ids. */
  readonly #names = new Map<string, Name>();

  constructor(
    write: (names: Name[], nowMs: number) => Promise<unknown>,
    idOf: (name: Name) => string = String,
  ) {
    this.#write = write;
    this.#idOf = idOf;
  }

  /**
   * Notes a use of the file with that name.
   *
   * @param file `usedAtMs` holds the time of its last noted use
   */
  note(name: Name, file: { usedAtMs: number }, nowMs: number): void {
    if (Math.abs(nowMs - file.usedAtMs) < GRAIN_MS || this.#names.size >= LAST_USES_MAX) return;
    file.usedAtMs = nowMs;
    this.#names.set(this.#idOf(name), name);
  }

  /** Writes the noted times. Fails as the store does. */
  async flush(nowMs: number): Promise<void> {
    const names = Array.from(this.#names.values());
    this.#names.clear();
    for (let at = 0; at < names.length; at += KEYS_PER_CALL_MAX) {
      await this.#write(names.slice(at, at + KEYS_PER_CALL_MAX), nowMs);
    }
  }
}
