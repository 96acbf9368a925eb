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
    this.#timer = setInterval(() => void this.#round(), ROUND_MS);
  }

  /** Before the store closes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#room.close();
    const { lastUse, usedActions, zips, cache } = this.#parts.services;
    await zips.dropLeaving().catch(() => {});
    cache.tellUses();
    await lastUse.close(clock.wallMs()).catch(() => {});
    await usedActions.close(clock.wallMs()).catch(() => {});
  }

  async #round(): Promise<void> {
    const { store, services, events, logins, status } = this.#parts;
    const { buildCacheBytesMax, buildCacheExpiryMs, storeBytesMax } = this.#config;
    logins?.sweep();
    void status.turnMinute();
    try {
      await services.lastUse.flush(clock.wallMs());
      await services.usedActions.flush(clock.wallMs());
      await store.tidy({ nowMs: clock.wallMs() });
      await expireBuildCache({
        store,
        clock,
        unusedMs: buildCacheExpiryMs,
        storedBytesMax: buildCacheBytesMax,
      });
      await this.#room.tidy();
      await services.vulndb?.lookForNews();
      // With a bound, free pages are for what comes next.
      if (storeBytesMax === undefined) await this.#giveBack();
    } catch (error) {
      if (!this.#isClosed) events.housekeepingFailed(messageOf(error));
    }
  }

  async #giveBack(): Promise<void> {
    let isDone = false;
    for (let step = 0; step < STEPS && !isDone; step++)
      ({ isDone } = await this.#parts.store.shrink({ bytesMax: 0 }));
  }
}
