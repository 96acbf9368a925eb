/** Which chunks of an index are to be read, and what of each, without I/O. The layout: `pack-index.ts`. */

import type { PackChunk, PackIndex, PackRow } from './pack-index.ts';

export type PackWish = {
  readonly index: PackIndex;
  /** Whether an action is here already. */
  readonly isHere: (actionId: string) => boolean;
  readonly bytesMax: number;
};

/** A chunk, and its outputs that are wanted, by their offsets. */
export type Part = { readonly chunk: PackChunk; readonly rows: PackRow[] };

type ReadingPlan = {
  /** In the order in which a command needs them, each with its outputs once. */
  readonly parts: readonly Part[];
  /** Rows that come with those, or are empty. */
  readonly others: readonly PackRow[];
  /** Rows that begin before the end of another one. */
  readonly wrong: readonly PackRow[];
};

export function planReading({ index, isHere, bytesMax }: PackWish): ReadingPlan {
  const parts = new Map<PackChunk, Part>();
  const others: PackRow[] = [];
  const outputs = new Set<string>();
  let bytes = 0;
  for (const row of index.rows) {
    if (isHere(row.actionId)) continue;
    if (row.chunk === undefined || outputs.has(row.outputId)) others.push(row);
    else if (bytes + row.size <= bytesMax) {
      bytes += row.size;
      outputs.add(row.outputId);
      const part = parts.get(row.chunk) ?? { chunk: row.chunk, rows: [] };
      parts.set(row.chunk, part);
      part.rows.push(row);
    }
  }
  const wrong: PackRow[] = [];
  for (const { rows } of parts.values()) {
    let end = 0;
    for (const row of rows.splice(0).sort((a, b) => a.offset - b.offset)) {
      (row.offset < end ? wrong : rows).push(row);
      end = Math.max(end, row.offset + row.size);
    }
  }
  return { parts: [...parts.values()], others, wrong };
}
