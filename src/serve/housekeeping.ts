/** What a server does beside its answers: it writes last uses, drops what is past its bound, and keeps room in the store. */

import type { Logins } from '../access/logins.ts';
import { expireBuildCache } from '../buildcache/expiry.ts';
import { messageOf } from '../core/errors.ts';
import type { Events } from '../observe/events.ts';
import type { Config } from '../settings/config.ts';
import type { ThreadStore } from '../workers/thread-store.ts';
import { clock } from './clock.ts';
import { RoomKeeper } from './room-keeper.ts';
import { pinnedBy, type Services } from './services.ts';
import type { ServerStatus } from './status.ts';

/** Between two rounds; the status page counts by the minute. */
const ROUND_MS = 60_000;

/** Of free pages given back in a round: 4 MiB. */
const STEPS = 4;

type Parts = {
  readonly store: ThreadStore;
  readonly services: Pick<Services, 'vulndb' | 'zips' | 'cache' | 'lastUse' | 'usedActions'>;
  readonly events: Events;
  readonly logins: Logins | undefined;
  readonly status: Pick<ServerStatus, 'turnMinute'>;
};

export class Housekeeping {
  readonly #config: Config;
  readonly #parts: Parts;
  readonly #room: RoomKeeper;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #isClosed = false;

  constructor(config: Config, parts: Parts) {
    this.#config = config;
    this.#parts = parts;
    const { store, services, events } = parts;
    const { bound } = store;
    this.#room = new RoomKeeper({ ...config, store, bound, zips: services.zips, clock, events });
  }

  /** To be called before anything is stored. */
  async start(): Promise<void> {
    const { storeBytesMax } = this.#config;
    await this.#parts.store.keepWithin({
      ...(storeBytesMax !== undefined && { bytesMax: storeBytesMax }),
      pinned: pinnedBy(this.#config),
    });
    this.#room.look();
    this.#timer = setInterval(() => this.#begin(), ROUND_MS);
  }

  /** Before the store closes. A round that is under way ends with its step. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#room.close();
    await this.#round;
    const { lastUse, usedActions, zips, cache } = this.#parts.services;
    await zips.dropLeaving().catch(() => {});
    cache.tellUses();
    await lastUse.close(clock.wallMs()).catch(() => {});
    await usedActions.close(clock.wallMs()).catch(() => {});
  }

  #begin(): void {
    const { services, logins, status } = this.#parts;
    logins?.sweep();
    void status.turnMinute();
    // Beside the round, as it waits for the network.
    services.vulndb?.lookForNews().catch((error: unknown) => this.#note(error));
    // On a slow disk a round may take longer than the time between two. Then the next one begins with a later minute.
    this.#round ??= this.#keep().finally(() => {
      this.#round = undefined;
    });
  }

  /** A step that fails keeps none of the others from being done: a full store takes no last uses, and must get room. */
  async #keep(): Promise<void> {
    for (const step of this.#steps()) {
      if (this.#isClosed) return;
      await step().catch((error: unknown) => this.#note(error));
    }
  }

  /** What a round does, in order. */
  #steps(): readonly (() => Promise<unknown>)[] {
    const { store, services } = this.#parts;
    const { buildCacheBytesMax, buildCacheExpiryMs, storeBytesMax } = this.#config;
    const bounds = { unusedMs: buildCacheExpiryMs, storedBytesMax: buildCacheBytesMax };
    return [
      () => services.lastUse.flush(clock.wallMs()),
      () => services.usedActions.flush(clock.wallMs()),
      () => store.tidy({ nowMs: clock.wallMs() }),
      () => expireBuildCache({ store, clock, ...bounds, isWanted: () => !this.#isClosed }),
      () => this.#room.tidy(),
      // With a bound, free pages are for what comes next.
      ...(storeBytesMax === undefined ? [() => this.#giveBack()] : []),
    ];
  }

  async #giveBack(): Promise<void> {
    let isDone = false;
    for (let step = 0; step < STEPS && !isDone && !this.#isClosed; step++)
      ({ isDone } = await this.#parts.store.shrink({ bytesMax: 0 }));
  }

  #note(error: unknown): void {
    if (!this.#isClosed) this.#parts.events.housekeepingFailed(messageOf(error));
  }
}
