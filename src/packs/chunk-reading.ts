/** Reads a chunk: its content piece by piece, as parts of the outputs that are wanted of it. The layout: `pack-index.ts`. */

import { crypto } from '../core/node-modules.ts';
import { chunkContent } from './pack-chunk.ts';
import type { PackRow } from './pack-index.ts';
import type { Part } from './reading-plan.ts';
import type { ZstdUnpacker } from './zstd-streams.ts';

/** Takes a part of a row's output; no more is read before it is done with. It must not fail, and copies what it keeps. */
export type TakeBytes = (row: PackRow, bytes: Buffer) => void | Promise<void>;

/** One chunk as it is read: a second body goes on where the first one broke. */
export class ChunkReading {
  readonly #part: Part;
  readonly #unpacker: ZstdUnpacker;
  readonly #take: TakeBytes;
  /** Rows that were handed on. */
  #done = 0;
  /** Bytes of the next one that were. */
  #given = 0;

  constructor(part: Part, unpacker: ZstdUnpacker, take: TakeBytes) {
    this.#part = part;
    this.#unpacker = unpacker;
    this.#take = take;
  }

  get left(): readonly PackRow[] {
    return this.#part.rows.slice(this.#done);
  }

  /** False: it is not what its name says. @throws {Error} the body broke */
  async read(body: AsyncIterable<Uint8Array>): Promise<boolean> {
    const { sha256, contentBytes } = this.#part.chunk;
    const hash = crypto().createHash('sha256');
    let broken: unknown;
    const watched = async function* () {
      try {
        for await (const bytes of body) {
          hash.update(bytes);
          yield bytes;
        }
      } catch (error) {
        broken = error;
        throw error;
      }
    };
    let position = 0;
    try {
      for await (const content of chunkContent(watched(), this.#unpacker)) {
        await this.#takeContent(content, position);
        position += content.length;
        if (position > contentBytes) return false;
      }
    } catch {
      if (broken !== undefined) throw broken;
      return false;
    }
    return position === contentBytes && hash.digest('hex') === sha256;
  }

  async #takeContent(content: Buffer, position: number): Promise<void> {
    const end = position + content.length;
    for (let row = this.left[0]; row !== undefined && row.offset < end; row = this.left[0]) {
      const from = Math.max(row.offset + this.#given, position);
      const bytes = content.subarray(from - position, row.offset + row.size - position);
      this.#given += bytes.length;
      const isLast = this.#given === row.size;
      if (bytes.length > 0) await this.#take(row, bytes);
      if (!isLast) return;
      this.#done++;
      this.#given = 0;
    }
  }
}
