/** The figures of a store, as `store/stats.ts` counts them. */

import type { EntryKind } from './entry-kind.ts';
import type { UploadCounts, UploadName } from './upload-port.ts';

/**
 * The numbers of zips and go.mod files that the checksum database has not confirmed. Private files are counted only
 * until they are looked at.
 */
export type Unsettled = {
  /** Files that it was not asked about yet. */
  readonly unchecked: number;
  /** Files that it could not be asked about, or does not know. */
  readonly unconfirmed: number;
  /** The unconfirmed files that it does not know. */
  readonly unknown: number;
};

/** Answers of one kind, status and source. */
export type Tally = {
  readonly kind: EntryKind;
  /** 200, 404 or 410. */
  readonly status: number;
  readonly source: string;
  readonly entries: number;
  /** Of their bodies, as if each had its own. */
  readonly bytes: number;
  /** Unix time. */
  readonly oldestAtMs: number;
  readonly newestAtMs: number;
};

/** A download that is not whole. */
export type Partial = {
  readonly key: string;
  /** Stored so far, to a chunk. */
  readonly bytes: number;
  /** Of the whole file; null where the upstream did not say it. */
  readonly size: number | null;
  readonly changedAtMs: number;
};

/** The build cache, counted. */
export type BuildCacheStats = {
  readonly actions: number;
  readonly outputs: number;
  /** Of the outputs' contents, and as they are stored. */
  readonly bytes: number;
  readonly storedBytes: number;
  /** Actions for which another output was put, and refused. */
  readonly conflictCount: number;
  /** The newest CONFLICTS_LISTED_MAX of them. */
  readonly conflicts: readonly Conflict[];
};

/** An action for which another output than its own was put. */
export type Conflict = {
  readonly namespace: string;
  readonly actionId: string;
  readonly outputId: string;
  /** The last one refused, how many were, and when. */
  readonly refusedOutputId: string;
  readonly times: number;
  readonly atMs: number;
};

/** The queue for the bucket. */
export type UploadStats = Omit<UploadCounts, 'oldestAtMs'> & {
  readonly oldestAtMs: number | null;
  /** The newest LOST_LISTED_MAX of those that were given up, and why. */
  readonly lostFiles: readonly (UploadName & { readonly why: string })[];
};

export type StoreStats = Unsettled & {
  readonly storeBytes: number;
  readonly walBytes: number;
  /** Pages in the file that hold nothing now. */
  readonly freeBytes: number;
  /** The bound that the server was last told to keep to; null: none. */
  readonly bytesMax: number | null;
  /** Zips that are never dropped for want of room. */
  readonly pinned: { readonly zips: number; readonly bytes: number };
  readonly tallies: readonly Tally[];
  /** Bodies that are not inline, each content once. */
  readonly blobs: { readonly count: number; readonly bytes: number };
  /** The newest PARTIALS_LISTED_MAX of them. */
  readonly partials: readonly Partial[];
  readonly partialCount: number;
  readonly buildCache: BuildCacheStats;
  readonly uploads: UploadStats;
};
