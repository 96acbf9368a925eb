/**
 * Small files that were read lately, in memory: the `.info`, `.mod` and `.zip` of one version read the same go.mod file.
 *
 * A file is named by its commit's hash and its path, so what is kept is true for ever.
 */

import { GIT_FILES_KEPT_BYTES_MAX } from './limits.ts';

export class KeptFiles {
  readonly #bytesMax: number;
  readonly #files = new Map<string, Buffer | undefined>();
  #bytes = 0;

  constructor(bytesMax: number = GIT_FILES_KEPT_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of all files and their names. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it is known what the file holds, or that there is none. */
  has(name: string): boolean {
    return this.#files.has(name);
  }

  /** A copy of the caller's own; undefined where {@link has} says that there is no file. */
  get(name: string): Buffer | undefined {
    const file = this.#files.get(name);
    return file && Buffer.from(file);
  }

  /** Copies `file`, as its buffer may hold much else. One that has more than an eighth of all room is not kept. */
  add(name: string, file: Buffer | undefined): void {
    const bytes = cost(name, file);
    if (this.#files.has(name) || bytes > this.#bytesMax / 8) return;
    this.#files.set(name, file && Buffer.from(file));
    this.#bytes += bytes;
    for (const [oldest, old] of this.#files) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#files.delete(oldest);
      this.#bytes -= cost(oldest, old);
    }
  }
}

/** With what a map's entry takes. */
function cost(name: string, file: Buffer | undefined): number {
  return 100 + name.length + (file?.length ?? 0);
}
