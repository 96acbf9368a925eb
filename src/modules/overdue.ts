/**
 * Whether the outside keeps us waiting: some refresh took longer than its client waits, still runs,
 * and no other has brought anything since.
 *
 * An upstream counts as down only after minutes of taking requests without answering any, and a
 * `go mod tidy` asks in a dozen rounds: with this it is `--stale-wait` late once, not at each round.
 */

export class Overdue {
  readonly #running = new Set<Promise<unknown>>();

  /** Clients of what is stored should not wait for a refresh now. */
  get isSilent(): boolean {
    return this.#running.size > 0;
  }

  /** A refresh was begun. What it brings says that there is somebody. */
  watch(refresh: Promise<unknown>): void {
    refresh.then(
      () => this.#running.clear(),
      () => this.#running.delete(refresh),
    );
  }

  /** Its client did not wait for it. */
  add(refresh: Promise<unknown>): void {
    this.#running.add(refresh);
  }
}
