/** How the outputs of a set come into chunks, without I/O. The layout: `pack-index.ts`. */

import { PACK_CONTENT_BYTES } from './limits.ts';
import type { PackedEntry } from './pack-chunk.ts';
import type { PackChunk, PackIndex, PackRow } from './pack-index.ts';

/** Where an output lies. */
export type PackPlace = Pick<PackRow, 'chunk' | 'offset'>;

/** Outputs that come into one chunk each. */
export function groupsOf<E extends PackedEntry>(entries: readonly E[]): E[][] {
  const groups: E[][] = [];
  let bytes = PACK_CONTENT_BYTES;
  for (const entry of entries) {
    if (bytes >= PACK_CONTENT_BYTES) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(entry);
    bytes += entry.size;
  }
  return groups;
}

/** Notes where the outputs of a chunk lie, in their order. */
export function notePlaces(
  places: Map<string, PackPlace>,
  chunk: PackChunk,
  entries: readonly PackedEntry[],
): void {
  let offset = 0;
  for (const { outputId, size } of entries) {
    places.set(outputId, { chunk, offset });
    offset += size;
  }
}

/** The index with the new chunks; undefined where one of them was refused. */
export function placed(
  plan: PackIndex,
  groups: readonly (readonly PackedEntry[])[],
  chunks: readonly (PackChunk | string)[],
): PackIndex | undefined {
  const places = new Map<string, PackPlace>();
  for (const [at, group] of groups.entries()) {
    const chunk = chunks[at];
    if (typeof chunk !== 'object') return undefined;
    notePlaces(places, chunk, group);
  }
  const rows = plan.rows.map((row) => ({ ...row, ...(row.chunk === undefined && places.get(row.outputId)) }));
  return { rows, apart: plan.apart };
}
