/** A bound that is waited for: so much may be out at one time. */

export class Allowance {
  readonly #max: number;
  #out = 0;
  #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  get out(): number {
    return this.#out;
  }

  /** Waits until there is some left; what is then taken may pass the bound once. */
  async room(): Promise<void> {
    while (this.#out >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  take(amount: number): void {
    this.#out += amount;
  }

  give(amount: number): void {
    this.#out -= amount;
    if (this.#out >= this.#max) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
