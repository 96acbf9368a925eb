/**
 * Keeps the copies of all repositories below a bound, and tidies those that many fetches have left in pieces.
 *
 * Looks a while after a repository was used, and at no other time: an idle server does nothing. The last use is the time of
 * the repository's directory, so a new process knows it too. One thing at a time, and nothing that is in use.
 */

import { rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type CopySize, copySize, copySizes } from './copy-sizes.ts';
import { GIT_SWEEP_MS } from './limits.ts';

/** A repository's copies, by the name of their directory. */
export type KeptCopies = {
  /** Removes what is not in use now. False if something is. */
  evict(): Promise<boolean>;
  /** Joins the packs of each copy that has many. How many were joined. */
  tidy(): Promise<number>;
};

export type CopyKeeperOptions = {
  /** `--git-dir`. */
  readonly directory: string;
  readonly bytesMax: number;
  /** Undefined where nothing says which repository it is. */
  readonly copiesIn: (name: string) => Promise<KeptCopies | undefined>;
  /** Default GIT_SWEEP_MS. */
  readonly sweepMs?: number;
};

/** What there is, and what was done since the start. */
export type CopyCounts = {
  readonly copies: number;
  readonly bytes: number;
  readonly removed: number;
  readonly tidied: number;
};

export class CopyKeeper {
  readonly #options: CopyKeeperOptions;
  readonly #used = new Set<string>();
  #kept: Map<string, CopySize> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #removed = 0;
  #tidied = 0;

  constructor(options: CopyKeeperOptions) {
    this.#options = options;
  }

  /** As it was at the last look. */
  get counts(): CopyCounts {
    const kept = [...(this.#kept?.values() ?? [])];
    const bytes = kept.reduce((sum, one) => sum + one.bytes, 0);
    return { copies: kept.length, bytes, removed: this.#removed, tidied: this.#tidied };
  }

  /** A repository is used now. */
  use(name: string): void {
    this.#used.add(name);
    this.#timer ??= setTimeout(() => void this.#look(), this.#options.sweepMs ?? GIT_SWEEP_MS).unref();
  }

  async #look(): Promise<void> {
    await this.sweep().catch(() => {}); // The disk's trouble is told to those who ask for modules.
    this.#timer = undefined;
    const [next] = this.#used;
    if (next !== undefined) this.use(next);
  }

  /** Looks at what was used since the last time, tidies it, and removes what is over the bound. */
  async sweep(): Promise<void> {
    const { directory, bytesMax, copiesIn } = this.#options;
    const used = [...this.#used];
    this.#used.clear();
    this.#kept ??= await copySizes(directory);
    const kept = this.#kept;
    for (const name of used) {
      this.#tidied += (await (await copiesIn(name))?.tidy()) ?? 0;
      const now = new Date();
      await utimes(join(directory, name), now, now).catch(() => {}); // Nothing was fetched.
      const size = await copySize(directory, name);
      if (size === undefined) kept.delete(name);
      else kept.set(name, size);
    }
    const oldest = [...kept].sort(([, a], [, b]) => a.usedAtMs - b.usedAtMs);
    for (const [name] of oldest) {
      if (this.counts.bytes <= bytesMax) return;
      if (this.#used.has(name)) continue;
      const copies = await copiesIn(name);
      if (copies === undefined) await rm(join(directory, name), { recursive: true, force: true });
      else if (!(await copies.evict())) continue;
      this.#removed++;
      kept.delete(name);
    }
  }
}
