/**
 * The actions that the last commands of a project used here, in one file each: the server need not send what is held.
 *
 * A file lies in the local directory, so it goes with it. One that is older than a trim may name actions that are gone, and
 * counts for nothing: then all is sent again.
 */

import { readFileSync, statSync } from 'node:fs';
import { SESSION_ACTIONS_MAX } from '../core/limits.ts';
import { PLUGIN_KEPT_MS_MIN } from './limits.ts';
import { replaceFile } from './replace-file.ts';

const ID_BYTES = 32;

export class HeldActions {
  readonly #path: string;
  readonly #now: () => number;

  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  /** The IDs of these actions. */
  read(): string[] {
    try {
      const { mtimeMs } = statSync(this.#path);
      if (this.#now() - mtimeMs > PLUGIN_KEPT_MS_MIN) return [];
      const bytes = readFileSync(this.#path);
      const count = Math.min(Math.floor(bytes.length / ID_BYTES), SESSION_ACTIONS_MAX);
      return Array.from({ length: count }, (_, at) =>
        bytes.toString('hex', at * ID_BYTES, (at + 1) * ID_BYTES),
      );
    } catch {
      return [];
    }
  }

  /** Adds the actions of a command, before those of others. */
  add(actionIds: readonly string[]): void {
    const all = new Set([...actionIds, ...this.read()]);
    const bytes = Buffer.concat(
      Array.from(all, (id) => Buffer.from(id, 'hex')).slice(0, SESSION_ACTIONS_MAX),
    );
    replaceFile(this.#path, bytes); // Otherwise all is sent again.
  }
}
