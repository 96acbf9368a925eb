/** An output on its way into the local cache. Its SHA-256 is checked before anybody sees it. */

import * as fs from 'node:fs';
import { noteDropped } from '../core/dropped-buffers.ts';
import { crypto } from '../core/node-modules.ts';
import type { CacheDirectory, LocalEntry, OutputName, Temporary } from './cache-directory.ts';
import { START_BYTES } from './shareable.ts';

export type PutDoors = {
  /** Where outputs go now. */
  readonly home: () => CacheDirectory;
  /** Where they go as that one failed. @throws {Error} nowhere */
  readonly spare: (error: unknown) => CacheDirectory;
  /** Takes an entry that no directory could take. */
  readonly keep: (actionId: string, entry: LocalEntry) => void;
  readonly now: () => number;
};

export class LocalPut {
  readonly #output: OutputName;
  readonly #doors: PutDoors;
  readonly #hash = crypto().createHash('sha256');
  /** Where it goes. */
  #directory: CacheDirectory;
  /** Where it lies already: its bytes are checked only. */
  readonly #known: string | undefined;
  #temporary: Temporary | undefined;
  #written = 0;
  /** The output's first bytes: at least `START_BYTES`, or all that have come. */
  start: Buffer = Buffer.alloc(0);

  /** Made by `LocalCache.beginPut`. */
  constructor(output: OutputName, doors: PutDoors) {
    this.#output = output;
    this.#doors = doors;
    this.#directory = doors.home();
    this.#known = this.#directory.find(output);
  }

  /** Bytes that have come. */
  get written(): number {
    return this.#written;
  }

  /** All of its bytes have come. */
  get isWhole(): boolean {
    return this.#written === this.#output.size;
  }

  /** @throws {Error} more bytes than were announced, or no place to write them */
  write(bytes: Buffer): void {
    if (this.#written + bytes.length > this.#output.size) throw new Error('body is longer than its size');
    if (this.start.length < START_BYTES)
      this.start = Buffer.concat([this.start, bytes.subarray(0, START_BYTES)]);
    this.#hash.update(bytes);
    if (this.#known === undefined) this.#store(bytes);
    this.#written += bytes.length;
    noteDropped(bytes.length);
  }

  /** @throws {Error} the body is not the one that the ID names, or there is no place to write it */
  finish({ actionId }: { readonly actionId: string }): LocalEntry {
    return this.link({ actionId, path: this.seal(), time: `${this.#doors.now()}000000` });
  }

  /**
   * Checks the output and puts it where it stays. No action has it yet.
   *
   * @returns its path
   * @throws {Error} as `finish`
   */
  seal(): string {
    const { outputId, size } = this.#output;
    if (this.#written !== size) throw new Error(`body has ${this.#written} bytes of ${size}`);
    if (this.#hash.digest('hex') !== outputId) throw new Error('body does not match its OutputID');
    return this.#known ?? this.#settle();
  }

  /** Makes the sealed output that of an action. Where that can't be written, this process alone knows it. */
  link({
    actionId,
    path,
    time,
  }: Pick<LocalEntry, 'path' | 'time'> & { readonly actionId: string }): LocalEntry {
    const entry: LocalEntry = { ...this.#output, time, path };
    try {
      this.#directory.link(actionId, entry);
    } catch {
      this.#doors.keep(actionId, entry);
    }
    return entry;
  }

  /** Forgets what came. May be called at any time, also after a failure. */
  abort(): void {
    const temporary = this.#temporary;
    this.#temporary = undefined;
    if (temporary === undefined) return;
    closeQuietly(temporary);
    fs.rmSync(temporary.path, { force: true });
  }

  #store(bytes: Buffer): void {
    try {
      writeAll(this.#open().fd, bytes, this.#written);
    } catch (error) {
      writeAll(this.#goToSpare(error).fd, bytes, this.#written);
    }
  }

  #settle(): string {
    try {
      return this.#moveIn(this.#open());
    } catch (error) {
      return this.#moveIn(this.#goToSpare(error));
    }
  }

  #open(): Temporary {
    this.#temporary ??= this.#directory.openTemporary();
    return this.#temporary;
  }

  #moveIn(temporary: Temporary): string {
    const path = this.#directory.moveIn(temporary, this.#output);
    closeQuietly(temporary);
    this.#temporary = undefined;
    return path;
  }

  /** Takes along what was written: the open file can be read even where its directory is gone. */
  #goToSpare(error: unknown): Temporary {
    const before = this.#temporary;
    this.#directory = this.#doors.spare(error);
    const spare = this.#directory.openTemporary();
    this.#temporary = spare;
    if (before === undefined) return spare;
    const buffer = Buffer.alloc(COPY_BYTES);
    for (let at = 0; at < this.#written; ) {
      const count = fs.readSync(before.fd, buffer, 0, Math.min(COPY_BYTES, this.#written - at), at);
      if (count === 0) throw error;
      writeAll(spare.fd, buffer.subarray(0, count), at);
      at += count;
    }
    closeQuietly(before);
    fs.rmSync(before.path, { force: true });
    return spare;
  }
}

const COPY_BYTES = 256 * 1024;

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at, position + at);
}

function closeQuietly({ fd }: Temporary): void {
  try {
    fs.closeSync(fd);
  } catch {
    // What it held is checked or dropped already.
  }
}
