/** Looks at the start whether Git can work here, so that the log says what is missing before a client finds out. */

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import type { Git } from './git-command.ts';

export type GitCheckOptions = {
  readonly git: Git;
  /** `--git-dir`. */
  readonly directory: string;
  readonly home: string | undefined;
};

/** One line for each thing that is missing, with the way out; none if all is well. Never rejects. */
export async function checkGit({ git, directory, home }: GitCheckOptions): Promise<string[]> {
  const faults = await Promise.all([programFault(git), homeFault(home), directoryFault(directory)]);
  return faults.filter((fault) => fault !== undefined);
}

async function programFault(git: Git): Promise<string | undefined> {
  const text = await git.run(['version']).then(String, (error: unknown) => messageOf(error));
  const [, major = '', minor = ''] = /^git version (\d+)\.(\d+)/.exec(text) ?? [];
  if (major === '') return `private modules can't be fetched: ${text.trim()}; install git, or set --git=off`;
  const isOld =
    Number(major) < OLDEST.major || (Number(major) === OLDEST.major && Number(minor) < OLDEST.minor);
  if (!isOld) return undefined;
  return `private modules may fail: git ${major}.${minor} is older than ${OLDEST.major}.${OLDEST.minor}, the oldest that works`;
}

async function homeFault(home: string | undefined): Promise<string | undefined> {
  const where = 'Git finds no settings, ssh keys or logins';
  if (home === undefined || home === '') return `HOME is not set: ${where}`;
  return await access(home, constants.R_OK | constants.X_OK).then(
    () => undefined,
    (error: unknown) => `HOME cannot be read: ${where}: ${messageOf(error)}`,
  );
}

/** It is made when it is needed, so the first directory above it counts that is there. */
async function directoryFault(directory: string): Promise<string | undefined> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      if (!(await stat(path)).isDirectory()) return cannotWrite(directory, `${quote(path)} is no directory`);
      await access(path, constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!isMissing || path === dirname(path)) return cannotWrite(directory, messageOf(error));
    }
  }
}

function cannotWrite(directory: string, why: string): string {
  return `private modules can't be fetched: cannot write to ${quote(directory)} (--git-dir): ${why}`;
}

/** Debian 11's. `fetch --no-write-fetch-head` came with 2.29, `rev-parse --end-of-options` with 2.30. */
const OLDEST = { major: 2, minor: 30 };
