/**
 * When the WAL is to be moved into the store's file, and whether it is too long for more to be stored.
 *
 * Its file does not shrink when the pages in it were moved: the next ones overwrite them. So its growth is reckoned from
 * what is written. The file's size tells what the reckoning missed, and that another program reads the store for long: until that
 * ends no page behind its moment can be moved.
 */

import { MiB } from '../core/limits.ts';
import { formatSize } from '../core/quantity.ts';
import { WAL_BYTES_MAX } from './limits.ts';

/** The WAL is moved after it grew by about so much, and emptied at twice that. */
const CHECKPOINT_BYTES = 16 * MiB;

/**
 * A group, and each call of it, adds so much to the WAL beside its bytes: whole pages, of which the calls of a group
 * share some. Small files that come one by one, as clients ask for them, cost it 70 kB each (bench/soak.ts).
 */
const GROUP_WAL_BYTES = 64 * 1024;
const CALL_WAL_BYTES = 8 * 1024;

export class WalWatch {
  readonly #bytesMax: number;
  #grownBytes = 0;
  #fileBytes = 0;
  /** After the last checkpoint. */
  #fileBytesThen = 0;

  /** @param bytesMax of its file; by default WAL_BYTES_MAX */
  constructor(bytesMax = WAL_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Notes a committed group of so many calls, which brought so many bytes. */
  noteGroup(calls: number, bytes: number): void {
    this.#grownBytes += GROUP_WAL_BYTES + calls * CALL_WAL_BYTES + bytes;
  }

  /** Notes the size of its file now. */
  noteFile(bytes: number): void {
    this.#fileBytes = bytes;
  }

  /** Notes that a checkpoint was made, which may have moved nothing, and the size of the file after it. */
  noteCheckpoint(fileBytes: number): void {
    this.#grownBytes = 0;
    this.#fileBytes = fileBytes;
    this.#fileBytesThen = fileBytes;
  }

  get isDue(): boolean {
    return Math.max(this.#grownBytes, this.#fileBytes - this.#fileBytesThen) >= CHECKPOINT_BYTES;
  }

  /** Whether the file is to be emptied, not just moved. */
  get isLarge(): boolean {
    return this.#fileBytes >= 2 * CHECKPOINT_BYTES;
  }

  /** Why nothing can be stored since the last checkpoint, on one line; undefined: it can. */
  get full(): string | undefined {
    if (this.#fileBytesThen <= this.#bytesMax) return undefined;
    const long = 'another program has been reading the store for long, a backup perhaps';
    return `the WAL has ${formatSize(this.#fileBytesThen)} and can't be emptied: ${long}`;
  }
}
