/**
 * The last uses of actions and zips, kept true to a clock that is set.
 *
 * Expiry and eviction go by wall time, which has to hold over restarts. A clock that is set forward by a month would make
 * all of a running build's files old: their times are moved with it. Times from the future would never get old: they
 * become now.
 */

import { BUILD_CACHE_KEPT_MS } from '../core/limits.ts';
import { IS_ZIP } from './leaving-zips.ts';
import type { Connection } from './schema.ts';

/** The two clocks differ by less while nobody sets one. */
const DRIFT_MS = 3_600_000;

/** Both clocks at one moment. */
export type Moment = { readonly wallMs: number; readonly monotonicMs: number };

export class UseTimes {
  readonly #monotonicMs: () => number;
  readonly #tables;
  #seen: Moment | undefined;

  constructor(db: Connection, monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    // Of outputs, those that have no action: the others are as old as their actions.
    this.#tables = ['action WHERE true', 'output WHERE actions = 0', `entry WHERE ${IS_ZIP}`].map((rows) => ({
      move: db.prepare<[number, number, number]>(
        `UPDATE ${setUsed(rows, 'used_at_ms + ?')} AND used_at_ms > ? AND used_at_ms <= ?`,
      ),
      pull: db.prepare<[number, number]>(`UPDATE ${setUsed(rows, '?')} AND used_at_ms > ?`),
    }));
  }

  /** The moment of the last comparison. After a transaction that was undone, `restore` takes it back. */
  get seen(): Moment | undefined {
    return this.#seen;
  }

  restore(seen: Moment | undefined): void {
    this.#seen = seen;
  }

  /** Tells it the wall time, before one is written or compared. */
  noteTime(nowMs: number): void {
    const monotonicMs = Math.round(this.#monotonicMs()); // The columns take whole numbers only.
    const seen = this.#seen ?? { wallMs: nowMs, monotonicMs };
    this.#seen = { wallMs: nowMs, monotonicMs };
    const dueMs = seen.wallMs + monotonicMs - seen.monotonicMs;
    const jumpMs = nowMs - dueMs;
    if (jumpMs <= DRIFT_MS) return;
    for (const { move } of this.#tables)
      move.run(jumpMs, seen.wallMs - BUILD_CACHE_KEPT_MS, dueMs + DRIFT_MS);
  }

  /** Makes times from the future those of now. */
  pullBack(nowMs: number): void {
    for (const { pull } of this.#tables) pull.run(nowMs, nowMs + DRIFT_MS);
  }
}

function setUsed(rows: string, value: string): string {
  return rows.replace(' WHERE ', ` SET used_at_ms = ${value} WHERE `);
}
