/** A wait for news that carries no value: each waiter looks for itself what has changed. */

export class WakeUp {
  #waiting: (() => void)[] = [];

  /** Until the next {@link call}. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Wakes all who wait now. */
  call(): void {
    if (this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
