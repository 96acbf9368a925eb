/** The files of an export: stored files, and files that are made from stored ones. */

import type { KeyRow, ReaderPort, Remote } from '../core/store-port.ts';

export type ExportedStore = Pick<Remote<ReaderPort>, 'getKeys' | 'getEntry' | 'writeBlob'>;

/** One file of the tree. An `isFixed` file never changes: if it exists already, it is not read. */
export type TreeEntry =
  | { readonly kind: 'stored'; readonly row: KeyRow; readonly isFixed: boolean }
  | { readonly kind: 'made'; readonly path: string; readonly bytes: Uint8Array }
  | { readonly kind: 'copy'; readonly path: string; readonly of: string };

/** All stored 200s whose keys begin with `prefix`, in the order of keys. */
export async function* storedRows(store: ExportedStore, prefix: string): AsyncGenerator<KeyRow> {
  for (let after = ''; ; ) {
    const { rows } = await store.getKeys({ prefix, after });
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.key;
    yield* rows.filter(({ status }) => status === 200);
  }
}
