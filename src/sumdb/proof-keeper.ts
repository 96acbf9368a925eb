/**
 * What an offline client needs, fetched while the line is there.
 *
 * A lookup goes out with the newest head H; its client then asks for the tiles that prove the
 * record in H, and H over the head it has. The first are H's right edge and the record's own path;
 * the second, for every head that passed through here, are there when each head's step to the next
 * was fetched: a tile that changed between an earlier head and H was on the edge of some head between.
 */

import { messageOf } from '../core/errors.ts';
import type { Events } from '../observe/events.ts';
import type { Tile } from './tile.ts';
import { edgeTiles, recordTiles, treeTiles } from './tile-plan.ts';

export type ProofKeeperOptions = {
  /** Brings a tile into the store, if it is not there in that width already. */
  readonly ensure: (tile: Tile) => Promise<void>;
  readonly events: Events;
};

/** Steps that wait for their tiles; past it the oldest is dropped: a later lookup brings its tiles again. */
const QUEUE_MAX = 10_000;

export class ProofKeeper {
  readonly #options: ProofKeeperOptions;
  readonly #queue: Tile[][] = [];
  #working: Promise<void> | undefined;
  #size = 0;

  constructor(options: ProofKeeperOptions) {
    this.#options = options;
  }

  /** The newest head has `size` records now, and record `id` was proven in it. */
  note(size: number, id: number | undefined): void {
    if (size !== this.#size) {
      const earlier = this.#size;
      this.#size = size;
      this.#add(earlier > 0 && earlier < size ? treeTiles(size, earlier) : edgeTiles(size));
    }
    if (id !== undefined) this.#add(recordTiles(size, id));
  }

  /** When all that is queued is there, or was given up. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  #add(tiles: Tile[]): void {
    if (this.#queue.length >= QUEUE_MAX) this.#queue.shift();
    this.#queue.push(tiles);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    for (let tiles = this.#queue.shift(); tiles !== undefined; tiles = this.#queue.shift()) {
      try {
        await Promise.all(tiles.map((tile) => this.#options.ensure(tile)));
      } catch (error) {
        this.#options.events.housekeepingFailed(`cannot fetch proof tiles: ${messageOf(error)}`);
      }
    }
    this.#working = undefined;
  }
}
