/**
 * A set of actions as the table has it: for each its short ID, and a byte that counts the sessions in a row that did
 * without it. Its highest bit says that no machine takes the action's output from another one. Those of the last session come
 * first, in their order.
 */

import { SHORT_ID_BYTES } from '../core/session-port.ts';

/** Bytes of an action in a stored set. */
export const SET_ITEM_BYTES = SHORT_ID_BYTES + 1;

export type SetBounds = {
  /** An action that more sessions in a row did without leaves the set. */
  readonly missedMax: number;
  readonly actionsMax: number;
};

/**
 * The set after one more session. A session that asked for less than half of the set was another kind of work, or was
 * broken off: it adds to the set, and takes nothing from it.
 *
 * @param before the stored set; undefined: there was none
 * @param asked short IDs, one after the other; the last `apart` of them are those whose outputs no machine takes from another one
 */
export function mergeSet(
  before: Buffer | undefined,
  asked: Uint8Array,
  { apart = 0, ...bounds }: SetBounds & { readonly apart?: number | undefined },
): Buffer {
  const counts = new Map<string, number>();
  const ids = Buffer.from(asked.buffer, asked.byteOffset, asked.byteLength);
  const apartFrom = ids.length - apart * SHORT_ID_BYTES;
  for (let at = 0; at < ids.length; at += SHORT_ID_BYTES)
    counts.set(ids.toString('latin1', at, at + SHORT_ID_BYTES), at < apartFrom ? 0 : APART);
  const old = [...itemsOf(before ?? Buffer.alloc(0))];
  const repeated = old.filter(({ id }) => counts.has(id)).length;
  const isPart = repeated * 2 < old.length;
  for (const { id, missed, isApart } of old) {
    const now = isPart ? missed : missed + 1;
    // What it is does not change; who has it in a directory of his own does not say it again.
    if (counts.has(id)) counts.set(id, isApart ? APART : (counts.get(id) ?? 0));
    else if (now <= bounds.missedMax) counts.set(id, now + (isApart ? APART : 0));
  }
  const set = Buffer.alloc(Math.min(counts.size, bounds.actionsMax) * SET_ITEM_BYTES);
  let at = 0;
  for (const [id, missed] of counts) {
    if (at === set.length) break;
    set.write(id, at, 'latin1');
    set[at + SHORT_ID_BYTES] = missed;
    at += SET_ITEM_BYTES;
  }
  return set;
}

/** Short IDs as strings of Latin-1, one character a byte. */
export function* itemsOf(set: Buffer): Generator<SetItem> {
  for (let at = 0; at + SET_ITEM_BYTES <= set.length; at += SET_ITEM_BYTES) {
    const byte = set[at + SHORT_ID_BYTES] ?? 0;
    const id = set.toString('latin1', at, at + SHORT_ID_BYTES);
    yield { id, missed: byte % APART, isApart: byte >= APART };
  }
}

type SetItem = { readonly id: string; readonly missed: number; readonly isApart: boolean };

/** The bit of what is apart. */
const APART = 0x80;
