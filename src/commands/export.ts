/**
 * `astera export DIR`: the store as a directory for GOPROXY=file://…
 *
 * Reads beside a running server, a row at a time; takes no lock and asks no server. Stopped by a signal
 * it leaves whole files; run again it writes what is missing.
 */

import { existsSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { printable } from '../core/printable.ts';
import { formatSize } from '../core/quantity.ts';
import { Progress } from '../observe/progress.ts';
import { clock } from '../serve/clock.ts';
import { stopSignal } from '../serve/stop-signal.ts';
import type { StoreConfig } from '../settings/config.ts';
import { lookAtStore } from '../store/look.ts';
import { type Exported, exportTree } from '../tree/tree-export.ts';
import { ReaderPool } from '../workers/reader-pool.ts';

/** Two keep the writes busy; a server's own readers may be at work beside them. */
const READERS = 2;

/** @throws {StoreFailed} no store there, or it can't be read. @throws {BadRequest} the directory can't be written to */
export async function exportCommand(config: StoreConfig, directory: string): Promise<void> {
  const signal = stopSignal();
  const root = resolve(directory);
  lookAtStore(config.dbPath, { mayBeNew: false });
  // Before the threads, which take it over: a server that has the store, and its clients, come first.
  if (existsSync(`${config.dbPath}.sock`)) setPriority(constants.priority.PRIORITY_LOW);
  const readers = new ReaderPool({ dbPath: config.dbPath, threads: READERS });
  const progress = new Progress({ verb: 'exporting', stream: process.stderr, now: clock.monotonicMs });
  try {
    if (progress.wantsTotal) void countStored(readers).then((total) => progress.setTotal(total));
    const onDone = (done: { files: number; bytes: number }) => progress.add(done);
    const exported = await exportTree({ root, store: readers.call, signal, onDone });
    progress.end();
    process.stdout.write(`${printable(summaryOf(exported, progress.elapsedMs, root, signal.aborted))}\n`);
  } finally {
    progress.end();
    await readers.close();
  }
}

function summaryOf(
  { files, bytes, present, unproven }: Exported,
  elapsedMs: number,
  root: string,
  isStopped: boolean,
): string {
  const took = `${(elapsedMs / 1000).toFixed(1)}s`;
  const left = unproven > 0 ? `, ${unproven} checksums left out that the store can't prove` : '';
  const counts = `exported ${files} files (${formatSize(bytes)}) in ${took}, ${present} were there before${left}`;
  return `${counts}; ${isStopped ? 'stopped: run it again to go on' : `GOPROXY=${pathToFileURL(root).href}`}`;
}

/** For the bar alone. Fails quietly: the export itself says what is wrong. */
async function countStored(readers: ReaderPool): Promise<{ files: number; bytes: number }> {
  const total = { files: 0, bytes: 0 };
  for (let after = ''; ; ) {
    const { rows } = await readers.call.getKeys({ prefix: '', after }).catch(() => ({ rows: [] }));
    const last = rows.at(-1);
    if (last === undefined) return total;
    after = last.key;
    total.files += rows.length;
    for (const { status, size } of rows) total.bytes += status === 200 ? size : 0;
  }
}
