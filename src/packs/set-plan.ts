/** What is to be written of a set after one more command, without I/O. The layout: `pack-index.ts`. */

import { joinSignatures } from '../core/build-cache-wire.ts';
import { SESSION_ACTIONS_MAX } from '../core/limits.ts';
import { PACK_CONTENT_BYTES, PACK_MISSED_MAX, PACK_SMALL_CHUNKS_MAX } from './limits.ts';
import type { PackedEntry } from './pack-chunk.ts';
import { PACK_APART_MAX, type PackChunk, type PackIndex, type PackRow, shortId } from './pack-index.ts';
import type { PackPlace } from './set-chunks.ts';

/** An action's output, as a machine has it. */
export type OwnEntry = PackedEntry & {
  /** Unix ns, decimal. */
  readonly time: string;
};

/** An output of this machine that is to be shared; `apart`: no machine would take it. */
export type Found<E extends OwnEntry> =
  | {
      readonly entry: E;
      /** Its signature, where there is a key. */
      readonly note: string | undefined;
    }
  | 'apart';

export type PlanParts<E extends OwnEntry> = {
  readonly index: PackIndex;
  /** IDs of actions that the command used, in its order. */
  readonly used: readonly string[];
  /** Short IDs of actions that are apart, where `find` does not say so. */
  readonly apart?: readonly string[];
  /** Where outputs lie that were packed while the command ran, by their IDs. */
  readonly places: ReadonlyMap<string, PackPlace>;
  /** What this machine has of an action; undefined too for what is not to be shared. */
  readonly find: (actionId: string) => Found<E> | undefined;
  /** Whether a row has a signature that counts here. Where this machine signs, it signs those anew that have none. */
  readonly isTrusted: (row: PackRow) => boolean;
  /** Whether what an index says of a row has turned out to be wrong. */
  readonly isBad: (row: PackRow) => boolean;
};

/** Rows of the new index in their order. Those of `fresh` have outputs that are in no chunk yet. */
export type SetPlan<E extends OwnEntry> = {
  readonly rows: readonly PackRow[];
  /** By output ID, in the order in which they are to be packed. */
  readonly fresh: ReadonlyMap<string, E>;
  readonly apart: readonly string[];
};

/** Undefined: the index has all of it. */
export function planSet<E extends OwnEntry>(parts: PlanParts<E>): SetPlan<E> | undefined {
  const { index, used, places, find, isTrusted, isBad } = parts;
  const old = new Map(index.rows.filter((row) => !isBad(row)).map((row) => [row.actionId, row]));
  const byOutput = new Map(Array.from(old.values(), (row) => [row.outputId, row]));
  const known = new Set(index.apart);
  const apart = new Set(parts.apart?.filter((id) => !known.has(id)));
  const fresh = new Map<string, E>();
  let isNew = apart.size > 0;
  const rows = used.flatMap((actionId): PackRow[] => {
    const before = old.get(actionId);
    if (before !== undefined && isTrusted(before)) return [{ ...before, missed: 0 }];
    if (known.has(shortId(actionId))) return [];
    const found = find(actionId);
    if (before !== undefined && noteOf(found) === undefined) return [{ ...before, missed: 0 }];
    if (found === undefined) return [];
    isNew = true;
    if (found === 'apart') {
      apart.add(shortId(actionId));
      return [];
    }
    const { outputId, size, time } = found.entry;
    const { chunk, offset = 0 } = byOutput.get(outputId) ?? places.get(outputId) ?? {};
    if (chunk === undefined && size > 0) fresh.set(outputId, found.entry);
    const note = found.note && joinSignatures(found.note, before?.outputId === outputId ? before.note : '');
    return [{ actionId, outputId, size, time, note, chunk, offset, missed: 0 }];
  });
  if (!isNew) return undefined;
  const all = [...rows, ...carried(old, used)].slice(0, SESSION_ACTIONS_MAX);
  const allApart = [...apart, ...index.apart].slice(0, PACK_APART_MAX);
  return joined({ rows: all, fresh, apart: allApart }, find);
}

/**
 * Rows that the command did without. One that asked for less than half of the set was another kind of work, or was broken
 * off: it takes nothing from it.
 */
function carried(old: ReadonlyMap<string, PackRow>, used: readonly string[]): PackRow[] {
  const now = new Set(used);
  const left = [...old.values()].filter(({ actionId }) => !now.has(actionId));
  const isPart = left.length * 2 > old.size;
  return left.flatMap((row) => {
    const missed = isPart ? row.missed : row.missed + 1;
    return missed <= PACK_MISSED_MAX ? [{ ...row, missed }] : [];
  });
}

/** Packs the outputs of chunks anew that are not worth their requests or their weight, where this machine has all of them. */
function joined<E extends OwnEntry>(plan: SetPlan<E>, find: PlanParts<E>['find']): SetPlan<E> {
  const fresh = new Map(plan.fresh);
  const chunks = new Map<PackChunk, Map<string, PackRow>>();
  for (const row of plan.rows) {
    if (row.chunk === undefined) continue;
    const outputs = chunks.get(row.chunk) ?? new Map<string, PackRow>();
    chunks.set(row.chunk, outputs.set(row.outputId, row));
  }
  const small = [...chunks.keys()].filter(({ contentBytes }) => contentBytes * 2 < PACK_CONTENT_BYTES);
  const areMany = small.length >= PACK_SMALL_CHUNKS_MAX;
  const dropped = new Set<PackChunk>();
  for (const [chunk, outputs] of chunks) {
    const live = Array.from(outputs.values(), ({ size }) => size).reduce((sum, size) => sum + size, 0);
    if (live * 2 >= chunk.contentBytes && !(areMany && small.includes(chunk))) continue;
    const entries = Array.from(outputs.values(), ({ actionId }) => entryOf(find(actionId)));
    const isHere = [...outputs.keys()].every((outputId, at) => entries[at]?.outputId === outputId);
    if (!isHere) continue;
    dropped.add(chunk);
    for (const entry of entries) if (entry !== undefined) fresh.set(entry.outputId, entry);
  }
  const rows = plan.rows.map((row) =>
    row.chunk !== undefined && dropped.has(row.chunk) ? { ...row, chunk: undefined } : row,
  );
  // In the order in which a command asks for them.
  const order = new Set(rows.flatMap(({ outputId, chunk }) => (chunk === undefined ? [outputId] : [])));
  const inOrder = [...order].flatMap((outputId) => {
    const entry = fresh.get(outputId);
    return entry === undefined ? [] : [[outputId, entry] as const];
  });
  return { rows, fresh: new Map(inOrder), apart: plan.apart };
}

function noteOf(found: Found<OwnEntry> | undefined): string | undefined {
  return found === undefined || found === 'apart' ? undefined : found.note;
}

function entryOf<E extends OwnEntry>(found: Found<E> | undefined): E | undefined {
  return found === undefined || found === 'apart' ? undefined : found.entry;
}
