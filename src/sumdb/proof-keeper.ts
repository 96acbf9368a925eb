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

/**
 * Steps that wait for their tiles, some 100 bytes each. Past it the oldest is dropped: what it names was
 * mostly kept by the verification behind it. At half, a herd of forty on a slow line loses some.
 */
const QUEUE_MAX = 10_000;

/** What to prove in a tree of `size` records: a record, the tree of an earlier head, or the head itself. */
type Step = { readonly size: number; readonly id?: number; readonly earlier?: number };

export class ProofKeeper {
  readonly #options: ProofKeeperOptions;
  readonly #queue: Step[] = [];
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
      this.#add(earlier > 0 && earlier < size ? { size, earlier } : { size });
    }
    if (id !== undefined) this.#add({ size, id });
  }

  /** When all that is queued is there, or was given up. */
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
