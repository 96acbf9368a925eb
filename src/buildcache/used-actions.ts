/**
 * Last-use times of actions, coalesced: expiry goes by them, and an SD card is below. An action's time is written at most
 * once an hour, and all that were used since the last look go in few calls.
 */

import type { ActionName } from '../core/build-cache-port.ts';
import { KEYS_PER_CALL_MAX } from '../core/limits.ts';
import type { Store } from '../core/store-port.ts';
import { USED_ACTIONS_MAX } from './limits.ts';

/** Times older than this are worth a write. */
const GRAIN_MS = 3_600_000;

export class UsedActions {
  readonly #actions = new Map<string, ActionName>();

  /** An action was used; `file` knows when that was last noted. */
  note(action: ActionName, file: { usedAtMs: number }, nowMs: number): void {
    if (Math.abs(nowMs - file.usedAtMs) < GRAIN_MS || this.#actions.size >= USED_ACTIONS_MAX) return;
    file.usedAtMs = nowMs;
    this.#actions.set(`${action.namespace} ${action.actionId}`, action);
  }

  /** Writes what gathered. */
  async flush(store: Pick<Store, 'touchActions'>, nowMs: number): Promise<void> {
    const actions = Array.from(this.#actions.values());
    this.#actions.clear();
    for (let at = 0; at < actions.length; at += KEYS_PER_CALL_MAX) {
      await store.touchActions({ actions: actions.slice(at, at + KEYS_PER_CALL_MAX), nowMs });
    }
  }
}
