/** The end of build actions and outputs: those that nobody uses any more, those that there is no room for, or all. */

import type { BuildCacheWriterPort, Expired } from '../core/build-cache-port.ts';
import { BUILD_CACHE_KEPT_MS } from '../core/limits.ts';
import { type ActionWriter, EVER } from './action-writer.ts';
import { ACTIONS_PER_STEP, EXPIRED_BYTES_PER_STEP } from './limits.ts';
import type { OutputWriter } from './output-writer.ts';
import type { Connection } from './schema.ts';
import type { SessionWriter } from './session-writer.ts';
import type { UseTimes } from './use-times.ts';

type ActionUsed = { readonly id: number; readonly output: number; readonly used_at_ms: number };

export class ActionExpiry {
  readonly #actions: ActionWriter;
  readonly #outputs: OutputWriter;
  readonly #use: UseTimes;
  readonly #sessions: SessionWriter;
  readonly #leastUsed;
  readonly #any;

  constructor(
    db: Connection,
    parts: { actions: ActionWriter; outputs: OutputWriter; use: UseTimes; sessions: SessionWriter },
  ) {
    this.#sessions = parts.sessions;
    this.#actions = parts.actions;
    this.#outputs = parts.outputs;
    this.#use = parts.use;
    // What waits for the bucket must not go before it is there.
    this.#leastUsed = leastUsed(
      db,
      `NOT (namespace = '' AND EXISTS
      (SELECT 1 FROM waiting_upload WHERE kind = 'action' AND name = lower(hex(action_id))))`,
    );
    this.#any = leastUsed(db, 'true');
  }

  expireActions: BuildCacheWriterPort['expireActions'] = ({
    nowMs,
    unusedMs,
    storedBytesMax,
    mayDropRecent = false,
  }) => {
    this.#use.noteTime(nowMs);
    this.#use.pullBack(nowMs);
    this.#sessions.expire(nowMs - unusedMs);
    const beforeMs = mayDropRecent ? EVER : nowMs - BUILD_CACHE_KEPT_MS;
    const isDue = (usedAtMs: number) =>
      usedAtMs < nowMs - unusedMs || this.#outputs.storedBytes() > storedBytesMax;
    return this.#step(this.#leastUsed, beforeMs, isDue);
  };

  forgetActions: BuildCacheWriterPort['forgetActions'] = () => {
    this.#sessions.expire(EVER);
    return this.#step(this.#any, EVER, () => true);
  };

  /** Of all that was last used before `beforeMs`: drops some outputs that no action has, then some actions that are due. */
  #step(
    actionsOf: ReturnType<typeof leastUsed>,
    beforeMs: number,
    isDue: (usedAtMs: number) => boolean,
  ): Expired {
    let [actions, outputs, storedBytes] = [0, 0, 0];
    const isFull = () => actions + outputs >= ACTIONS_PER_STEP || storedBytes >= EXPIRED_BYTES_PER_STEP;
    for (const output of this.#outputs.lone(beforeMs, ACTIONS_PER_STEP)) {
      if (isFull()) break;
      storedBytes += this.#outputs.drop(output);
      outputs++;
    }
    for (const action of actionsOf.all(beforeMs, ACTIONS_PER_STEP)) {
      if (isFull() || !isDue(action.used_at_ms)) break;
      const bytes = this.#actions.drop(action, beforeMs);
      actions++;
      if (bytes !== undefined) outputs++;
      storedBytes += bytes ?? 0;
    }
    return { actions, outputs, storedBytes, isDone: actions + outputs === 0 };
  }
}

function leastUsed(db: Connection, condition: string) {
  return db.prepare<[number, number], ActionUsed>(
    `SELECT id, output, used_at_ms FROM action WHERE used_at_ms < ? AND ${condition} ORDER BY used_at_ms LIMIT ?`,
  );
}
