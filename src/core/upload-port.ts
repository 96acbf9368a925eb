/**
 * The queue of what is to be written to the bucket, as a part of the store: names, not bodies.
 *
 * What enters the store is queued in the transaction that stores it, so that a crash loses nothing. A pump takes rows, uploads
 * what they name, and ends them. A row whose file is stored anew meanwhile gets another ID: ending the old ID leaves it.
 */

/**
 * `entry`: a stored answer by its key; `action`: of the main namespace, by its ID, with its output; `list`: a module (escaped
 * path) whose list in the bucket is to be written anew; `set`: of actions of the main namespace, by its key.
 */
export type UploadKind = 'entry' | 'action' | 'list' | 'set';

export type UploadName = { readonly kind: UploadKind; readonly name: string };

export type UploadRow = UploadName & {
  readonly id: number;
  /** Tries that failed so far, because of this row alone. */
  readonly tries: number;
};

export type UploadCounts = {
  readonly waiting: number;
  /** When the oldest of them was queued, Unix ms; undefined if none waits. */
  readonly oldestAtMs: number | undefined;
  /** Rows that were given up. They stay, to be listed and tried again by `astera push`. */
  readonly lost: number;
  /** Names that found the queue full since the store was made. `astera push --all` finds them. */
  readonly skipped: number;
};

/** A try that failed. `isLost`: no other one will be made. */
export type FailedUpload = {
  readonly id: number;
  readonly why: string;
  readonly afterMs: number;
  readonly isLost: boolean;
};

export type UploadReaderPort = {
  /** Up to `limit` rows that may be tried at `nowMs`, in the order in which they came, after the row `after`. */
  getUploads(request: { after: number; nowMs: number; limit: number }): { rows: UploadRow[] };
  getUploadCounts(request: Record<never, never>): UploadCounts;
};

export type UploadWriterPort = {
  /** From now on what enters the store is queued, or not. It holds for later starts too. */
  keepUploads(request: { isOn: boolean }): Record<never, never>;
  /** Ends rows, and queues up to KEYS_PER_CALL_MAX others. */
  endUploads(request: {
    done: readonly number[];
    failed: readonly FailedUpload[];
    queued: readonly UploadName[];
    nowMs: number;
  }): Record<never, never>;
  /** Has all rows tried again at once, those that were given up too. */
  retryUploads(request: Record<never, never>): { lost: number };
  /** Queues what is stored, UPLOADS_QUEUED_PER_CALL rows for each call, after the row `after` (0 at first). Without `last` all is done. */
  queueStored(request: { kind: 'entry' | 'action' | 'set'; after: number; nowMs: number }): {
    queued: number;
    last?: number;
  };
};
