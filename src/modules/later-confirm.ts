/**
 * Confirms in the background what was kept while the checksum database could not be asked.
 *
 * What it contradicts is dropped: nothing stays for good that it does not confirm.
 */

import type { Checksums } from '../core/checksums.ts';
import { isServeError, messageOf } from '../core/errors.ts';
import { parseResource } from '../core/resource.ts';
import type { Store } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';
import type { Events } from '../observe/events.ts';

export type LaterConfirmOptions = {
  readonly store: Pick<Store, 'getUnconfirmed' | 'setTrust' | 'dropEntry'>;
  readonly checksums: Checksums;
  readonly memory: Memory;
  readonly events: Events;
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
    const { rows } = await this.#options.store.getUnconfirmed({ after: this.#after, limit: ROUND_KEYS_MAX });
    this.#after = rows.length < ROUND_KEYS_MAX ? '' : (rows.at(-1)?.key ?? '');
    let settled = 0;
    for (const row of rows) settled += Number(await this.#settle(row));
    return settled;
  }

  async #settle({ key, h1 }: { key: string; h1: string }): Promise<boolean> {
    const { checksums, store, memory, events } = this.#options;
    const resource = parseResource(key);
    if (resource === undefined || !checksums.covers(resource)) {
      await store.setTrust({ key, trust: 'unchecked' }); // It was made private since.
      return true;
    }
    try {
      const trust = await checksums.judge(resource, h1);
      if (trust !== 'confirmed') return false;
      await store.setTrust({ key, trust });
      events.confirmedLater(key);
    } catch (error) {
      if (!isServeError(error) || error.kind !== 'check-failed') throw error;
      events.contradictedLater(key, messageOf(error));
      await store.dropEntry({ key });
      memory.deleteFile(key);
    }
    return true;
  }
}
