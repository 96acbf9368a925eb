/**
 * A pause in accepting connections where no file descriptor can be had.
 *
 * The process's own limit is kept clear of (`connectionsMax`), but it can be lowered while the server runs, and the machine's
 * table (ENFILE) may be full by other programs. uWebSockets then tries to accept the same connection over and over, and the front
 * thread spins. Nothing tells of that, so a loop that is busy all the time asks here.
 */

import { closeSync, openSync } from 'node:fs';
import { DESCRIPTOR_PAUSE_MS } from './limits.ts';

export type DescriptorPauseOptions = {
  readonly pause: () => void;
  /** Resolves to false where it did not work yet. */
  readonly resume: () => Promise<boolean>;
  /** Told of each pause, with the reason. */
  readonly onPause: (why: string) => void;
  /** For tests. */
  readonly missing?: () => string | undefined;
};

export class DescriptorPause {
  readonly #options: DescriptorPauseOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DescriptorPauseOptions) {
    this.#options = options;
  }

  /** Looks whether descriptors can be had, and pauses until they can. */
  look(): void {
    if (this.#timer !== undefined) return;
    const { missing = noDescriptors, pause, onPause } = this.#options;
    const why = missing();
    if (why === undefined) return;
    pause();
    onPause(why);
    this.#wait();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    this.#timer = setTimeout(() => void this.#tryAgain(), DESCRIPTOR_PAUSE_MS);
  }

  async #tryAgain(): Promise<void> {
    const { missing = noDescriptors, resume } = this.#options;
    if (missing() !== undefined || !(await resume())) this.#wait();
    else this.#timer = undefined;
  }
}

/** Why a listener and a connection of it can't be had; undefined: they can. */
function noDescriptors(): string | undefined {
  const opened: number[] = [];
  try {
    while (opened.length < 2) opened.push(openSync('/dev/null', 'r'));
    return undefined;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    return code === 'EMFILE' || code === 'ENFILE' ? code : undefined;
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}
