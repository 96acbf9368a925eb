/**
 * What the services ask of the store and of the builders, once: worker threads
 * implement these as they stand, the front calls them as `Remote<…>`, and `wire/`
 * derives its messages from them, so that a call one end lacks does not compile.
 *
 *     front ──getEntry, getChunk, …──▶ reader 1..n   (shared, read-only)
 *       ├─────putEntry, putChunk, …──▶ writer        (one; owns the WAL)
 *       └─────checkZip, …────────────▶ builder       (CPU work over stored chunks)
 *
 * The field `bytes` of a request or a reply is its blob: it is moved, and detached in
 * the sender. Keys are escaped paths below a GOPROXY's root. Times are Unix ms,
 * sizes bytes, digests lower-case hex.
 */

import type { BuildCacheReaderPort, BuildCacheWriterPort } from './build-cache-port.ts';
import type { SourceName } from './ports.ts';

/** The origin of a stored answer. */
export type Source = SourceName | 'import';

/**
 * What the checksum database said of a stored zip or go.mod: `unconfirmed` where it could not be
 * asked, or does not know it; `unchecked` where it was not asked yet, as for imports, or never is, as
 * for lists and private modules.
 */
export type Trust = 'unchecked' | 'unconfirmed' | 'confirmed';

/** A checked file's own h1, and whether the database has the same. */
export type Checked = { readonly h1: string; readonly trust: Trust };

/** One stored answer, without its body. */
export type EntryRow = {
  /** 200, 404 or 410. */
  readonly status: number;
  readonly size: number;
  readonly sha256: string;
  readonly source: Source;
  /** When an upstream last confirmed it. */
  readonly checkedAtMs: number;
  readonly usedAtMs: number;
  /** The blob that holds the body; undefined where the body is inline. */
  readonly blob: number | undefined;
  readonly trust: Trust;
};

/** A download that broke before it was whole. */
export type PartialRow = {
  readonly blob: number;
  /** Whole chunks stored, from the first on without a gap. */
  readonly chunks: number;
  readonly size: number | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
};

/** `version` is escaped, as keys are. */
export type StoredVersion = { readonly version: string; readonly hasInfo: boolean };

/** One stored answer in a listing. */
export type KeyRow = {
  readonly key: string;
  /** 200, 404 or 410; 0 for the partial download of a key. */
  readonly status: number;
  /** Of the body; of a partial download the whole it was to become, 0 where that is not known. */
  readonly size: number;
  /** The blob that holds the body; undefined where the body is inline. */
  readonly blob: number | undefined;
};

/** A stored zip or go.mod that the checksum database has not confirmed. */
export type UnsettledRow = {
  readonly key: string;
  /** Of the content that all else here is about. */
  readonly sha256: string;
  readonly trust: Trust;
  /** Undefined: it was never hashed. */
  readonly h1: string | undefined;
  /** How often in a row the database said that it has no such version. */
  readonly unknownTimes: number;
};

/** How many zips and go.mod files the checksum database has not confirmed; what is private is not counted from its first look on. */
export type Unsettled = {
  /** It was not asked yet. */
  readonly unchecked: number;
  /** It could not be asked, or does not know them. */
  readonly unconfirmed: number;
  /** Of those unconfirmed: it said that it has no such version. */
  readonly unknown: number;
};

export type StoreSizes = Unsettled & { readonly storeBytes: number; readonly walBytes: number };

/** The counts of a `forget`: dropped 200s, 404s and 410s, partial downloads. `bodyBytes` are those of the 200s. */
export type Forgotten = {
  readonly answers: number;
  readonly negatives: number;
  readonly partials: number;
  readonly bodyBytes: number;
};

type Nothing = Record<never, never>;

export type ReaderPort = BuildCacheReaderPort & {
  /**
   * One answer by its key, its `bytes` being the inline body or the blob's first chunk; and,
   * where no 200 is stored, the partial download of that key.
   */
  getEntry(request: { key: string }): { entry?: EntryRow; partial?: PartialRow; bytes?: Uint8Array };
  /** One chunk of a blob. Without `bytes`: no such chunk. */
  getChunk(request: { blob: number; seq: number }): { bytes?: Uint8Array };
  /**
   * Writes a whole blob of `size` bytes into the file at `path`, which must be there, in place of its
   * content. Not in one transaction: fails with store-failed where the blob goes meanwhile.
   */
  writeBlob(request: { blob: number; size: number; path: string }): Nothing;
  /** The versions of a module (escaped path) that have a stored `.info`, `.mod` or `.zip`. */
  getVersions(request: { module: string }): { versions: StoredVersion[] };
  /** Unconfirmed files that may be looked up now: keys after `after`, in bytewise order. */
  getUnsettled(request: { after: string; limit: number; nowMs: number }): { rows: UnsettledRow[] };
  /** Whether a 200 is stored, for each of up to KEYS_PER_CALL_MAX keys. */
  getStored(request: { keys: string[] }): { stored: boolean[] };
  /** Up to KEYS_PER_CALL_MAX answers whose keys begin with `prefix` and come after `after`, in bytewise order. */
  getKeys(request: { prefix: string; after: string }): { rows: KeyRow[] };
  /** The same of partial downloads. */
  getPartialKeys(request: { prefix: string; after: string }): { rows: KeyRow[] };
  /** Bytes of the store's file and of its WAL, and what is not confirmed. */
  getSizes(request: Nothing): StoreSizes;
};

