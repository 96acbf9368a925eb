/**
 * The calls to the store and to the builders. Worker threads implement these ports. The front calls them as
 * `Remote<…>`. `wire/` derives its messages from them, so a call that one end lacks does not compile.
 *
 *     front ──getEntry, getChunk, …──▶ reader 1..n   (shared, read-only)
 *       ├─────putEntry, putChunk, …──▶ writer        (one; owns the WAL)
 *       └─────checkZip, …────────────▶ builder       (CPU work over stored chunks)
 *
 * The field `bytes` of a request or a reply is moved to the other thread, and detached in the sender. Keys are escaped
 * paths below a GOPROXY's root. Times are Unix ms, sizes are bytes, digests are lower-case hex.
 */

import type { BrowsePort } from './browse-port.ts';
import type { BuildCacheReaderPort, BuildCacheWriterPort } from './build-cache-port.ts';
import type { SourceName } from './ports.ts';
import type { SessionReaderPort, SessionWriterPort } from './session-port.ts';
import type { Unsettled } from './store-stats.ts';
import type { UploadReaderPort, UploadWriterPort } from './upload-port.ts';

/** The origin of a stored answer. */
export type Source = SourceName | 'import';

/**
 * The checksum database's verdict on a stored zip or go.mod.
 *
 * - `unchecked`: it was not asked yet, as for imports, or never is, as for lists and private modules.
 * - `unconfirmed`: it could not be asked, or does not know the version.
 * - `confirmed`: it has the same h1.
 */
export type Trust = 'unchecked' | 'unconfirmed' | 'confirmed';

/** The h1 of a checked file, and the database's verdict on it. */
export type Checked = { readonly h1: string; readonly trust: Trust };

/** One stored answer, without its body. */
export type EntryRow = {
  /** 200, 404 or 410. */
  readonly status: number;
  readonly size: number;
  readonly sha256: string;
  readonly source: Source;
  /** The last time an upstream sent or revalidated it. */
  readonly checkedAtMs: number;
  readonly usedAtMs: number;
  /** The blob that holds the body; undefined if the body is inline. */
  readonly blob: number | undefined;
  readonly trust: Trust;
};

/** The stored part of a broken download. */
export type PartialRow = {
  readonly blob: number;
  /** The number of whole stored chunks, from the first on without a gap. */
  readonly chunks: number;
  readonly size: number | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
};

/** A stored version. `version` is escaped, as in keys. */
export type StoredVersion = { readonly version: string; readonly hasInfo: boolean };

/** A version that was not in its module's list at that time. `version` is escaped. */
export type Sighting = { readonly version: string; readonly absentAtMs: number };

/** One stored answer in a listing. */
export type KeyRow = {
  readonly key: string;
  /** 200, 404 or 410; 0 for the partial download of a key. */
  readonly status: number;
  /** The size of the body. For a partial download, the size of the whole file, or 0 if that is not known. */
  readonly size: number;
  /** The blob that holds the body; undefined if the body is inline. */
  readonly blob: number | undefined;
};

/** A stored zip or go.mod that the checksum database has not confirmed. */
export type UnsettledRow = {
  readonly key: string;
  /** The SHA-256 of the content. All other fields are about this content. */
  readonly sha256: string;
  readonly trust: Trust;
  /** The recorded h1; undefined if the file was never hashed. */
  readonly h1: string | undefined;
  /** The number of times in a row that the database said that it has no such version. */
  readonly unknownTimes: number;
};

export type StoreSizes = Unsettled & { readonly storeBytes: number; readonly walBytes: number };

/** The counts of a `forget`: dropped 200s, 404s and 410s, partial downloads. `bodyBytes` are those of the 200s. */
export type Forgotten = {
  readonly answers: number;
  readonly negatives: number;
  readonly partials: number;
  readonly bodyBytes: number;
};

/** The bytes of the store's file, and those of them that are in use; the others are in free pages. */
export type FileSizes = { readonly fileBytes: number; readonly usedBytes: number };

/** Those of the WAL's file too. */
export type AllSizes = FileSizes & { readonly walBytes: number };

/** The bounds on a store. `pinned` are patterns, as `Pins` takes them, of zips that are never evicted. */
export type StoreBounds = { readonly bytesMax?: number; readonly pinned: string };

/** A stored zip. */
export type ZipRow = {
  readonly key: string;
  readonly size: number;
  /** Undefined if the body is inline. */
  readonly blob: number | undefined;
  readonly source: Source;
  readonly usedAtMs: number;
};

type Nothing = Record<never, never>;

type OtherReads = BuildCacheReaderPort & SessionReaderPort & UploadReaderPort & BrowsePort;

