/**
 * `astera import DIR`, and the import at the start of `serve`: a Go download cache into the store.
 *
 * Exit code 0 also where bad files were left out: each has its line. It is 1 where there was nothing
 * to take at all. Stopped by a signal it keeps what is stored; run again it goes on from there.
 */

import { quote } from '../core/quote.ts';
import { IMPORT_HINT, importFrom, treeRoot } from '../serve/import-from.ts';
import { stopSignal } from '../serve/stop-signal.ts';
import type { StoreConfig } from '../settings/config.ts';
import type { Imported } from '../tree/tree-import.ts';
import { BuilderPool } from '../workers/builder-pool.ts';
import { ownSumdb } from './own-sumdb.ts';
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

function nothingIn(root: string, { bad }: Imported): Error {
  const what = bad > 0 ? `none of its ${bad} files can be taken` : 'no module in it';
  return new Error(`cannot import ${quote(root)}: ${what}; ${IMPORT_HINT}`);
}
