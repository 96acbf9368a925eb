/**
 * Chunks of packs on their way into the store: some at one time, the one that is needed first before all others. Each output is
 * stored as it comes, if it is what its name says, and then its actions are.
 *
 * All clients share what is under way. An action that comes already is not fetched again.
 */

import { isServeError } from '../core/errors.ts';
import { Gate } from '../core/gate.ts';
import type { ObjectRead, ObjectStore } from '../core/object-store.ts';
import type { Clock } from '../core/ports.ts';
import type { ComingRow, SharedWish } from '../core/shared-sets.ts';
import type { Store } from '../core/store-port.ts';
import { ChunkReading } from '../packs/chunk-reading.ts';
import { type PackIndex, type PackRow, packChunkKey } from '../packs/pack-index.ts';
import { type Part, planReading } from '../packs/reading-plan.ts';
import { ZstdUnpacker } from '../packs/zstd-streams.ts';
import { keepAction } from './kept-action.ts';
import {
  PACK_BRING_BYTES_MAX,
  PACK_CHUNKS_READ_MAX,
  PACK_COMING_MAX,
  PACK_OUTPUTS_MAX,
  PACK_TRIES,
} from './limits.ts';
import { type KeepOutputs, OutputArrivals } from './output-arrivals.ts';
import type { PackIndexes } from './pack-indexes.ts';
import type { WrongObjects } from './wrong-objects.ts';

export type PackArrivalsOptions = KeepOutputs & {
  readonly bucket: Pick<ObjectStore, 'get'>;
  readonly store: Pick<Store, 'putAction' | 'waitForRoom' | 'full'>;
  readonly indexes: Pick<PackIndexes, 'noteWrongRow'>;
  readonly wrong: WrongObjects;
  readonly clock: Clock;
};

type Coming = { readonly landed: Promise<boolean>; readonly settle: (isStored: boolean) => void };

export class PackArrivals {
  readonly #options: PackArrivalsOptions;
  readonly #chunks = new Gate({ placesMax: PACK_CHUNKS_READ_MAX, queueMax: Infinity, full: '' });
  readonly #outputs = new Gate({ placesMax: PACK_OUTPUTS_MAX, queueMax: Infinity, full: '' });
  /** By the action's ID. */
  readonly #coming = new Map<string, Coming>();

  constructor(options: PackArrivalsOptions) {
    this.#options = options;
  }

  /** Undefined: the action is not on its way. */
  landing(actionId: string): Promise<boolean> | undefined {
    return this.#coming.get(actionId)?.landed;
  }

  /** Begins to bring what an index has and the store has not. @returns that, in the order in which it comes */
  bring(index: PackIndex, { isHere, bytesMax }: SharedWish): readonly ComingRow[] {
    const joined = index.rows.flatMap((row) => {
      const landed = this.landing(row.actionId);
      return landed === undefined || isHere(row.actionId) ? [] : [{ ...row, landed }];
    });
    if (this.#coming.size >= PACK_COMING_MAX) return joined;
    const { parts, others, wrong } = planReading({
      index,
      isHere: (actionId) => this.#coming.has(actionId) || isHere(actionId),
      bytesMax: Math.min(bytesMax, PACK_BRING_BYTES_MAX),
    });
    for (const row of wrong)
      this.#options.indexes.noteWrongRow(row, 'it begins before the end of another output');
    const rows = [...parts.flatMap((part) => part.rows), ...others];
    const landings = rows.map((row) => {
      const { promise: landed, resolve: settle } = Promise.withResolvers<boolean>();
      this.#coming.set(row.actionId, { landed, settle });
      return { ...row, landed };
    });
    void this.#bring(parts, rows);
    return [...joined, ...landings];
  }

  async #bring(parts: readonly Part[], rows: readonly PackRow[]): Promise<void> {
    const byOutput = Map.groupBy(rows, ({ outputId }) => outputId);
    const { indexes } = this.#options;
    const onLost = (row: PackRow) => {
      for (const { actionId } of byOutput.get(row.outputId) ?? []) this.#settle(actionId, false);
    };
    const arrivals = new OutputArrivals({
      ...this.#options,
      gate: this.#outputs,
      onStored: ({ outputId }) => this.#keepActions(byOutput.get(outputId) ?? []),
      onLost: (row, isWrong) => {
        if (isWrong) indexes.noteWrongRow(row, 'not the output that its index names');
        onLost(row);
      },
    });
    try {
      // All of them have one output, which brings all their actions.
      for (const [first] of byOutput.values()) if (first?.size === 0) await arrivals.takeEmpty(first);
      await this.#readParts(parts, arrivals, onLost);
    } catch (error) {
      if (!isServeError(error)) throw error;
    } finally {
      for (const { actionId } of rows) this.#settle(actionId, false);
    }
  }

  /** @throws {UpstreamDown} {UpstreamFailed} {Busy} after what was read is on its way */
  async #readParts(
    parts: readonly Part[],
    arrivals: OutputArrivals,
    onLost: (row: PackRow) => void,
  ): Promise<void> {
    const waiting = parts[Symbol.iterator]();
    let failure: unknown;
    const lane = async () => {
      for (const part of waiting) {
        await this.#chunks.enter();
        try {
          if (failure !== undefined || this.#options.store.full !== undefined) return;
          for (const row of await this.#readPart(part, arrivals)) onLost(row);
        } catch (error) {
          failure ??= error;
        } finally {
          this.#chunks.leave();
        }
      }
    };
    await Promise.all(Array.from({ length: PACK_CHUNKS_READ_MAX }, lane));
    await arrivals.settled();
    if (failure !== undefined) throw failure;
  }

  /** @returns the rows that do not come. @throws {UpstreamDown} {UpstreamFailed} {Busy} */
  async #readPart(part: Part, arrivals: OutputArrivals): Promise<readonly PackRow[]> {
    const { bucket, wrong } = this.#options;
    const key = packChunkKey(part.chunk.sha256);
    const unpacker = new ZstdUnpacker();
    const arrival = arrivals.begin();
    const reading = new ChunkReading(part, unpacker, (row, bytes) => arrival.take(row, bytes));
    try {
      for (let tries = 1; ; tries++) {
        try {
          const object = await bucket.get(key);
          if (object === undefined) wrong.note(key, 'it is gone');
          else if (!(await isRead(object, part, reading))) wrong.note(key, 'not what its name says');
          return reading.left;
        } catch (error) {
          if (!isServeError(error) || tries >= PACK_TRIES) throw error;
        }
      }
    } finally {
      arrival.end();
      unpacker.close();
    }
  }

  /** Of an output that is stored. */
  async #keepActions(rows: readonly PackRow[]): Promise<void> {
    const kept = rows.map(async (row) => this.#settle(row.actionId, await keepAction(this.#options, row)));
    await Promise.all(kept);
  }

  #settle(actionId: string, isStored: boolean): void {
    this.#coming.get(actionId)?.settle(isStored);
    this.#coming.delete(actionId);
  }
}

/** False: the chunk is not what its name says. @throws {UpstreamDown} its body broke */
async function isRead({ size, body }: ObjectRead, part: Part, reading: ChunkReading): Promise<boolean> {
  if (size === part.chunk.storedBytes) return reading.read(body);
  const pieces = body[Symbol.asyncIterator]();
  await pieces.next(); // Only a body that was begun can be ended.
  await pieces.return?.();
  return false;
}
