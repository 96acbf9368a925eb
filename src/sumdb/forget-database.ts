/**
 * Drops a checksum database from the store: its files and its verdicts. A database that was rebuilt under the same key
 * needs this, as its old tree head would refuse the new tree for ever.
 */

import type { ForgottenSumdb } from '../core/control-port.ts';
import type { Store } from '../core/store-port.ts';
import { treeHeadKey } from './sumdb-path.ts';

type Files = Pick<Store, 'getKeys' | 'forget'>;

/** Drops the files of the database `name`, then its verdicts: those files are unchecked again. */
export async function forgetDatabase(
  store: Files & Pick<Store, 'dropVerdicts'>,
  name: string,
): Promise<ForgottenSumdb> {
  const files = await forgetFiles(store, name);
  return { files, verdicts: await forgetVerdicts(store, name) };
}

/**
 * Drops records, tiles and the tree head. The head goes last: if this is cut short, the next start finds it again.
 *
 * @returns the number of dropped files
 */
export async function forgetFiles(store: Files, name: string): Promise<number> {
  let files = 0;
  for (const prefix of [`sumdb/${name}/lookup/`, `sumdb/${name}/tile/`]) {
    for (;;) {
      const { rows } = await store.getKeys({ prefix, after: '' });
      if (rows.length === 0) break;
      files += (await store.forget({ keys: rows.map(({ key }) => key) })).answers;
    }
  }
  return files + (await store.forget({ keys: [treeHeadKey(name)] })).answers;
}

/** @returns how many files are unchecked again */
export async function forgetVerdicts(store: Pick<Store, 'dropVerdicts'>, database: string): Promise<number> {
  let verdicts = 0;
  for (let row: number | undefined = 0; row !== undefined; ) {
    const step: Awaited<ReturnType<Store['dropVerdicts']>> = await store.dropVerdicts({ database, row });
    verdicts += step.dropped;
    row = step.nextRow;
  }
  return verdicts;
}
