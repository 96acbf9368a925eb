/** The indexes of a bucket's packs, and what turned out to be wrong of them. */

import { collect } from '../core/collect.ts';
import type { SessionName } from '../core/session-port.ts';
import {
  decodePackIndex,
  PACK_INDEX_BYTES_MAX,
  type PackChunk,
  type PackIndex,
  type PackRow,
  packSetKey,
  shortId,
} from '../packs/pack-index.ts';
import type { BucketObjects } from './bucket-objects.ts';
import { BUCKET_WRONG_MAX, PACK_INDEXES_MAX } from './limits.ts';

/** What names a set. */
export type SetName = Pick<SessionName, 'key' | 'project'>;

export class PackIndexes {
  readonly #objects: BucketObjects;
  /** By the set's key: the last one that was read or written, last used last. */
  readonly #kept = new Map<string, PackIndex>();
  /** Each index of a hostile bucket has some. */
  readonly #wrongChunks = new Set<string>();
  readonly #wrongOutputs = new Set<string>();

  constructor(objects: BucketObjects) {
    this.#objects = objects;
  }

  /**
   * The set's index, or the last one of its project.
   *
   * @returns undefined: neither is there, or can be understood
   * @throws {Error} the bucket failed
   */
  async read({ key, project }: SetName): Promise<PackIndex | undefined> {
    const index = (await this.#readOne(key)) ?? (key === project ? undefined : await this.#readOne(project));
    if (index !== undefined) this.keep(key, index);
    return index;
  }

  keep(key: string, index: PackIndex): void {
    this.#kept.delete(key);
    this.#kept.set(key, index);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= PACK_INDEXES_MAX) return;
      this.#kept.delete(oldest);
    }
  }

  /** The actions that have no good row in the set's last index, and are not apart. */
  lacks(key: string, actionIds: readonly string[], isGood: (row: PackRow) => boolean): string[] {
    const index = this.#kept.get(key);
    const rows = new Map(index?.rows.map((row) => [row.actionId, row]));
    const apart = new Set(index?.apart);
    return actionIds.filter((id) => {
      const row = rows.get(id);
      return !(row !== undefined && !this.isWrong(row) && isGood(row)) && !apart.has(shortId(id));
    });
  }

  isWrong({ chunk, outputId }: PackRow): boolean {
    return (chunk !== undefined && this.#wrongChunks.has(chunk.sha256)) || this.#wrongOutputs.has(outputId);
  }

  noteWrongChunk({ sha256 }: PackChunk): void {
    if (this.#wrongChunks.size < BUCKET_WRONG_MAX) this.#wrongChunks.add(sha256);
  }

  noteWrongRow({ outputId }: PackRow): void {
    if (this.#wrongOutputs.size < BUCKET_WRONG_MAX) this.#wrongOutputs.add(outputId);
  }

  async #readOne(key: string): Promise<PackIndex | undefined> {
    const path = this.#objects.path(packSetKey(key));
    const answer = await this.#objects.open(path, { isLong: true });
    if (answer === undefined) return undefined;
    const bytes = await collect(answer, PACK_INDEX_BYTES_MAX);
    try {
      return decodePackIndex(bytes ?? Buffer.alloc(0));
    } catch {
      this.#objects.noteWrong(path);
      return undefined;
    }
  }
}
