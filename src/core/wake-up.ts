/** A wake-up without a value: each waiter looks itself for the change that it waits for. */

export class WakeUp {
  #waiting: (() => void)[] = [];

  /** Resolves at the next {@link call}. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Wakes all waiters. */
  call(): void {
    if (this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
