/** Sets in a bucket's packs, as a cache program writes them, for tests. */

import { createHash } from 'node:crypto';
import { collect } from '../../src/core/collect.ts';
import { makeChunk } from '../../src/packs/pack-chunk.ts';
import { encodePackIndex, type PackRow, packChunkKey, packSetKey } from '../../src/packs/pack-index.ts';
import { ZstdPacker } from '../../src/packs/zstd-streams.ts';
import type { MemoryObjectStore } from './memory-object-store.ts';

export function idOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

export type PackedSet = {
  /** Its key; by default its command's. */
  readonly key: string;
  /** The outputs of each chunk. Output n of all has the action `action n`. */
  readonly chunks: readonly (readonly Uint8Array[])[];
  readonly apart?: readonly string[];
  readonly noteOf?: (row: number) => string | undefined;
  /** Changes the rows before they are written. */
  readonly alter?: (rows: PackRow[]) => PackRow[];
};

/** Lays a set into a bucket. @returns its rows */
export async function laySet(bucket: Pick<MemoryObjectStore, 'lay'>, set: PackedSet): Promise<PackRow[]> {
  const { key, chunks, apart = [], noteOf = () => undefined, alter = (same) => same } = set;
  const packer = new ZstdPacker();
  const rows: PackRow[] = [];
  try {
    for (const outputs of chunks) {
      const entries = outputs.map((bytes) => ({ outputId: idOf(bytes), size: bytes.length, bytes }));
      const made = await makeChunk(entries, {
        packer,
        open: ({ bytes }) => ({
          read: (into, at) => Buffer.from(bytes).copy(into, 0, at),
          close: () => {},
        }),
      });
      const { chunk, body } = made;
      const whole = 'body' in body ? body.body : await collect(body.frames, body.size);
      bucket.lay(packChunkKey(chunk.sha256), whole ?? '');
      let offset = 0;
      for (const { outputId, size } of entries) {
        const at = rows.length;
        const place = size === 0 ? { chunk: undefined, offset: 0 } : { chunk, offset };
        rows.push({
          actionId: idOf(`action ${at}`),
          outputId,
          size,
          time: '17',
          note: noteOf(at),
          missed: 0,
          ...place,
        });
        offset += size;
      }
    }
  } finally {
    packer.close();
  }
  const altered = alter(rows);
  bucket.lay(packSetKey(key), encodePackIndex({ rows: altered, apart }));
  return altered;
}
