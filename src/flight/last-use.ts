/**
 * Times of last use, gathered to spare SD cards. A time is written at most once an hour, and all times since the last
 * flush go in few calls. Whoever needs to know better asks for the uses of this hour, which are in memory.
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
  /** The newest uses that came too soon after the last noted one to be written, in their order. */
  readonly #unwritten = new Map<string, { readonly name: Name; readonly atMs: number }>();

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
    const id = this.#idOf(name);
    if (Math.abs(nowMs - file.usedAtMs) < GRAIN_MS || this.#names.size >= LAST_USES_MAX) {
      this.#keepUnwritten(id, { name, atMs: nowMs });
      return;
    }
    file.usedAtMs = nowMs;
    this.#names.set(id, name);
    this.#unwritten.delete(id);
  }

  /** Whether there was a use that is not written, since the last call. */
  takeUnwritten(name: Name): boolean {
    return this.#unwritten.delete(this.#idOf(name));
  }

  /** Writes the noted times. Fails as the store does. */
  async flush(nowMs: number): Promise<void> {
    const names = Array.from(this.#names.values());
    this.#names.clear();
    await this.#writeAll(names, () => nowMs);
  }

  /** Writes all times, at the end. */
  async close(nowMs: number): Promise<void> {
    await this.flush(nowMs);
    const uses = Array.from(this.#unwritten.values());
    this.#unwritten.clear();
    await this.#writeAll(
      uses.map(({ name }) => name),
      (last) => uses[last]?.atMs ?? nowMs,
    );
  }

  /** @param atMs the time of the last one of a call */
  async #writeAll(names: Name[], atMs: (last: number) => number): Promise<void> {
    for (let at = 0; at < names.length; at += KEYS_PER_CALL_MAX) {
      const part = names.slice(at, at + KEYS_PER_CALL_MAX);
      await this.#write(part, atMs(at + part.length - 1));
    }
  }

  #keepUnwritten(id: string, use: { readonly name: Name; readonly atMs: number }): void {
    this.#unwritten.delete(id); // The newest are last.
    this.#unwritten.set(id, use);
    const [oldest] = this.#unwritten.size > LAST_USES_MAX ? this.#unwritten.keys() : [];
    if (oldest !== undefined) this.#unwritten.delete(oldest);
  }
}
