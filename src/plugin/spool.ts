/**
 * Work that a run left to the next one, as files of lines in one directory. Several processes use it at once: a rename claims a
 * file, which stays until its work is done. What a process that was killed had claimed, the next one takes over.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class Spool {
  readonly #directory: string;
  readonly #claimed: string[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Claims the files that nobody has, and gives the lines of each. */
  take(): string[][] {
    return readNames(this.#directory).flatMap((name) => {
      const [, owner, file = name] = CLAIMED.exec(name) ?? [];
      const path = join(this.#directory, name);
      if (owner !== undefined && isClaimed(path, Number(owner))) return [];
      const claimed = join(this.#directory, `.${process.pid}-${file}`);
      try {
        renameSync(path, claimed);
        this.#claimed.push(claimed);
        return [readFileSync(claimed, 'latin1').split('\n')];
      } catch {
        // Another process has it, or the directory is read-only: that one does it.
        return [];
      }
    });
  }

  /** Leaves a file of these lines. False: it can't be written. */
  add(lines: readonly string[]): boolean {
    try {
      mkdirSync(this.#directory, { recursive: true });
      writeFileSync(join(this.#directory, `${process.pid}-${Date.now()}`), `${lines.join('\n')}\n`);
      return true;
    } catch {
      return false;
    }
  }

  /** The work of all that was claimed is done, or left again. */
  dropClaimed(): void {
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
