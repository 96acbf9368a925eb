/**
 * Uploads that go on behind a build: a few at a time, from the files on disk. The rest is left to a spool in the local
 * directory at the end, which the next run empties.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isCacheId } from '../core/cache-id.ts';
import { PLUGIN_UPLOADS_WAITING_MAX } from '../core/limits.ts';
import type { LocalCache } from './local-cache.ts';
import type { RemoteCache } from './remote-cache.ts';

export class Uploads {
  readonly #local: LocalCache;
  readonly #remote: RemoteCache;
  readonly #openMax: number;
  /** Action IDs, oldest first. */
  readonly #waiting = new Set<string>();
  readonly #open = new Map<string, Promise<void>>();
  done = 0;

  constructor(local: LocalCache, remote: RemoteCache, openMax: number) {
    this.#local = local;
    this.#remote = remote;
    this.#openMax = openMax;
  }

  add(actionId: string): void {
    if (this.#waiting.size >= PLUGIN_UPLOADS_WAITING_MAX) return;
    this.#waiting.add(actionId);
    this.#start();
  }

  /** Takes over what earlier runs left. A rename claims a file: another process may empty the spool too. */
  takeSpool(): void {
    const directory = this.#local.ownPath('spool');
    for (const name of readNames(directory)) {
      const claimed = join(directory, `.${process.pid}-${name}`);
      try {
        renameSync(join(directory, name), claimed);
        for (const actionId of readFileSync(claimed, 'latin1').split('\n'))
          if (isCacheId(actionId)) this.add(actionId);
        unlinkSync(claimed);
      } catch {
        // Another process has it, or the directory is read-only: that one uploads.
      }
    }
  }

  /** Waits for all uploads, but no longer than `waitMs`, and leaves the rest to the spool. */
  async close(waitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), waitMs);
    });
    while (this.#open.size > 0) {
      if ((await Promise.race([timeout, ...this.#open.values()])) === 'late') break;
    }
    clearTimeout(timer);
    this.#spool([...this.#open.keys(), ...this.#waiting]);
  }

  #start(): void {
    for (const actionId of this.#waiting) {
      if (this.#open.size >= this.#openMax || !this.#remote.takesPuts) return;
      this.#waiting.delete(actionId);
      const upload = this.#upload(actionId).finally(() => {
        this.#open.delete(actionId);
        this.#start();
      });
      this.#open.set(actionId, upload);
    }
  }

  async #upload(actionId: string): Promise<void> {
    const entry = this.#local.get(actionId);
    if (entry === undefined) return;
    if (await this.#remote.put(actionId, entry)) this.done++;
    else this.#waiting.add(actionId);
  }

  #spool(actionIds: readonly string[]): void {
    if (actionIds.length === 0) return;
    try {
      const directory = this.#local.ownPath('spool');
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `${process.pid}-${Date.now()}`), `${actionIds.join('\n')}\n`);
    } catch {
      // They are not shared: a later build of the same package on another machine compiles it again.
    }
  }
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => !name.startsWith('.'));
  } catch {
    return [];
  }
}
