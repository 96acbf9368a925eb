/**
 * Actions of the build cache out of the bucket, with their outputs, into the store.
 *
 * An output is checked by its name. An action can't be: whoever may write to the bucket may name another output, as whoever
 * may put to a server may. Clients that trust signatures alone tell it apart: signatures come with the action as its note.
 */

import { isCacheId, isCacheTime, NO_BODY } from '../core/cache-id.ts';
import { collect } from '../core/collect.ts';
import { isServeError, messageOf } from '../core/errors.ts';
import type { ObjectStore } from '../core/object-store.ts';
import type { Clock } from '../core/ports.ts';
import { soon } from '../core/soon.ts';
import type { Store } from '../core/store-port.ts';
import { keepAction } from './kept-action.ts';
import { actionObject, outputObject } from './layout.ts';
import { ACTION_MISS_MS, ACTION_MISSES_MAX, ACTION_OBJECT_BYTES_MAX, ACTION_WAIT_MS } from './limits.ts';
import type { WrongObjects } from './wrong-objects.ts';

export type BucketActionsOptions = {
  readonly bucket: ObjectStore;
  readonly store: Pick<Store, 'getOutputsStored' | 'putAction' | 'full'>;
  readonly wrong: WrongObjects;
  readonly clock: Clock;
  /** Stores an output whose bytes come plain. @throws {BadRequest} they are of another output */
  readonly keepOutput: (outputId: string, body: AsyncIterable<Uint8Array>) => Promise<unknown>;
  /** What packs know of an action. */
  readonly packs: {
    /** Whether no machine takes its output from another one. */
    isApart(actionId: string): boolean;
    /** Settles when it has come out of a pack, or has not; undefined: it is not on its way. Never rejects. */
    landing(actionId: string): Promise<boolean> | undefined;
  };
  readonly events: { bucketActionAsked(result: 'hit' | 'miss' | 'failed'): void };
};

type ActionObject = { readonly outputId: string; readonly time: string; readonly note: string | undefined };

export class BucketActions {
  readonly #options: BucketActionsOptions;
  readonly #fetches = new Map<string, Promise<boolean>>();
  /** Until when each counts as a miss. In the order in which they came. */
  readonly #misses = new Map<string, number>();

  constructor(options: BucketActionsOptions) {
    this.#options = options;
  }

  /** Fetches an action into the store. Never rejects. @returns whether it is stored now */
  async fetch(actionId: string): Promise<boolean> {
    const { packs } = this.#options;
    const landing = packs.landing(actionId);
    // The client knows best: it waits for what it expects soon, and asks alone for what it needs before.
    const alone = packs.isApart(actionId) ? undefined : this.#alone(actionId);
    if (landing === undefined && alone === undefined) return false;
    return (await soon(firstTrue([landing, alone]), ACTION_WAIT_MS)) ?? false;
  }

  #alone(actionId: string): Promise<boolean> | undefined {
    const { bucket, clock, store } = this.#options;
    const isMiss = (this.#misses.get(actionId) ?? 0) > clock.monotonicMs();
    if (isMiss || bucket.isDown || store.full !== undefined) return undefined;
    let fetch = this.#fetches.get(actionId);
    if (fetch === undefined) {
      fetch = this.#fetch(actionId).finally(() => this.#fetches.delete(actionId));
      this.#fetches.set(actionId, fetch);
    }
    return fetch;
  }

  async #fetch(actionId: string): Promise<boolean> {
    const { events } = this.#options;
    try {
      const isThere = await this.#bring(actionId);
      events.bucketActionAsked(isThere ? 'hit' : 'miss');
      if (!isThere) this.#noteMiss(actionId);
      return isThere;
    } catch (error) {
      if (!isServeError(error)) throw error;
      events.bucketActionAsked('failed');
      return false;
    }
  }

  async #bring(actionId: string): Promise<boolean> {
    const action = await this.#action(actionId);
    if (action === undefined || !(await this.#bringOutput(actionId, action.outputId))) return false;
    await keepAction(this.#options, { actionId, ...action });
    return true;
  }

  async #action(actionId: string): Promise<ActionObject | undefined> {
    const { bucket, wrong } = this.#options;
    const key = actionObject(actionId);
    const object = await bucket.get(key);
    if (object === undefined) return undefined;
    const text = (await collect(object.body, ACTION_OBJECT_BYTES_MAX))?.toString('latin1') ?? '';
    const [outputId, time, ...more] = text.trim().split(/\s+/);
    if (isCacheId(outputId) && isCacheTime(time) && more.length === 0)
      return { outputId, time, note: object.note };
    wrong.note(key, 'no action');
    return undefined;
  }

  async #bringOutput(actionId: string, outputId: string): Promise<boolean> {
    const { bucket, store, wrong, keepOutput } = this.#options;
    const { stored } = await store.getOutputsStored({ outputIds: [outputId] });
    if (stored[0] === true) return true;
    if (outputId === NO_BODY) {
      await keepOutput(outputId, nothing());
      return true;
    }
    const key = outputObject(outputId);
    const object = await bucket.get(key);
    if (object === undefined) {
      // Of no use to anybody: the next put writes it anew.
      wrong.note(actionObject(actionId), 'its output is gone');
      return false;
    }
    try {
      await keepOutput(outputId, object.body);
      return true;
    } catch (error) {
      if (!isServeError(error) || (error.kind !== 'bad-request' && error.kind !== 'too-large')) throw error;
      wrong.note(key, messageOf(error));
      return false;
    }
  }

  #noteMiss(actionId: string): void {
    this.#misses.delete(actionId);
    const [oldest] = this.#misses.keys();
    if (oldest !== undefined && this.#misses.size >= ACTION_MISSES_MAX) this.#misses.delete(oldest);
    this.#misses.set(actionId, this.#options.clock.monotonicMs() + ACTION_MISS_MS);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Whether one of these is true, as soon as that is known. */
function firstTrue(works: readonly (Promise<boolean> | undefined)[]): Promise<boolean> {
  const all = works.flatMap((work) => work ?? []);
  return new Promise((resolve, reject) => {
    for (const work of all) work.then((isTrue) => isTrue && resolve(true), reject);
    Promise.all(all).then(() => resolve(false), reject);
  });
}
