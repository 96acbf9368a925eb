/**
 * One import of a Go download cache into a store, with its progress on stderr: for `astera import`, and for
 * the start of `serve`.
 */

import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { formatSize } from '../core/quantity.ts';
import { quote } from '../core/quote.ts';
import { Progress } from '../observe/progress.ts';
import { walkSumdb, walkTree } from '../tree/tree-file.ts';
import { type Imported, type ImportOptions, importTree } from '../tree/tree-import.ts';
import { clock } from './clock.ts';

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
 * The root of the tree: `directory` itself, or its `cache/download` if it is a GOMODCACHE.
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
    throw new Error(`cannot import ${quote(directory)}: ${messageOf(cause)}; ${IMPORT_HINT}`, {
      cause,
    });
  }
}

/** The way out of a wrong directory, for errors. */
export const IMPORT_HINT = 'name a Go download cache, such as "$(go env GOMODCACHE)/cache/download"';

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
