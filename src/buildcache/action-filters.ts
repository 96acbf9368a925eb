/**
 * The filters that clients rule out misses with, one for each namespace that somebody asked for. They are made of the store's
 * actions, and each put adds to them. An action that expires stays in: it is asked for in vain.
 *
 * The words: `core/action-filter.ts`.
 */

import { randomBytes } from 'node:crypto';
import { ActionFilter, encodeFilterNews, type FilterNews, shortIdOf } from '../core/action-filter.ts';
import type { ByteStream } from '../core/answer.ts';
import type { ActionName } from '../core/build-cache-port.ts';
import { STORED_MAIN } from '../core/cache-id.ts';
import { Gate } from '../core/gate.ts';
import { KiB } from '../core/limits.ts';
import { SHORT_ID_BYTES } from '../core/session-port.ts';
import type { Store } from '../core/store-port.ts';
import { GeneratedBody } from './generated-body.ts';
import { FILTER_ADDED_MAX, FILTER_LOADS_MAX, FILTER_LOADS_WAITING_MAX, FILTERS_MAX } from './limits.ts';

/** What a client has. */
export type HeldFilter = Pick<FilterNews, 'epoch' | 'serial'>;

export class ActionFilters {
  readonly #store: Pick<Store, 'getShortIds'>;
  /** By namespace, the least asked for first. That of the main one, which all clients read, never leaves. */
  readonly #filters = new Map<string, NamespaceFilter>();

  /** Of other namespaces than the main one. */
  readonly #loads = new Gate({
    placesMax: FILTER_LOADS_MAX,
    queueMax: FILTER_LOADS_WAITING_MAX,
    full: `cannot make filter: ${FILTER_LOADS_WAITING_MAX} wait already`,
  });

  constructor(store: Pick<Store, 'getShortIds'>) {
    this.#store = store;
  }

  /** Notes a stored action. To be called before its client is told. */
  add({ namespace, actionId }: ActionName): void {
    this.#filters.get(namespace)?.add(shortIdOf(actionId));
  }

  /**
   * What a client needs to have the filter of a namespace as it is now.
   *
   * @throws {Busy} too many filters are to be made
   */
  async news(namespace: string, held: HeldFilter | undefined): Promise<ByteStream> {
    let filter = this.#filters.get(namespace);
    if (filter === undefined || (filter.isDone && filter.isFull))
      filter = new NamespaceFilter(() => this.#load(namespace));
    this.#filters.delete(namespace);
    this.#filters.set(namespace, filter);
    for (const name of this.#filters.keys())
      if (this.#filters.size > FILTERS_MAX && name !== STORED_MAIN) this.#filters.delete(name);
    try {
      return new GeneratedBody(piecesOf(await filter.news(held)));
    } catch (error) {
      if (this.#filters.get(namespace) === filter) this.#filters.delete(namespace);
      throw error;
    }
  }

  /** Short IDs of a namespace's stored actions, one after the other. */
  #load(namespace: string): Promise<Buffer> {
    const load = () => loadShortIds(this.#store, namespace);
    return namespace === STORED_MAIN ? load() : this.#loads.run(load);
  }
}

/** A filter that a client takes slowly is not copied for it: what others put meanwhile may be in what it gets. */
async function* piecesOf(news: FilterNews): AsyncGenerator<Uint8Array, void, void> {
  const { bits = NOTHING, ...of } = news;
  yield encodeFilterNews(news.bits === undefined ? of : { ...of, bits: NOTHING });
  for (let at = 0; at < bits.byteLength; at += PIECE_BYTES) yield bits.subarray(at, at + PIECE_BYTES);
}

const NOTHING = new Uint8Array(0);
const PIECE_BYTES = 64 * KiB;

async function loadShortIds(store: Pick<Store, 'getShortIds'>, namespace: string): Promise<Buffer> {
  const pages: Buffer[] = [];
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: Awaited<ReturnType<typeof store.getShortIds>> = await store.getShortIds({ namespace, after });
    pages.push(Buffer.from(page.bytes));
    after = page.last;
  }
  return Buffer.concat(pages);
}

class NamespaceFilter {
  readonly #epoch = randomBytes(8).toString('hex');
  readonly #loaded: Promise<ActionFilter>;
  #filter: ActionFilter | undefined;
  #actions = 0;
  /** How many were added since it began. */
  #serial = 0;
  /** The last of them, at most FILTER_ADDED_MAX. Those that come while it is loaded wait here. */
  #added: Buffer[] = [];

  constructor(load: () => Promise<Buffer>) {
    this.#loaded = this.#load(load);
  }

  get isDone(): boolean {
    return this.#filter !== undefined;
  }

  get isFull(): boolean {
    return this.#filter?.isFullWith(this.#actions) === true;
  }

  add(shortId: Buffer): void {
    this.#serial++;
    this.#actions++;
    this.#added.push(shortId);
    this.#filter?.add(shortId);
    if (this.#filter !== undefined && this.#added.length > 2 * FILTER_ADDED_MAX)
      this.#added = this.#added.slice(-FILTER_ADDED_MAX);
  }

  async news(held: HeldFilter | undefined): Promise<FilterNews> {
    const filter = await this.#loaded;
    const of = { epoch: this.#epoch, serial: this.#serial };
    const missing = this.#serial - (held?.serial ?? 0);
    const isNear = held?.epoch === this.#epoch && missing >= 0 && missing <= this.#added.length;
    if (!isNear || missing * SHORT_ID_BYTES > filter.bits.byteLength) return { ...of, bits: filter.bits };
    return { ...of, added: Buffer.concat(missing === 0 ? [] : this.#added.slice(-missing)) };
  }

  async #load(load: () => Promise<Buffer>): Promise<ActionFilter> {
    const stored = await load();
    this.#actions += stored.length / SHORT_ID_BYTES;
    const filter = ActionFilter.for(this.#actions);
    for (let at = 0; at < stored.length; at += SHORT_ID_BYTES)
      filter.add(stored.subarray(at, at + SHORT_ID_BYTES));
    for (const shortId of this.#added) filter.add(shortId);
    this.#filter = filter;
    return filter;
  }
}
