/**
 * How far the store may grow: `--max-size`, or less where the disk has not so much room.
 *
 * Old zips are dropped past a mark some way below the bound, down to another mark further below, so that this does not
 * begin with each file. Downloads wait shortly before the bound. If nothing can be dropped, the store is full.
 *
 * Free pages inside the file are room too: what counts is used pages, and bytes that are on their way to the writer.
 */

import { MiB } from '../core/limits.ts';
import { formatSize } from '../core/quantity.ts';
import type { FileSizes } from '../core/store-port.ts';

/** Between the bound and the first mark, and between the two marks. Writes go on while zips are being dropped. */
const MARK_PART = 1 / 32;
const MARK_BYTES_MIN = 2 * MiB;
const MARK_BYTES_MAX = 64 * MiB;

/** On a disk that others fill, so much of the bound stays ours. */
const KEPT_PART = 0.5;

export class SizeBound {
  /** Told when the sizes or the bound are new. */
  onChange: () => void = () => {};
  /** Told when those who wait for room should look again. */
  onRoom: () => void = () => {};
  /** Bytes on their way to the writer. */
  queuedBytes = 0;
  readonly #bytesMax: number;
  /** Of the disk: how far the file may grow on it. */
  #diskBytesMax = Infinity;
  #sizes: FileSizes = { fileBytes: 0, usedBytes: 0 };
  #isStuck = false;

  /** @param bytesMax undefined: nothing is dropped */
  constructor(bytesMax: number | undefined) {
    this.#bytesMax = bytesMax ?? Infinity;
  }

  /** Infinity without a bound. */
  get bytesMax(): number {
    return Math.min(this.#bytesMax, Math.max(this.#bytesMax * KEPT_PART, this.#diskBytesMax));
  }

  /** Whether the upper mark is passed. */
  get isHigh(): boolean {
    return this.#taken > this.bytesMax - this.#mark;
  }

  /** Bytes above the lower mark; below 0 if there are none. */
  get bytesOverLow(): number {
    return this.#taken - (this.bytesMax - 2 * this.#mark);
  }

  /** Whether the file is larger than it may be, and has free pages to give back. */
  get isTooLong(): boolean {
    return this.#sizes.fileBytes > Math.max(this.bytesMax, this.#sizes.usedBytes);
  }

  /** Whether there is no room now, but will be. A little before the bound: many downloads may find room at once. */
  get isWaiting(): boolean {
    return !this.#isStuck && this.#taken > this.bytesMax - this.#mark / 2;
  }

  /** Why nothing can be stored, on one line; undefined: it can. */
  get full(): string | undefined {
    if (!this.#isStuck || this.#taken <= this.bytesMax) return undefined;
    return `store is full: ${formatSize(this.bytesMax)} are taken, and nothing in it can be dropped (--max-size)`;
  }

  /** Notes the sizes after a commit. */
  noteSizes(sizes: FileSizes): void {
    this.#sizes = sizes;
    this.onChange();
  }

  /** Notes how much more room the disk has than must be left; below 0 if it has less. */
  noteDisk(spareBytes: number): void {
    this.#diskBytesMax = this.#sizes.fileBytes + spareBytes;
    this.onChange();
    // Where the disk has room again nothing needs to be dropped, so that no commit would tell those who wait.
    if (!this.isWaiting) this.onRoom();
  }

  /** Whether all that may be dropped is dropped. Then nobody waits for room. */
  setStuck(isStuck: boolean): void {
    this.#isStuck = isStuck;
    this.onRoom();
  }

  get #mark(): number {
    return Math.min(MARK_BYTES_MAX, Math.max(MARK_BYTES_MIN, this.bytesMax * MARK_PART));
  }

  get #taken(): number {
    return this.#sizes.usedBytes + this.queuedBytes;
  }
}
