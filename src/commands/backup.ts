/** `astera backup FILE` and `astera restore FILE`: a copy of the whole store, and back. */

import { existsSync, statSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { dirname } from 'node:path';
import { StoreFailed } from '../core/errors.ts';
import { formatSize } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import { Progress } from '../observe/progress.ts';
import { clock } from '../serve/clock.ts';
import { stopSignal } from '../serve/stop-signal.ts';
import type { StoreConfig } from '../settings/config.ts';
import { copyStore } from '../store/backup.ts';
import { lockStore } from '../store/lock.ts';
import { lookAtStore } from '../store/look.ts';
import { checkStore } from '../store/schema.ts';
import { isConfirmed } from './confirm.ts';

/**
 * Writes the store to `file` as it is now, beside a running server too. An older backup there is replaced.
 *
 * @throws {StoreFailed} no store; `file` is the store itself or no store; it can't be written
 */
export async function backupCommand({ dbPath }: StoreConfig, file: string): Promise<void> {
  lookAtStore(dbPath, { mayBeNew: false });
  refuseForeign(file, dbPath);
  setPriority(constants.priority.PRIORITY_LOW); // The server and its clients come first.
  const line = await copy('backing up', { from: dbPath, to: file, isChecked: false });
  process.stdout.write(line === undefined ? 'stopped: no backup was written\n' : `wrote ${line}\n`);
}

/**
 * Puts the backup in the place of the store, which no server may use meanwhile.
 *
 * @param isSure whether nobody needs to be asked before a store is replaced
 * @throws {StoreFailed} no backup, or a damaged one; the store is in use, or can't be written
 * @throws {Error} the answer was no
 */
export async function restoreCommand(
  { dbPath }: StoreConfig,
  { file, isSure }: { readonly file: string; readonly isSure: boolean },
): Promise<void> {
  const cannot = `cannot restore ${quote(file)}`;
  if (!existsSync(file)) throw new StoreFailed(`${cannot}: there is no such file`);
  if (isSame(file, dbPath)) throw new StoreFailed(`${cannot}: it is the store itself`);
  demandStore(file, `${cannot}: it is no backup`);
  const lock = lockStore(dbPath);
  try {
    const question = `Replace all that is stored in ${quote(dbPath)}?`;
    if (existsSync(dbPath) && !isSure && !(await isConfirmed(question))) throw new Error('restored nothing');
    const line = await copy('restoring', { from: file, to: dbPath, isChecked: true });
    process.stdout.write(line === undefined ? 'stopped: nothing was restored\n' : `restored ${line}\n`);
  } finally {
    lock.release();
  }
}

type Copy = { readonly from: string; readonly to: string; readonly isChecked: boolean };

/** @returns what was written, for the user; undefined if a signal stopped it */
async function copy(verb: string, paths: Copy): Promise<string | undefined> {
  const progress = new Progress({ verb, stream: process.stderr, now: clock.monotonicMs });
  let shown = 0;
  const onProgress = ({ bytes, total }: { readonly bytes: number; readonly total: number }) => {
    progress.setTotal({ files: 0, bytes: total });
    progress.add({ files: 0, bytes: bytes - shown });
    shown = bytes;
  };
  try {
    const bytes = await copyStore({ ...paths, onProgress, signal: stopSignal() });
    const seconds = (progress.elapsedMs / 1000).toFixed(1);
    return bytes === undefined ? undefined : `${quote(paths.to)}: ${formatSize(bytes)} in ${seconds}s`;
  } finally {
    progress.end();
  }
}

/** @throws {StoreFailed} the file is there, and is the store itself or something else than a store */
function refuseForeign(file: string, dbPath: string): void {
  const cannot = `cannot write backup ${quote(file)}`;
  if (!existsSync(dirname(file)))
    throw new StoreFailed(`${cannot}: there is no directory ${quote(dirname(file))}; make it`);
  if (!existsSync(file)) return;
  if (isSame(file, dbPath)) throw new StoreFailed(`${cannot}: it is the store itself; name another file`);
  demandStore(file, `${cannot}: something that is no backup has this name; name another file`);
}

/** @throws {StoreFailed} with `otherwise`, if it is no store of ours */
function demandStore(file: string, otherwise: string): void {
  try {
    checkStore(file);
  } catch (error) {
    throw new StoreFailed(otherwise, { cause: error });
  }
}

function isSame(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return one !== undefined && one.dev === other?.dev && one.ino === other.ino;
}
