/**
 * One file's bytes, for the builders, which check a zip where it lies, and for the writer, which takes
 * it from there: an import's bytes cross no thread.
 *
 * It holds no bytes. Readers of small ranges read ahead (`modzip/byte-source.ts`).
 */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { BadRequest, messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';

/** Waits for no writer of a pipe, and follows no symbolic link. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export class FileSource {
  readonly size: number;
  readonly #fd: number;
  readonly #path: string;

  /** @throws {BadRequest} no regular file, or not to be read */
  constructor(path: string) {
    this.#path = path;
    this.#fd = this.#guarded(() => openSync(path, FLAGS));
    const stats = fstatSync(this.#fd);
    this.size = stats.size;
    if (stats.isFile()) return;
    this.close();
    throw new BadRequest(`cannot read ${quote(path)}: not a regular file`);
  }

  /** At least one byte and at most `length` from `offset` on. @throws {BadRequest} the file got shorter */
  read(offset: number, length: number): Uint8Array {
    const into = Buffer.allocUnsafeSlow(length);
    const bytes = this.#guarded(() => readSync(this.#fd, into, 0, length, offset));
    if (bytes === 0) throw new BadRequest(`cannot read ${quote(this.#path)}: it ends at ${offset}`);
    return into.subarray(0, bytes);
  }

  /** Fills `into` from `offset` on, as far as the file goes. @returns how many bytes that were */
  readInto(into: Uint8Array, offset: number): number {
    let filled = 0;
    for (let bytes = -1; bytes !== 0 && filled < into.byteLength; filled += bytes) {
      bytes = this.#guarded(() =>
        readSync(this.#fd, into, filled, into.byteLength - filled, offset + filled),
      );
    }
    return filled;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      throw new BadRequest(`cannot read ${quote(this.#path)}: ${messageOf(cause)}`, { cause });
    }
  }
}
