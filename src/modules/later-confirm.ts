/**
 * The background's part of the promise that nothing stays for good which the checksum database
 * contradicts: asks about all that is not confirmed, key by key, a rest after each.
 *
 * Where it stands is in the rows themselves, so that it goes on after a restart.
 */

import { isServeError, messageOf } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import type { Store, UnsettledRow } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';
import type { CheckOutcome, StoredCheck } from './stored-check.ts';

export type LaterConfirmOptions = {
  readonly store: Pick<Store, 'getUnsettled'>;
  readonly check: Pick<StoredCheck, 'check'>;
  readonly clock: Clock;
  readonly events: Events;
  /** Resolves after so long. */
  readonly rest: (ms: number) => Promise<unknown>;
};

/** Keys of one round, and of one line in the log. */
const ROUND_KEYS_MAX = 50;

/**
 * Rests for each unit of work: three quarters of the front, the disk and the line are left to clients. With one,
 * clients that took all they could get got a fifth less meanwhile.
 */
const RESTS = 3;

/** No rest is longer than this. */
const REST_MS_MAX = 1_000;

export class LaterConfirm {
  readonly #options: LaterConfirmOptions;
  /** Where the last round ended: what no database knows must not hold up the rest. */
  #after = '';
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: LaterConfirmOptions) {
    this.#options = options;
  }

  /** Works as long as it gets on, unless it works already: call it every now and then. Never throws. */
  start(): Promise<void> {
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** For good. What is under way is not waited for: its store may close. */
  stop(): void {
    this.#isStopped = true;
  }

  async #work(): Promise<void> {
    try {
      // A round without any outcome means a line that is down, mostly: the next start is soon enough.
      while ((await this.#round()) && !this.#isStopped);
    } catch (error) {
      if (!this.#isStopped) this.#options.events.housekeepingFailed(messageOf(error));
    }
  }

  /** @returns whether it got on with any key */
  async #round(): Promise<boolean> {
    const { store, clock, events } = this.#options;
    const nowMs = clock.wallMs();
    const { rows } = await store.getUnsettled({ after: this.#after, limit: ROUND_KEYS_MAX, nowMs });
    this.#after = rows.length < ROUND_KEYS_MAX ? '' : (rows.at(-1)?.key ?? '');
    const done = { confirmed: 0, others: 0 };
    for (const row of rows) {
      if (this.#isStopped) break;
      const outcome = await this.#check(row);
      if (outcome === 'confirmed') done.confirmed++;
      else if (outcome !== 'damaged' && (outcome !== 'unconfirmed' || row.h1 === undefined)) done.others++;
    }
    if (done.confirmed > 0) events.confirmedLater(done.confirmed);
    return done.confirmed + done.others > 0;
  }

  async #check(row: UnsettledRow): Promise<CheckOutcome | 'damaged'> {
    const { check, clock, events, rest } = this.#options;
    const startedMs = clock.monotonicMs();
    const outcome = await check.check(row).catch((error: unknown): 'damaged' => {
      // A damaged file must not keep those behind it waiting. `astera verify` names it, and how to repair it.
      if (!isServeError(error) || this.#isStopped) throw error;
      events.housekeepingFailed(`cannot check ${JSON.stringify(row.key)}: ${messageOf(error)}`);
      return 'damaged';
    });
    await rest(Math.min(RESTS * (clock.monotonicMs() - startedMs), REST_MS_MAX));
    return outcome;
  }
}
