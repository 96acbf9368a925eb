/**
 * What was counted in each of the last minutes: differences of figures that only grow.
 *
 * Nothing is counted here. Somebody calls `turn` once a minute.
 */

import type { Minute, TotalName, Totals } from '../core/status.ts';
import { TOTALS } from '../core/status.ts';
import { MINUTES_KEPT } from './limits.ts';

export type MinutesOptions = {
  readonly totals: () => Promise<Totals>;
  /** Unix time. */
  readonly wallMs: () => number;
};

export class Minutes {
  readonly #options: MinutesOptions;
  readonly #over: Minute[] = [];
  #fromMs: number;
  #base: Partial<Totals> = {};

  constructor(options: MinutesOptions) {
    this.#options = options;
    this.#fromMs = options.wallMs();
  }

  /** Ends the current minute, and begins the next one. */
  async turn(): Promise<void> {
    const { totals, wallMs } = this.#options;
    const now = await totals();
    this.#over.push(this.#minute(now));
    if (this.#over.length >= MINUTES_KEPT) this.#over.shift();
    this.#base = now;
    this.#fromMs = wallMs();
  }

  /** The figures since the start, and at most MINUTES_KEPT minutes, the current one last. */
  async take(): Promise<{ readonly total: Totals; readonly hour: readonly Minute[] }> {
    const total = await this.#options.totals();
    return { total, hour: [...this.#over, this.#minute(total)] };
  }

  #minute(now: Totals): Minute {
    const counted: [TotalName, number][] = TOTALS.map((name) => [name, now[name] - (this.#base[name] ?? 0)]);
    return { fromMs: this.#fromMs, ...Object.fromEntries(counted.filter(([, count]) => count !== 0)) };
  }
}
