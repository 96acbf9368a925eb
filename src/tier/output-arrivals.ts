/**
 * Outputs of a chunk as their bytes come, on their way into the store. A small one is stored while the next ones come, a large one
 * piece by piece.
 */

import { isServeError, StoreFailed } from '../core/errors.ts';
import type { Gate } from '../core/gate.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { Store } from '../core/store-port.ts';
import type { PackRow } from '../packs/pack-index.ts';
import { Handover } from './handover.ts';

export type KeepOutputs = {
  /** Stores an output whose bytes come plain. @throws {BadRequest} they are of another output. @throws {TooLarge} */
  readonly keepOutput: (outputId: string, body: AsyncIterable<Uint8Array>) => Promise<unknown>;
  /** The same with all of its bytes, which are given away: at most CHUNK_BYTES. */
  readonly keepSmallOutput: (outputId: string, bytes: Uint8Array) => Promise<unknown>;
};

export type OutputArrivalsOptions = KeepOutputs & {
  readonly store: Pick<Store, 'waitForRoom'>;
  /** Bounds the outputs that are on their way. */
  readonly gate: Gate;
  /** A row's output is stored. */
  readonly onStored: (row: PackRow) => Promise<void>;
  /** It will not be. `isWrong`: what came for the row is not its output. */
  readonly onLost: (row: PackRow, isWrong: boolean) => void;
};

/** Takes the outputs of one chunk, one after the other. */
export type Arrival = {
  /** A part of a row's output. Resolves when the bytes may be used for something else. Never rejects. */
  take(row: PackRow, bytes: Uint8Array): Promise<void>;
  /** No more comes: an output that is not whole is dropped. */
  end(): void;
};

export class OutputArrivals {
  readonly #options: OutputArrivalsOptions;
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: OutputArrivalsOptions) {
    this.#options = options;
  }

  begin(): Arrival {
    let taking: { readonly row: PackRow; readonly output: Taking } | undefined;
    return {
      take: async (row, bytes) => {
        if (taking?.row !== row) {
          taking?.output.drop();
          await this.#options.gate.enter();
          taking = { row, output: row.size <= CHUNK_BYTES ? this.#small(row) : this.#large(row) };
        }
        await taking.output.take(bytes);
        if (taking.output.isWhole) taking = undefined;
      },
      end: () => taking?.output.drop(),
    };
  }

  /** A row whose output has no bytes. */
  async takeEmpty(row: PackRow): Promise<void> {
    await this.#options.gate.enter();
    this.#keep(row, () => this.#options.keepSmallOutput(row.outputId, new Uint8Array(0)));
  }

  /** Resolves when what came is stored, or will not be. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #small(row: PackRow): Taking {
    const { gate, store, keepSmallOutput } = this.#options;
    const whole = new Uint8Array(row.size);
    let filled = 0;
    return {
      get isWhole() {
        return filled === row.size;
      },
      take: async (bytes) => {
        whole.set(bytes, filled);
        filled += bytes.byteLength;
        if (filled < row.size) return;
        this.#keep(row, async () => {
          await store.waitForRoom();
          await keepSmallOutput(row.outputId, whole);
        });
      },
      drop: () => gate.leave(),
    };
  }

  #large(row: PackRow): Taking {
    const { keepOutput } = this.#options;
    const body = new Handover();
    let taken = 0;
    this.#keep(row, () => keepOutput(row.outputId, body));
    return {
      get isWhole() {
        return taken === row.size;
      },
      take: async (bytes) => {
        await body.put(bytes);
        taken += bytes.byteLength;
        if (taken === row.size) body.end();
      },
      drop: () =>
        body.fail(new StoreFailed(`cannot take output ${row.outputId}: the rest of it did not come`)),
    };
  }

  /** In a place of the gate, which it gives back. */
  #keep(row: PackRow, keep: () => Promise<unknown>): void {
    const { gate, onStored, onLost } = this.#options;
    const kept = keep()
      .then(() => onStored(row))
      .catch((error: unknown) => {
        if (!isServeError(error)) throw error;
        onLost(row, error.kind === 'bad-request' || error.kind === 'too-large');
      })
      .finally(() => {
        gate.leave();
        this.#underWay.delete(kept);
      });
    this.#underWay.add(kept);
  }
}

/** One output. It has a place of the gate: what is neither whole nor dropped keeps it. */
type Taking = {
  readonly isWhole: boolean;
  take(bytes: Uint8Array): Promise<void>;
  drop(): void;
};