export type WriterPort = BuildCacheWriterPort & {
  /**
   * Stores one whole answer. A 404 or 410 never replaces a 200: then `kept` is false.
   * Past NEGATIVE_ROWS_MAX of them the least used go.
   */
  putEntry(request: {
    key: string;
    status: number;
    source: Source;
    nowMs: number;
    /** A fresh blob id, used where the body is not inline and its content is new. */
    blob: number;
    bytes: Uint8Array;
    checked?: Checked;
  }): { sha256: string; blob: number | undefined; kept: boolean };
  /** Stores the checksum database's verdict on `key`. Changes nothing if its content has changed since. */
  setVerdict(request: {
    key: string;
    sha256: string;
    trust: Trust;
    /** Left as it is where there is none. */
    h1?: string | undefined;
    /** When it may be asked again, and how often in a row it did not know it. */
    wait?: { readonly unknownTimes: number; readonly askAfterMs: number } | undefined;
  }): Nothing;
  /**
   * Names who confirms from now on: a checksum database and its key. What another one said is asked about
   * again, some rows a call: `nextRow`, 0 at first, is where the next call goes on; without it all is done.
   */
  confirmBy(request: { signer: string; row: number }): { doubted: number; nextRow?: number };
  /**
   * Makes all files that `database` judged unchecked again, some rows a call as `confirmBy` does. Nothing happens where
   * another one is the judge.
   */
  dropVerdicts(request: { database: string; row: number }): { dropped: number; nextRow?: number };
  /** Drops the answer under `key` if that is its content, and its blob if no other has it. */
  dropEntry(request: { key: string; sha256: string }): Nothing;
  /** The upstream was asked again and what is stored still holds. */
  revalidateEntry(request: { key: string; nowMs: number }): Nothing;
  /**
   * Stores the file at `path` as one whole answer, unless a 200 is stored. Fails with bad-request where
   * it has not `size` bytes, or can't be read.
   */
  putFile(request: {
    key: string;
    path: string;
    size: number;
    source: Source;
    nowMs: number;
    /** A fresh blob id. */
    blob: number;
  }): Nothing;
  /** Opens a growing blob for `key`; an older partial one of the same key goes. */
  openBlob(request: {
    blob: number;
    key: string;
    size: number | undefined;
    etag: string | undefined;
    lastModified: string | undefined;
    nowMs: number;
  }): Nothing;
  /** Adds chunk `seq` to a growing blob, of an answer or of a build output. Sent twice it changes nothing. */
  putChunk(request: { blob: number; seq: number; bytes: Uint8Array }): Nothing;
  /**
   * Makes a growing blob the body of `key`, all its chunks being there. Where another blob has the
   * same content, that one serves and this one's chunks go; `blob` says which it is.
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
  /** Drops all that is stored under `keys`, up to KEYS_PER_CALL_MAX: answers, their blobs where no other key has them, partial downloads. */
  forget(request: { keys: string[] }): Forgotten;
  /** Drops blobs, up to KEYS_PER_CALL_MAX, that nothing has as its body and that don't grow, and chunks of no blob. */
  dropUnused(request: { blobs: number[] }): Nothing;
  /** Coalesced last-use times. */
  touch(request: { keys: string[]; nowMs: number }): Nothing;
  /** Moves the WAL into the file; `truncate` also waits for readers, briefly, and empties it. */
  checkpoint(request: { truncate: boolean }): { walBytes: number };
  /** Drops partial downloads nobody asked for, and gives free pages back to the disk. */
  tidy(request: { nowMs: number }): { partials: number };
};

export type BuilderPort = {
  /**
   * Whether a module zip may be kept: of a growing blob's chunks, or of `bytes` where it fits one.
   * Fails with check-failed.
   */
  checkZip(request: {
    module: string;
    version: string;
    blob: number;
    size: number;
    /** Also inflate everything and compare CRCs: its parts came from unverified joins. */
    content: boolean;
    /** Also hash it as go.sum does. */
    hash: boolean;
    bytes?: Uint8Array;
  }): { h1?: string };
  /**
   * The h1 of the zip or go.mod stored under `key`, and the SHA-256 of the content it is of; nothing
   * where none is stored. Fails with check-failed where it can have none; with store-failed where it is damaged.
   */
  hashStored(request: { key: string; kind: 'zip' | 'mod'; module: string; version: string }): {
    hashed?: Hashed;
  };
};

export type Hashed = { readonly h1: string; readonly sha256: string };

/** What a builder checks that is no part of the store yet. */
export type FileBuilderPort = {
  /** The size of the file at `path`, a module zip that may be kept. Fails with check-failed where it is none; where it can't be read, with bad-request. */
  checkZipFile(request: { module: string; version: string; path: string }): { size: number };
};

/** A port as it is seen from another thread. Fails with the errors of `core/errors.ts`. */
export type Remote<Port> = {
  readonly [N in keyof Port]: Port[N] extends (request: infer Request) => infer Reply
    ? (request: Request) => Promise<Awaited<Reply>>
    : never;
};

/** The store as the services see it. */
export type Store = Remote<ReaderPort> &
  Remote<WriterPort> & {
    /** A blob id nobody has had. */
    nextBlob(): number;
    /** Waits while the writer is behind. */
    waitForRoom(): Promise<void>;
    /** Why nothing can be stored now, on one line; undefined: it can. */
    readonly full: string | undefined;
  };

export type Builder = Remote<BuilderPort>;

export type FileBuilder = Remote<FileBuilderPort>;
