/**
 * Whether there is room to store: asked before anything is, so that storing stops before the
 * disk is full and the WAL and its checkpoints still fit.
 *
 * Two signs count: the file system's own figures, looked up now and then, and a write that failed
 * for want of room (a quota or a file-size limit shows nowhere else), which is believed for a while.
 */

import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DISK_RESERVE_BYTES, DISK_RESERVE_PART, EVICTION_RESERVES } from './limits.ts';

/** SQLite's words for want of room: SQLITE_FULL, and the I/O errors a limit or a quota gives. */
const FULL = /SQLITE_FULL|SQLITE_IOERR/;

const LOOK_MS = 2_000;
/** After a failed write one is tried again only so much later. */
const FAILED_MS = 5_000;

export type DiskWatchOptions = {
  readonly dbPath: string;
  readonly now: () => number;
  /** Told when it begins to be full, with the reason, and when it no longer is, without. */
  readonly onChange?: (why: string | undefined) => void;
  /** Told how many bytes are free beside the room that is kept for growth; below 0 if there are fewer. */
  readonly onSpare?: (bytes: number) => void;
};

export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #low: string | undefined;
  #failed: { readonly why: string; readonly untilMs: number } | undefined;
  #told: string | undefined;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** Why nothing can be stored now; undefined: it can. */
  get full(): string | undefined {
    if (this.#failed !== undefined && this.#failed.untilMs > this.#options.now()) return this.#failed.why;
    return this.#low;
  }

  /** A write failed: `message` is what the writer said. */
  noteFailure(message: string): void {
    if (!FULL.test(message)) return;
    this.#failed = { why: message, untilMs: this.#options.now() + FAILED_MS };
    this.#tell();
  }

  noteSuccess(): void {
    if (this.#failed === undefined) return;
    this.#failed = undefined;
    this.#tell();
  }

  /** Asks the file system. A figure that can't be had changes nothing. */
  async look(): Promise<void> {
    try {
      const { bavail, bsize, blocks } = await statfs(dirname(this.#options.dbPath));
      const free = bavail * bsize;
      const reserve = Math.min(DISK_RESERVE_BYTES, blocks * bsize * DISK_RESERVE_PART);
      this.#low =
        free < reserve ? `disk is full: ${mib(free)} MiB free, ${mib(reserve)} kept back` : undefined;
      this.#tell();
      this.#options.onSpare?.(free - EVICTION_RESERVES * reserve);
    } catch {
      return;
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tell(): void {
    const { full } = this;
    if ((full === undefined) === (this.#told === undefined)) return;
    this.#told = full;
    this.#options.onChange?.(full);
  }
}

function mib(bytes: number): number {
  return Math.floor(bytes / 1024 ** 2);
}
