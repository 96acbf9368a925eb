/**
 * Rules out misses by the server's filters, of which none is used for longer than FILTER_FRESH_MS. They are kept in the local
 * directory for the next command, so that the server sends what was added since. The words: `core/action-filter.ts`.
 */

import { readFileSync, statSync } from 'node:fs';
import {
  ActionFilter,
  decodeFilterNews,
  encodeFilterNews,
  type FilterNews,
  shortIdOf,
} from '../core/action-filter.ts';
import { FILTER_FRESH_MS } from '../core/limits.ts';
import { SHORT_ID_BYTES } from '../core/session-port.ts';
import { soon } from '../core/soon.ts';
import { FILTER_WAIT_MS } from './limits.ts';
import { replaceFile } from './replace-file.ts';

export type MissFilterDoors = {
  /** Where it is kept. */
  readonly path: string;
  /** Asks the server for what is new; undefined where it has no filter or can't be asked. Never rejects. */
  readonly fetch: (held: Pick<FilterNews, 'epoch' | 'serial'> | undefined) => Promise<Buffer | undefined>;
  readonly now: () => number;
};

type Held = {
  readonly epoch: string;
  readonly serial: number;
  readonly filter: ActionFilter;
  /** When the server was asked: what was put later is not in it. */
  readonly askedAtMs: number;
};

/** The filter of one namespace. */
export class MissFilter {
  readonly #doors: MissFilterDoors;
  #held: Held | undefined;
  #isRead = false;
  #fetching: Promise<void> | undefined;
  /** The server has none for a while. */
  #askAgainAtMs = 0;

  constructor(doors: MissFilterDoors) {
    this.#doors = doors;
  }

  /** Whether an action is surely not stored in the namespace. */
  async rulesOut(actionId: string): Promise<boolean> {
    // Over a poor line a whole filter takes a while: meanwhile actions are asked for.
    if (!this.#isFresh()) await soon(this.refresh(), FILTER_WAIT_MS);
    return this.#isFresh() && this.#held?.filter.mayHave(shortIdOf(actionId)) === false;
  }

  /** Gets what is new where what is here is old. */
  async refresh(): Promise<void> {
    if (!this.#isRead) this.#read();
    if (this.#isFresh() || this.#doors.now() < this.#askAgainAtMs) return;
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    await this.#fetching;
  }

  #isFresh(): boolean {
    const ageMs = this.#doors.now() - (this.#held?.askedAtMs ?? Number.NEGATIVE_INFINITY);
    return ageMs >= 0 && ageMs < FILTER_FRESH_MS;
  }

  async #fetch(): Promise<void> {
    const askedAtMs = this.#doors.now();
    const bytes = await this.#doors.fetch(this.#held);
    try {
      if (bytes === undefined) throw new Error('no answer');
      this.#held = { ...this.#joined(decodeFilterNews(bytes)), askedAtMs };
      this.#keep(this.#held);
    } catch {
      // An older server, or one that is wrong: its actions are asked for one by one.
      this.#held = undefined;
      this.#askAgainAtMs = this.#doors.now() + FILTER_FRESH_MS;
    }
  }

  /** @throws {Error} news of another filter than the one that is here */
  #joined({ epoch, serial, bits, added = new Uint8Array(0) }: FilterNews): Omit<Held, 'askedAtMs'> {
    if (bits !== undefined) return { epoch, serial, filter: new ActionFilter(bits) };
    const held = this.#held;
    const count = added.byteLength / SHORT_ID_BYTES;
    if (held?.epoch !== epoch || held.serial + count !== serial) throw new Error('news of another filter');
    for (let at = 0; at < added.byteLength; at += SHORT_ID_BYTES)
      held.filter.add(Buffer.from(added.subarray(at, at + SHORT_ID_BYTES)));
    return { epoch, serial, filter: held.filter };
  }

  #read(): void {
    this.#isRead = true;
    try {
      const { mtimeMs } = statSync(this.#doors.path);
      const { epoch, serial, bits } = decodeFilterNews(readFileSync(this.#doors.path));
      if (bits !== undefined)
        this.#held = { epoch, serial, filter: new ActionFilter(bits), askedAtMs: mtimeMs };
    } catch {
      // None is kept.
    }
  }

  #keep({ epoch, serial, filter, askedAtMs }: Held): void {
    // Otherwise the next command gets all of it again.
    replaceFile(this.#doors.path, encodeFilterNews({ epoch, serial, bits: filter.bits }), askedAtMs);
  }
}
