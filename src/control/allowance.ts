/** A bound that is waited for: so much may be out at one time. */

import { WakeUp } from '../core/wake-up.ts';

export class Allowance {
  readonly #max: number;
  #out = 0;
  readonly #given = new WakeUp();

  constructor(max: number) {
    this.#max = max;
  }

  get out(): number {
    return this.#out;
  }

  /** Waits until there is some left. The next `take` may pass the bound once. */
  async waitForRoom(): Promise<void> {
    while (this.#out >= this.#max) await this.#given.next();
  }

  take(amount: number): void {
    this.#out += amount;
  }

  give(amount: number): void {
    this.#out -= amount;
    if (this.#out < this.#max) this.#given.call();
  }
}
