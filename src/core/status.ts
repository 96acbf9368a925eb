/**
 * What the status page shows, as `status/` collects it and `page/` draws it: one JSON text for each look.
 *
 * Nothing in it is private but the names of modules, and a client gets only those that it may read. Times are Unix ms,
 * sizes are bytes.
 */

import type { EntryKind } from './entry-kind.ts';

/** One look at a running server. */
export type Status = {
  /** The server's clock now. */
  readonly atMs: number;
  readonly server: ServerFacts;
  /** Requests that are being answered now, but for this one; and open connections. */
  readonly open: { readonly requests: number; readonly connections: number };
  /** The minutes of the last hour, oldest first; the last one is not over. */
  readonly hour: readonly Minute[];
  /** Everything since the start. */
  readonly total: Totals;
  readonly downloads: Downloading;
  readonly upstreams: readonly UpstreamState[];
  /** Undefined: the store could not be counted. */
  readonly store: StoreFigures | undefined;
  /** Undefined without Git. */
  readonly git: GitCopies | undefined;
  /** Undefined without a bucket. */
  readonly bucket: { readonly isDown: boolean } | undefined;
};

/** What stays the same while a server runs. */
export type ServerFacts = {
  readonly version: string;
  /** Node's. */
  readonly node: string;
  readonly startedAtMs: number;
  /** The address that it listens at, as `--addr` has it. */
  readonly address: string;
  readonly isSecure: boolean;
  readonly isOffline: boolean;
  readonly verify: string;
};

/** What is counted. All of these only grow. */
export const TOTALS = [
  // Answers by where they came from, without those of the build cache.
  'memory',
  'store',
  'upstream',
  'git',
  'bucket',
  'stale',
  'computed',
  // Requests for versions that the policy refused.
  'refused',
  // Requests to upstreams, those that failed, and the bytes of whole files.
  'upstreamRequests',
  'upstreamFailures',
  'upstreamBytes',
  // The build cache: gets that found something and that did not, puts that were new.
  'buildHits',
  'buildMisses',
  'buildPuts',
  // Calls that the store's writer has committed.
  'storeWrites',
] as const;

export type TotalName = (typeof TOTALS)[number];

export type Totals = { readonly [N in TotalName]: number };

/** What was counted from a time on, for a minute. Zeros are left out. */
export type Minute = { readonly fromMs: number } & { readonly [N in TotalName]?: number };

/** Downloads that are under way. */
export type Downloading = {
  /** Those of modules that the client may read, the oldest first, at most DOWNLOADS_SHOWN_MAX. */
  readonly shown: readonly DownloadState[];
  /** How many more there are. */
  readonly more: number;
};

/** A zip that is coming. */
export type DownloadState = {
  readonly module: string;
  readonly version: string;
  readonly receivedBytes: number;
  /** Undefined if its source has not said it. */
  readonly sizeBytes: number | undefined;
  readonly startedAtMs: number;
};

/** A member of `--upstream`, by its host's name. */
export type UpstreamState = { readonly name: string; readonly isDown: boolean };

/** Copies of repositories, and what was done with them since the start. */
export type GitCopies = {
  readonly copies: number;
  readonly bytes: number;
  readonly removed: number;
  readonly tidied: number;
};

/** What the store holds, counted at a time. */
export type StoreFigures = {
  readonly countedAtMs: number;
  /** Of the file, of its pages that hold nothing now, and of the WAL. */
  readonly fileBytes: number;
  readonly freeBytes: number;
  readonly walBytes: number;
  /** What the file is kept below, and the bytes in it that are never dropped for that. Undefined: no bound. */
  readonly limit: { readonly bytesMax: number; readonly pinnedBytes: number } | undefined;
  readonly kinds: readonly KindFigures[];
  /** Stored 404s and 410s. */
  readonly absent: number;
  /** Downloads that broke and go on when they are asked for. */
  readonly partials: number;
  readonly buildCache: {
    readonly actions: number;
    readonly outputs: number;
    /** Of the outputs' contents, and as they are stored. */
    readonly bytes: number;
    readonly storedBytes: number;
  };
  /** Files that wait for the bucket, since when the first one does, and those that it refused. */
  readonly uploads: {
    readonly waiting: number;
    readonly oldestAtMs: number | undefined;
    readonly refused: number;
  };
  /** Zips and go.mod files: not checked against the checksum database yet; not confirmed by it. */
  readonly unchecked: number;
  readonly unconfirmed: number;
  /** Why nothing can be stored now; undefined: it can. */
  readonly full: string | undefined;
};

export type KindFigures = { readonly kind: EntryKind; readonly entries: number; readonly bytes: number };

/** One page of the list of stored modules. */
export type ModuleList = {
  readonly modules: readonly StoredModule[];
  /** The path behind which the next page begins; undefined: this is the last one. */
  readonly next: string | undefined;
};

/** A module with a stored `.info`, `.mod` or `.zip`. */
export type StoredModule = {
  readonly path: string;
  /** Those that the search text fits, and the bytes of their files. */
  readonly versions: number;
  readonly bytes: number;
};

/** Some versions of a module, the newest first. */
export type VersionsPage = {
  readonly versions: readonly ModuleVersion[];
  /** Of the module that the search text fits, all in all. */
  readonly count: number;
};

export type ModuleVersion = {
  readonly version: string;
  /** Undefined: only its `.mod` or `.info` is stored. */
  readonly zipBytes: number | undefined;
  /** The last time that somebody asked for one of its files. */
  readonly usedAtMs: number;
};

/** Stored versions of modules that reports of vulnerabilities concern. */
export type ConcernedList = {
  /** The database's last change, RFC 3339; undefined: none is stored. */
  readonly changed: string | undefined;
  /** Of modules that the client may read, CONCERNED_SHOWN_MAX at most. */
  readonly shown: readonly ConcernedRow[];
  /** How many more there are. */
  readonly more: number;
};

export type ConcernedRow = {
  readonly module: string;
  readonly version: string;
  /** The report's. */
  readonly id: string;
  /** One line; may be empty. */
  readonly summary: string;
  /** The newest version with a fix; undefined: there is none. */
  readonly fixed: string | undefined;
};
