/** An output in the local directory that new ones are told by. The form of a delta: `core/delta.ts`. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { decodeDelta } from '../core/delta.ts';

export class DeltaBase {
  readonly path: string;
  readonly outputId: string;
  readonly #fd: number;
  readonly #size: number;

  /** @throws {Error} it is not there */
  constructor(path: string, outputId: string) {
    this.path = path;
    this.outputId = outputId;
    this.#fd = openSync(path, 'r');
    this.#size = fstatSync(this.#fd).size;
  }

  /**
   * Gives the pieces of the part that begins at `at`.
   *
   * @throws {Error} no delta against this output
   */
  *pieces(delta: Uint8Array, at: number): Generator<Buffer, void, void> {
    for (const piece of decodeDelta(delta, { at, baseSize: this.#size })) {
      if ('bytes' in piece) {
        const { buffer, byteOffset, byteLength } = piece.bytes;
        yield Buffer.from(buffer, byteOffset, byteLength);
        continue;
      }
      const bytes = Buffer.allocUnsafe(piece.length);
      if (readSync(this.#fd, bytes, 0, piece.length, piece.from) !== piece.length)
        throw new Error('an output was cut while it was read');
      yield bytes;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
