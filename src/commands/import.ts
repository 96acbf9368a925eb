/**
 * `astera import DIR`, and the import at the start of `serve`: a Go download cache into the store.
 *
 * Exit code 0 also where bad files were left out: each has its line. It is 1 where there was nothing
 * to take at all. Stopped by a signal it keeps what is stored; run again it goes on from there.
 */

import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoreConfig } from '../config.ts';
import { messageOf } from '../core/errors.ts';
import { formatSize } from '../core/quantity.ts';
import { walkSumdb, walkTree } from '../tree/tree-file.ts';
import { type Imported, type ImportOptions, importTree } from '../tree/tree-import.ts';
import { BuilderPool } from '../workers/builder-pool.ts';
import { clock } from './clock.ts';
import { ownSumdb } from './own-sumdb.ts';
import { Progress } from './progress.ts';
import { stopSignal } from './stop-signal.ts';
import { openStoreForWriting } from './writable-store.ts';

/** Zip checks beside the import's own reading and writing. */
const BUILDERS = 1;

/** @throws {Error} no such directory, nothing in it, or the store can't take it */
export async function importCommand(config: StoreConfig, directory: string): Promise<void> {
  const signal = stopSignal();
  const root = await treeRoot(directory);
  const opened = await openStoreForWriting(config, { mayBeNew: true, mode: 'bulk' });
  const builder = new BuilderPool({ dbPath: config.dbPath, threads: BUILDERS, nice: 0 });
  try {
    const sumdb = opened.own === undefined ? opened.server : ownSumdb(config, opened.own);
    const parts = { store: opened.store, builder: builder.call, sumdb, signal };
    const { imported, summary } = await importFrom(root, parts);
    if (imported.files + imported.present === 0 && !signal.aborted) throw nothingIn(root, imported);
    process.stdout.write(`${summary}\n`);
  } finally {
    await opened.close();
    await builder.close();
  }
}

export type ImportParts = Pick<ImportOptions, 'store' | 'builder' | 'sumdb' | 'signal'>;

/** Imports the tree at `root`, telling of its progress on stderr. */
export async function importFrom(
  root: string,
  parts: ImportParts,
): Promise<{ imported: Imported; summary: string }> {
  const progress = new Progress({ verb: 'importing', stream: process.stderr, now: clock.monotonicMs });
  if (progress.wantsTotal) void countTree(root, parts.signal).then((total) => progress.setTotal(total));
  try {
    const imported = await importTree({
      root,
      ...parts,
      wallMs: clock.wallMs,
      onDone: (done) => progress.add(done),
      onBad: (path, why) => progress.say(`left out: ${path}: ${why}`),
    });
    return { imported, summary: summaryOf(imported, progress.elapsedMs, parts.signal.aborted) };
  } finally {
    progress.end();
  }
}

/**
 * Where the tree is: in `directory` itself, or in its `cache/download` where it is a GOMODCACHE.
 *
 * @throws {Error} no directory
 */
export async function treeRoot(directory: string): Promise<string> {
  try {
    const root = await realpath(directory);
    if (!(await stat(root)).isDirectory()) throw new Error('not a directory');
    const inside = join(root, 'cache/download');
    return await realpath(inside).catch(() => root);
  } catch (cause) {
    throw new Error(`cannot import ${JSON.stringify(directory)}: ${messageOf(cause)}; ${HINT}`, { cause });
  }
}

const HINT = 'name a Go download cache, such as "$(go env GOMODCACHE)/cache/download"';

function nothingIn(root: string, { bad }: Imported): Error {
  const what = bad > 0 ? `none of its ${bad} files can be taken` : 'no module in it';
  return new Error(`cannot import ${JSON.stringify(root)}: ${what}; ${HINT}`);
}

function summaryOf({ files, bytes, present, bad }: Imported, elapsedMs: number, isStopped: boolean): string {
  const took = `${(elapsedMs / 1000).toFixed(1)}s`;
  const counts = [
    `imported ${files} files (${formatSize(bytes)}) in ${took}`,
    `${present} were stored before`,
    ...(bad > 0 ? [`${bad} left out`] : []),
  ];
  return counts.join(', ') + (isStopped ? '; stopped: run it again to go on' : '');
}

/** For the bar alone: a look ahead at all there is. */
async function countTree(root: string, signal: AbortSignal): Promise<{ files: number; bytes: number }> {
  const total = { files: 0, bytes: 0 };
  for (const files of [walkSumdb(root), walkTree(root)]) {
    for (const file of files) {
      if (signal.aborted) break;
      if (file.kind === 'bad') continue;
      total.files++;
      total.bytes += (await stat(file.path).catch(() => undefined))?.size ?? 0;
    }
  }
  return total;
}
