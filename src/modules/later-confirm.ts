/**
 * Confirms in the background what was kept while the checksum database could not be asked.
 *
 * What it contradicts is dropped: nothing stays for good that it does not confirm. What it does not
 * know is most likely private, though nobody named it so: it is asked about more and more rarely.
 */

import type { Checksums } from '../core/checksums.ts';
import { isServeError, messageOf } from '../core/errors.ts';
import { SUMDB_UNKNOWN_MS_MAX } from '../core/limits.ts';
import type { Clock } from '../core/ports.ts';
import { parseResource } from '../core/resource.ts';
import type { Store, UnconfirmedRow } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';
import type { Events } from '../observe/events.ts';

export type LaterConfirmOptions = {
  readonly store: Pick<Store, 'getUnconfirmed' | 'setTrust' | 'setUnknown' | 'dropEntry'>;
  readonly checksums: Checksums;
  readonly memory: Memory;
  readonly clock: Clock;
  readonly events: Events;
  /** The first wait before it is asked again about what it does not know; each later one is twice as long. */
  readonly unknownMs: number;
};

/** Keys of one round: a round a minute confirms a house's day of downloads in an hour. */
const ROUND_KEYS_MAX = 50;

export class LaterConfirm {
  readonly #options: LaterConfirmOptions;
  /** Where the last round ended: what no database knows must not hold up the rest. */
  #after = '';
  #running: Promise<number> | undefined;

  constructor(options: LaterConfirmOptions) {
    this.#options = options;
  }

  /** One round, or the one that runs. @returns how many keys are settled now */
  round(): Promise<number> {
    this.#running ??= this.#round().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #round(): Promise<number> {
    const { store, clock } = this.#options;
    const nowMs = clock.wallMs();
    const { rows } = await store.getUnconfirmed({ after: this.#after, limit: ROUND_KEYS_MAX, nowMs });
    this.#after = rows.length < ROUND_KEYS_MAX ? '' : (rows.at(-1)?.key ?? '');
    let settled = 0;
    for (const row of rows) settled += Number(await this.#settle(row));
    return settled;
  }

  async #settle(row: UnconfirmedRow): Promise<boolean> {
    const { key, h1 } = row;
    const { checksums, store, memory, events } = this.#options;
    const resource = parseResource(key);
    if (resource === undefined || !checksums.covers(resource)) {
      await store.setTrust({ key, trust: 'unchecked' }); // It was made private since.
      return true;
    }
    try {
      const verdict = await checksums.judge(resource, h1);
      if (verdict === 'unknown') await this.#postpone(row);
      if (verdict !== 'confirmed') return false;
      await store.setTrust({ key, trust: verdict });
      events.confirmedLater(key);
    } catch (error) {
      if (!isServeError(error) || error.kind !== 'check-failed') throw error;
      events.contradictedLater(key, messageOf(error));
      await store.dropEntry({ key });
      memory.deleteFile(key);
    }
    return true;
  }

  async #postpone({ key, unknownTimes }: UnconfirmedRow): Promise<void> {
    const { store, clock, unknownMs } = this.#options;
    const waitMs = Math.min(Math.max(1, unknownMs) * 2 ** unknownTimes, SUMDB_UNKNOWN_MS_MAX);
    await store.setUnknown({ key, times: unknownTimes + 1, askAfterMs: clock.wallMs() + waitMs });
  }
}
