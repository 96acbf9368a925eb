/** Objects of the bucket that were not what they should be: they count as absent, and what is put there replaces them. */

import { WRONG_OBJECTS_MAX } from './limits.ts';

export class WrongObjects {
  readonly #keys = new Set<string>();
  readonly #onWrong: (key: string, why: string) => void;

  constructor(onWrong: (key: string, why: string) => void) {
    this.#onWrong = onWrong;
  }

  /** Past the bound one counts as wrong this once. */
  note(key: string, why: string): void {
    if (this.#keys.size < WRONG_OBJECTS_MAX) this.#keys.add(key);
    this.#onWrong(key, why);
  }

  /** Of an object that is wrong in part, or is written anew in any case: others still read it. */
  tell(key: string, why: string): void {
    this.#onWrong(key, why);
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  replaced(key: string): void {
    this.#keys.delete(key);
  }
}
