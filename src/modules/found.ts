/** The results of a key's two flights: a read of the store, and an answer. */

import type { Origin, StoredFile } from '../core/answer.ts';
import type { EntryRow, PartialRow } from '../core/store-port.ts';
import type { Download } from './download.ts';

/** The store's content under a key. */
export type Read = {
  readonly file: StoredFile | undefined;
  readonly partial: PartialRow | undefined;
  /** A stored file that `--verify=strict` ignores until the checksum database confirms it. */
  readonly distrusted?: EntryRow;
};

/** A file that is here, or a download that is under way. */
export type Found = { readonly file: StoredFile; readonly origin: Origin } | { readonly download: Download };
