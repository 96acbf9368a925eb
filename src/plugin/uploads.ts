/**
 * Uploads that go on behind a build: a few at a time, from the files on disk. The rest is left to a spool in the local
 * directory at the end, which the next run empties.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isCacheId } from '../core/cache-id.ts';
import { PLUGIN_UPLOADS_WAITING_MAX } from './limits.ts';
import type { LocalCache } from './local-cache.ts';
import type { RemoteCache } from './remote-cache.ts';

export class Uploads {
  readonly #local: LocalCache;
  readonly #remote: RemoteCache;
  readonly #openMax: number;
  /** Action IDs, oldest first. */
  readonly #waiting = new Set<string>();
  readonly #open = new Map<string, Promise<void>>();
  /** Files of the spool whose uploads are under way. */
  readonly #claimed: string[] = [];
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

  /**
   * Takes over what earlier runs left, those among them that were killed. A rename claims a file, as another process may
   * empty the spool too; it stays until its uploads are done.
   */
  takeSpool(): void {
    const directory = this.#local.ownPath('spool');
    for (const name of readNames(directory)) {
      const [, owner, file = name] = CLAIMED.exec(name) ?? [];
      const path = join(directory, name);
      if (owner !== undefined && isClaimed(path, Number(owner))) continue;
      const claimed = join(directory, `.${process.pid}-${file}`);
      try {
        renameSync(path, claimed);
        this.#claimed.push(claimed);
        for (const actionId of readFileSync(claimed, 'latin1').split('\n'))
          if (isCacheId(actionId)) this.add(actionId);
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
    if (this.#spool([...this.#open.keys(), ...this.#waiting])) this.#dropClaimed();
  }

  #start(): void {
    for (const actionId of this.#waiting) {
      if (this.#open.size >= this.#openMax || !this.#remote.takesPuts) return;
      this.#waiting.delete(actionId);
      const upload = this.#upload(actionId).finally(() => {
        this.#open.delete(actionId);
        if (this.#open.size + this.#waiting.size === 0) this.#dropClaimed();
        this.#start();
      });
      this.#open.set(actionId, upload);
    }
  }

  async #upload(actionId: string): Promise<void> {
    const entry = this.#local.getOwn(actionId);
    if (entry === undefined) return;
    if (await this.#remote.put(actionId, entry)) this.done++;
    else this.#waiting.add(actionId);
  }

  /** False where they can't be written down. */
  #spool(actionIds: readonly string[]): boolean {
    if (actionIds.length === 0) return true;
    try {
      const directory = this.#local.ownPath('spool');
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `${process.pid}-${Date.now()}`), `${actionIds.join('\n')}\n`);
      return true;
    } catch {
      // They are not shared: a later build of the same package on another machine compiles it again.
      return false;
    }
  }

  #dropClaimed(): void {
    for (const path of this.#claimed.splice(0)) rmSync(path, { force: true });
  }
}

/** `.<process>-<file>`: a process has it. */
const CLAIMED = /^\.([0-9]+)-(.*)$/;

/** A process that is gone has nothing. Its number may be another's by now, so no claim is older than a day. */
function isClaimed(path: string, owner: number): boolean {
  const claimedAtMs = statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? 0;
  return owner !== process.pid && Date.now() - claimedAtMs < CLAIM_MS && isRunning(owner);
}

const CLAIM_MS = 24 * 3_600_000;

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
