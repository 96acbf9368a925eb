/** Says for each of many keys whether it is time to tell of it again. */

export class Seldom {
  readonly #pauseMs: number;
  readonly #keysMax: number;
  /** The time of the last word on each key, in the order of these times. */
  readonly #toldMs = new Map<string, number>();

  constructor({ pauseMs, keysMax }: { readonly pauseMs: number; readonly keysMax: number }) {
    this.#pauseMs = pauseMs;
    this.#keysMax = keysMax;
  }

  /** Whether nothing was told of `key` for the pause, which begins anew then. @param nowMs monotonic */
  isDue(key: string, nowMs: number): boolean {
    const toldMs = this.#toldMs.get(key);
    if (toldMs !== undefined && nowMs - toldMs < this.#pauseMs) return false;
    this.#toldMs.delete(key);
    this.#toldMs.set(key, nowMs);
    const [oldest] = this.#toldMs.keys();
    if (oldest !== undefined && this.#toldMs.size > this.#keysMax) this.#toldMs.delete(oldest);
    return true;
  }
}
