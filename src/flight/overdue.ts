/**
 * Tells whether the outside is silent: a refresh took longer than its client waits, it still runs, and no other
 * refresh has succeeded since.
 *
 * An upstream that takes requests and answers none counts as down only after minutes. A `go mod tidy` asks in about
 * a dozen rounds. With this class it waits for `--stale-wait` once, and not in each round.
 */

export class Overdue {
  readonly #running = new Set<Promise<unknown>>();

  /** True: a client that can have a stored file should not wait for a refresh now. */
  get isSilent(): boolean {
    return this.#running.size > 0;
  }

  /** Watches a refresh from its start: its success ends the silence. */
  watch(refresh: Promise<unknown>): void {
    refresh.then(
      () => this.#running.clear(),
      () => this.#running.delete(refresh),
    );
  }

  /** Tells that `refresh` took longer than its client waits. */
  add(refresh: Promise<unknown>): void {
    this.#running.add(refresh);
  }
}
