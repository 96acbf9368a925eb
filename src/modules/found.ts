/** What the two flights of a key bring: a read from the store, and an answer. */

import type { Origin, StoredFile } from '../core/answer.ts';
import type { EntryRow, PartialRow } from '../core/store-port.ts';
import type { Download } from './download.ts';

/** What the store has under a key. */
export type Read = {
  readonly file: StoredFile | undefined;
  readonly partial: PartialRow | undefined;
  /** A stored file that counts as not there as long as it is not confirmed. */
  readonly distrusted?: EntryRow;
};

/** A file that is there, or one that is coming. */
export type Found = { readonly file: StoredFile; readonly origin: Origin } | { readonly download: Download };
