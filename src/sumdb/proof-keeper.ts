/**
 * Fetches the tiles that offline clients will need, while the line works.
 *
 * A lookup goes out with the newest tree head H. Its client asks for the tiles that prove two things:
 *
 * - The record is in H. The tiles are H's right edge and the record's own path.
 * - H continues the tree that the client knows. It is enough to fetch the tiles of each step from one tree head to the
 *   next. A tile that changed between an earlier head and H was at the right edge of some head in between.
 */

import { messageOf } from '../core/errors.ts';
import type { Events } from '../observe/events.ts';
import type { Tile } from './tile.ts';
import { edgeTiles, recordTiles, treeTiles } from './tile-plan.ts';

export type ProofKeeperOptions = {
  /** Fetches a tile into the store, unless it is stored in that width. */
  readonly ensure: (tile: Tile) => Promise<void>;
  readonly events: Events;
};

/**
 * Steps that wait for their tiles, about 100 bytes each. Beyond this the oldest is dropped. Its verification has mostly
 * stored its tiles already. At half, forty clients on a slow line lose some.
 */
const QUEUE_MAX = 10_000;

/** One proof in a tree of `size` records: of record `id`, of an earlier tree, or of the tree head itself. */
type Step = { readonly size: number; readonly id?: number; readonly earlier?: number };

export class ProofKeeper {
  readonly #options: ProofKeeperOptions;
  readonly #queue: Step[] = [];
  #working: Promise<void> | undefined;
  #size = 0;

  constructor(options: ProofKeeperOptions) {
    this.#options = options;
  }

  /** Tells that the newest tree has `size` records now, and that record `id` was proven in it. */
  note(size: number, id: number | undefined): void {
    if (size !== this.#size) {
      const earlier = this.#size;
      this.#size = size;
      this.#add(earlier > 0 && earlier < size ? { size, earlier } : { size });
    }
    if (id !== undefined) this.#add({ size, id });
  }

  /** Drops all queued steps and starts again, as their tree was forgotten. */
  reset(): void {
    this.#queue.length = 0;
    this.#size = 0;
  }

  /** Resolves when all queued steps are done or failed. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  #add(step: Step): void {
    if (this.#queue.length >= QUEUE_MAX) this.#queue.shift();
    this.#queue.push(step);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    for (let step = this.#queue.shift(); step !== undefined; step = this.#queue.shift()) {
      try {
        await Promise.all(tilesOf(step).map((tile) => this.#options.ensure(tile)));
      } catch (error) {
        this.#options.events.housekeepingFailed(`cannot fetch proof tiles: ${messageOf(error)}`);
      }
    }
    this.#working = undefined;
  }
}

function tilesOf({ size, id, earlier }: Step): Tile[] {
  if (id !== undefined) return recordTiles(size, id);
  return earlier === undefined ? edgeTiles(size) : treeTiles(size, earlier);
}
