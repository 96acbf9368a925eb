/**
 * Keeps a server's store within its bound: drops what was not used for longest, and gives room back to the disk.
 *
 * It is woken by commits, so that it keeps up with any writer, and works in short steps with a rest after each, so that
 * clients' reads and writes come in between. Zips and build outputs go by the same age; outputs of the last day, which
 * running builds may need, only when no zip is left.
 */

import { setTimeout as rest } from 'node:timers/promises';
import { messageOf } from '../core/errors.ts';
import { BUILD_CACHE_KEPT_MS, MiB } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import type { ZipEviction } from '../modules/zip-eviction.ts';
import type { Events } from '../observe/events.ts';
import type { SizeBound } from '../workers/size-bound.ts';

export type RoomKeeperOptions = {
  readonly store: Pick<Store, 'expireActions' | 'shrink'>;
  readonly bound: SizeBound;
  readonly zips: ZipEviction;
  readonly clock: Clock;
  readonly events: Pick<Events, 'evicted' | 'evictionEnded' | 'housekeepingFailed'>;
  /** Bytes that build outputs may have in any case. */
  readonly buildCacheBytesMax: number;
};

/** Bytes dropped in one step. At double, clients' answers wait longer (bench/eviction.ts); at half, steps cost more than rows. */
const STEP_BYTES = 8 * MiB;

/** After a step it rests so many times as long as the step took, unless downloads wait for room. */
const REST_TIMES = 4;
const REST_MS_MAX = 500;

/** The same of steps that give room back to the disk. They cost ten times as much a byte, and nobody waits for them. */
const SHRINK_REST_TIMES = 10;

/** Where nothing can be dropped now it looks so often again before the store is full: answers end, and downloads. */
const TRIES = 5;
const TRY_AGAIN_MS = 200;

/** A full store is looked at again after so long. */
const FULL_AGAIN_MS = 5_000;

export class RoomKeeper {
  readonly #options: RoomKeeperOptions;
  #running: Promise<void> | undefined;
  #isClosed = false;
  #notBeforeMs = 0;

  constructor(options: RoomKeeperOptions) {
    this.#options = options;
    options.bound.onChange = () => this.look();
  }

  /** Begins to make room if there is too little. */
  look(): void {
    const { bound, clock } = this.#options;
    if (this.#running !== undefined || this.#isClosed) return;
    const isNeeded = bound.isHigh || bound.isTooLong;
    if (!isNeeded || clock.monotonicMs() < this.#notBeforeMs) return;
    this.#running = this.#keep().finally(() => {
      this.#running = undefined;
    });
  }

  /** What is in housekeeping's rounds: blobs that a crash, or a slow client, left behind. */
  async tidy(): Promise<void> {
    await this.#options.zips.dropLeaving();
    this.look();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.bound.setStuck(true); // Nobody waits for room any more.
    await this.#running;
  }

  async #keep(): Promise<void> {
    const { bound, clock, events } = this.#options;
    try {
      if (bound.isHigh && !(await this.#makeRoom())) {
        this.#notBeforeMs = clock.monotonicMs() + FULL_AGAIN_MS;
      }
      await this.#shrink();
    } catch (error) {
      this.#notBeforeMs = clock.monotonicMs() + FULL_AGAIN_MS;
      bound.setStuck(true);
      if (!this.#isClosed) events.housekeepingFailed(`cannot make room: ${messageOf(error)}`);
    }
  }

  /** @returns false if there is nothing left that may go */
  async #makeRoom(): Promise<boolean> {
    const { bound, zips, events } = this.#options;
    let round = zips.round();
    let tries = 0;
    let bytes = 0;
    while (bound.bytesOverLow > 0 && !this.#isClosed) {
      const dropped = await this.#paced(() => this.#step(round, Math.min(STEP_BYTES, bound.bytesOverLow)));
      bytes += dropped;
      if (dropped > 0) {
        bound.setStuck(false);
        tries = 0;
      } else if (++tries > TRIES) {
        bound.setStuck(true);
        return false;
      } else {
        await rest(TRY_AGAIN_MS);
        round = zips.round();
      }
    }
    events.evictionEnded(bytes);
    return true;
  }

  /** @returns bytes dropped */
  async #step(round: ReturnType<ZipEviction['round']>, bytesMax: number): Promise<number> {
    const { zips, events, clock } = this.#options;
    const evicted = await round.step(bytesMax);
    await zips.dropLeaving();
    if (evicted !== undefined) events.evicted('zip', evicted.files, evicted.bytes);
    if (evicted === undefined) {
      return this.#expire({ unusedMs: BUILD_CACHE_KEPT_MS, storedBytesMax: 0, mayDropRecent: true });
    }
    const unusedMs = clock.wallMs() - evicted.usedAtMs;
    if (unusedMs < BUILD_CACHE_KEPT_MS) return evicted.bytes;
    const { buildCacheBytesMax } = this.#options;
    return evicted.bytes + (await this.#expire({ unusedMs, storedBytesMax: buildCacheBytesMax }));
  }

  async #expire(how: { unusedMs: number; storedBytesMax: number; mayDropRecent?: boolean }): Promise<number> {
    const { store, clock, events } = this.#options;
    const { outputs, storedBytes } = await store.expireActions({ nowMs: clock.wallMs(), ...how });
    if (outputs > 0) events.evicted('output', outputs, storedBytes);
    return storedBytes;
  }

  async #shrink(): Promise<void> {
    const { store, bound } = this.#options;
    let isDone = false;
    while (!isDone && bound.isTooLong && !this.#isClosed) {
      ({ isDone } = await this.#paced(() => store.shrink({ bytesMax: bound.bytesMax }), SHRINK_REST_TIMES));
    }
  }

  async #paced<T>(step: () => Promise<T>, restTimes = REST_TIMES): Promise<T> {
    const { clock, bound } = this.#options;
    const startMs = clock.monotonicMs();
    const result = await step();
    const tookMs = clock.monotonicMs() - startMs;
    if (!bound.isWaiting) await rest(Math.min(REST_MS_MAX, tookMs * restTimes));
    return result;
  }
}
