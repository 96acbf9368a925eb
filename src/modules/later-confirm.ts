/**
 * Checks stored files against the checksum database in the background. No file that the database contradicts may stay
 * for good. All unconfirmed files are checked key by key, with a rest after each.
 *
 * The rows themselves hold the progress, so the work goes on after a restart.
 */

import { isServeError, messageOf } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import { quote } from '../core/quote.ts';
import type { Store, UnsettledRow } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';
import type { CheckOutcome, StoredCheck } from './stored-check.ts';

export type LaterConfirmOptions = {
  readonly store: Pick<Store, 'getUnsettled'>;
  readonly check: Pick<StoredCheck, 'check'>;
  readonly clock: Clock;
  readonly events: Events;
  /** Resolves after `ms`. */
  readonly rest: (ms: number) => Promise<unknown>;
};

/** Keys in one round. A round writes one line to the log. */
const ROUND_KEYS_MAX = 50;

/**
 * A rest lasts so many times as long as the work before it. Three quarters of the front thread, the disk and the line
 * stay free for clients. At 1, clients that took all they could get got a fifth less.
 */
const RESTS = 3;

/** No rest is longer than this. */
const REST_MS_MAX = 1_000;

export class LaterConfirm {
  readonly #options: LaterConfirmOptions;
  /** The last key of the last round. Rounds go on from it, so that files no database knows do not block the others. */
  #after = '';
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: LaterConfirmOptions) {
    this.#options = options;
  }

  /**
   * Does rounds while they make progress. To be called now and then; a call while it works joins the work.
   * Never rejects.
   */
  start(): Promise<void> {
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Stops for good. It does not wait for the check that is under way, and the store may close at once. */
  stop(): void {
    this.#isStopped = true;
  }

  async #work(): Promise<void> {
    try {
      // A round without progress mostly means that the line is down. The next start tries again.
      while ((await this.#round()) && !this.#isStopped);
    } catch (error) {
      if (!this.#isStopped) this.#options.events.housekeepingFailed(messageOf(error));
    }
  }

  /** Does one round. @returns whether any key made progress */
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
      // A damaged file must not block the files after it. `astera verify` names it and says how to repair it.
      if (!isServeError(error) || this.#isStopped) throw error;
      events.housekeepingFailed(`cannot check ${quote(row.key)}: ${messageOf(error)}`);
      return 'damaged';
    });
    await rest(Math.min(RESTS * (clock.monotonicMs() - startedMs), REST_MS_MAX));
    return outcome;
  }
}