export type ReaderPort = OtherReads & {
  /**
   * One answer by its key. `bytes` is the inline body, or the blob's first chunk. If no 200 is stored, `partial` is the
   * partial download of the key.
   */
  getEntry(request: { key: string }): { entry?: EntryRow; partial?: PartialRow; bytes?: Uint8Array };
  /** One chunk of a blob; no `bytes` if there is no such chunk. */
  getChunk(request: { blob: number; seq: number }): { bytes?: Uint8Array };
  /**
   * Writes a blob of `size` bytes over the content of the file at `path`, which must exist. This is not one
   * transaction: it fails with store-failed if the blob is dropped meanwhile.
   */
  writeBlob(request: { blob: number; size: number; path: string }): Nothing;
  /** The versions of a module (escaped path) that have a stored `.info`, `.mod` or `.zip`. */
  getVersions(request: { module: string }): { versions: StoredVersion[] };
  /** The versions of a module (escaped path) that `noteSightings` was told of. */
  getSightings(request: { module: string }): { sightings: Sighting[] };
  /** The unconfirmed files that may be looked up now. Their keys come after `after`, in bytewise order. */
  getUnsettled(request: { after: string; limit: number; nowMs: number }): { rows: UnsettledRow[] };
  /** Whether a 200 is stored, for each of up to KEYS_PER_CALL_MAX keys. */
  getStored(request: { keys: string[] }): { stored: boolean[] };
  /** Up to KEYS_PER_CALL_MAX answers whose keys begin with `prefix` and come after `after`, in bytewise order. */
  getKeys(request: { prefix: string; after: string }): { rows: KeyRow[] };
  /** The same listing for partial downloads. */
  getPartialKeys(request: { prefix: string; after: string }): { rows: KeyRow[] };
  /** Up to `limit` zips that come after `after`, the least recently used ones first. */
  getLeastUsedZips(request: { after: Pick<ZipRow, 'usedAtMs' | 'key'>; limit: number }): { zips: ZipRow[] };
  /** The bytes of the store's file and of its WAL, and the numbers of unconfirmed files. */
  getSizes(request: Nothing): StoreSizes;
};

type OtherWrites = BuildCacheWriterPort & SessionWriterPort & UploadWriterPort;

