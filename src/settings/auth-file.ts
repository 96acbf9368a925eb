/** The file of users and tokens, on the disk. Its lines: `access/accounts.ts`. */

import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type Account, formatAccounts, parseAccounts } from '../access/accounts.ts';
import { messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';
import { AUTH_FILE_BYTES_MAX } from './limits.ts';

/**
 * @param how `mayBeNew`: a missing file counts as one without users
 * @throws {UsageError} it can't be read, or a line of it is malformed
 */
export function readAuthFile(path: string, how: { readonly mayBeNew?: true } = {}): readonly Account[] {
  try {
    const stats = statSync(path, { throwIfNoEntry: how.mayBeNew === undefined });
    if (stats === undefined) return [];
    if (!stats.isFile() || stats.size > AUTH_FILE_BYTES_MAX) {
      throw new Error(`not a file of up to ${AUTH_FILE_BYTES_MAX} bytes`);
    }
    return parseAccounts(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new UsageError(`cannot read --auth-file ${quote(path)}: ${messageOf(cause)}`, { cause });
  }
}

/** Puts a new file in the place of the old one, whose owner and mode it takes over; a first one is its owner's alone. */
export function writeAuthFile(path: string, accounts: readonly Account[]): void {
  const before = statSync(path, { throwIfNoEntry: false });
  const part = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(part, formatAccounts(accounts), { mode: 0o600, flag: 'wx', flush: true });
    if (before !== undefined) {
      chownSync(part, before.uid, before.gid);
      chmodSync(part, before.mode & 0o7777);
    }
    renameSync(part, path);
  } catch (cause) {
    rmSync(part, { force: true });
    throw new Error(`cannot write --auth-file ${quote(path)}: ${messageOf(cause)}`, { cause });
  }
}