export type WriterPort = OtherWrites & {
  /**
   * Stores one whole answer. A 404 or 410 never replaces a 200: then `kept` is false. Of more than NEGATIVE_ROWS_MAX
   * 404s and 410s, the least recently used are dropped.
   */
  putEntry(request: {
    key: string;
    status: number;
    source: Source;
    nowMs: number;
    /** A new blob id. It is used if the body is not inline and its content is new. */
    blob: number;
    bytes: Uint8Array;
    checked?: Checked;
  }): { sha256: string; blob: number | undefined; kept: boolean };
  /** Stores the checksum database's verdict on `key`. Does nothing if the content has changed since. */
  setVerdict(request: {
    key: string;
    sha256: string;
    trust: Trust;
    /** Undefined: the stored one stays. */
    h1?: string | undefined;
    /** The time of the next question, and the number of times in a row that the database did not know the file. */
    wait?: { readonly unknownTimes: number; readonly askAfterMs: number } | undefined;
  }): Nothing;
  /**
   * Sets the checksum database and key that confirm from now on. Files that another one confirmed become unconfirmed,
   * some rows for each call. The first call has `row` 0, the next one has `nextRow`. Without `nextRow` all is done.
   */
  confirmBy(request: { signer: string; row: number }): { doubted: number; nextRow?: number };
  /**
   * Sets the patterns of modules that no checksum database hears of. If they are others than before, files that wait
   * because their module was private are asked about now.
   */
  exemptBy(request: { patterns: string }): { asked: number };
  /**
   * Makes all files that `database` judged unchecked again, some rows for each call as in `confirmBy`. Does nothing if
   * another database is the one that confirms.
   */
  dropVerdicts(request: { database: string; row: number }): { dropped: number; nextRow?: number };
  /**
   * Says whether versions must have an age from now on. `sinceMs` is when that was first said, without a break; undefined
   * if they need none.
   */
  delayYoung(request: { isOn: boolean; nowMs: number }): { sinceMs?: number };
  /**
   * Notes versions of a module, up to KEYS_PER_CALL_MAX, that its list did not have at that time. The first note on a version
   * stays. A version with an `.info` or zip that was stored before is not noted. Of more than SIGHTINGS_MAX the oldest are
   * dropped.
   */
  noteSightings(request: { module: string; versions: string[]; absentAtMs: number }): Nothing;
  /** Drops the answer under `key` if it still has this content. Its blob goes if nothing else has it. */
  dropEntry(request: { key: string; sha256: string }): Nothing;
  /** Notes that the upstream was asked again and that the stored answer is still the same. */
  revalidateEntry(request: { key: string; nowMs: number }): Nothing;
  /**
   * Stores the file at `path` as one whole answer, unless a 200 is stored. Fails with bad-request if the file does not
   * have `size` bytes or can't be read.
   */
  putFile(request: {
    key: string;
    path: string;
    size: number;
    source: Source;
    nowMs: number;
    /** A new blob id. */
    blob: number;
  }): Nothing;
  /** Opens a growing blob for `key`. An older partial download of the key is dropped. */
  openBlob(request: {
    blob: number;
    key: string;
    size: number | undefined;
    etag: string | undefined;
    lastModified: string | undefined;
    nowMs: number;
  }): Nothing;
  /** Adds chunk `seq` to a growing blob, of an answer or of a build output. A second call changes nothing. */
  putChunk(request: { blob: number; seq: number; bytes: Uint8Array }): Nothing;
  /**
   * Makes a growing blob the body of `key`. All of its chunks must be stored. If another blob has the same content,
   * that one becomes the body and this one is dropped. `blob` is the id of the body.
   */
  sealBlob(request: {
    blob: number;
    key: string;
    size: number;
    source: Source;
    nowMs: number;
    checked?: Checked;
  }): { sha256: string; blob: number };
  /** Drops a growing blob and its chunks, of an answer or of a build output. */
  dropBlob(request: { blob: number }): Nothing;
  /** Drops the answers and partial downloads under up to KEYS_PER_CALL_MAX keys, and blobs that nothing else has. */
  forget(request: { keys: string[] }): Forgotten;
  /** Drops those of up to KEYS_PER_CALL_MAX blobs that have no owner and don't grow, and chunks of no blob. */
  dropUnused(request: { blobs: number[] }): Nothing;
  /** Sets the last-use time of up to KEYS_PER_CALL_MAX answers. */
  touch(request: { keys: string[]; nowMs: number }): Nothing;
  /** Moves the WAL into the file. `truncate` also waits briefly for readers, and empties the WAL. */
  checkpoint(request: { truncate: boolean }): { walBytes: number };
  /** Drops old partial downloads that nobody asked for. */
  tidy(request: { nowMs: number }): { partials: number };
  /**
   * Drops the entries of up to KEYS_PER_CALL_MAX zips that were not used after `usedUntilMs`. Their blobs stay until
   * `dropLeaving`.
   */
  letGo(request: { keys: string[]; usedUntilMs: number }): { files: number; bodyBytes: number };
  /**
   * Drops a bounded number of blobs that `letGo` left, but for those `inUse`. Call it again until `isDone`. Never a
   * blob that has an owner again.
   */
  dropLeaving(request: { inUse: readonly number[] }): { dropped: number; isDone: boolean };
  /** As they will be when the WAL is in the file. */
  sizes(request: Nothing): AllSizes;
  /** Gives a bounded number of free pages back to the disk, until the file has `bytesMax`. */
  shrink(request: { bytesMax: number }): { isDone: boolean };
  /** Notes the bounds that the server keeps to, for `astera stats`. */
  keepWithin(request: StoreBounds): Nothing;
};

export type BuilderPort = {
  /**
   * Checks whether a module zip may be kept: that of a growing blob, or `bytes` if it fits a chunk. Fails with
   * check-failed if it may not.
   */
  checkZip(request: {
    module: string;
    version: string;
    blob: number;
    size: number;
    /** Also inflates all content and compares its CRCs, for a zip whose parts were joined unverified. */
    content: boolean;
    /** Also computes the h1, as in go.sum. */
    hash: boolean;
    bytes?: Uint8Array;
  }): { h1?: string };
  /**
   * The h1 of the zip or go.mod stored under `key`, and the SHA-256 of its content; nothing if none is stored. Fails
   * with check-failed if the file can't have an h1, and with store-failed if it is damaged.
   */
  hashStored(request: { key: string; kind: 'zip' | 'mod'; module: string; version: string }): {
    hashed?: Hashed;
  };
};

export type Hashed = { readonly h1: string; readonly sha256: string };

/** The calls to a builder about files that are not in the store yet. */
export type FileBuilderPort = {
  /**
   * The size of the module zip at `path`, if it may be kept. Fails with check-failed if it may not, and with
   * bad-request if it can't be read.
   */
  checkZipFile(request: { module: string; version: string; path: string }): { size: number };
};

/** A port, as another thread calls it. Calls fail with the errors of `core/errors.ts`. */
export type Remote<Port> = {
  readonly [N in keyof Port]: Port[N] extends (request: infer Request) => infer Reply
    ? (request: Request) => Promise<Awaited<Reply>>
    : never;
};

/** The store as the services see it. */
export type Store = Remote<ReaderPort> &
  Remote<WriterPort> & {
    /** A new blob id. */
    nextBlob(): number;
    /** Waits while the writer is behind. */
    waitForRoom(): Promise<void>;
    /** The reason why nothing can be stored now, on one line; undefined if the store has room. */
    readonly full: string | undefined;
  };

export type Builder = Remote<BuilderPort>;

export type FileBuilder = Remote<FileBuilderPort>;
