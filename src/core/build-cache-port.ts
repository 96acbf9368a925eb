/**
 * The build cache's part of the store: the calls to readers and to the writer.
 *
 * An *output* is the content of one file that the `go` command made. Its output ID is the SHA-256 of the content. An
 * *action* is one step of a build; it has one output. Many actions may have the same output, which is stored once.
 *
 * To put an action, put its output first, then the action:
 *
 *     getOutputsStored ─▶ not there? ─▶ putOutput                          up to CHUNK_BYTES of content
 *                                    ─▶ openOutput, putChunk…, sealOutput  more: chunks of CHUNK_BYTES, the last one less
 *                                    ─▶ putAction                          fails with not-found without its output
 *
 * An output that no action has yet stays for BUILD_CACHE_KEPT_MS, so an upload may take its time between the two. A
 * growing output whose upload ends early is dropped by `dropBlob`; after a crash the tidy does so within hours. Blob
 * ids come from `Store.nextBlob`. Await `Store.waitForRoom` before each chunk, as the writer may be behind.
 *
 * The content may be stored packed (`encoding`). Then each chunk is one zstd frame of CHUNK_BYTES of content; the last
 * one has less. All frames together are a zstd stream of the content, fit for `Content-Encoding: zstd`. The writer
 * unpacks and hashes all incoming content. If the hash is not the output ID, the content is not stored.
 *
 * To get an action, call `getAction`. Its answer includes the first chunk. `getOutputChunk` gives the others, one for
 * each call, up to `ceil(size / CHUNK_BYTES)`. If a chunk is missing, the output was dropped meanwhile: break the
 * answer off. Report used actions to `touchActions`, many at a time, as expiry goes by last use.
 *
 * IDs are lower-case hex of 32 bytes. Times are Unix ms, sizes bytes of content, `storedBytes` those in the file.
 */

/** The form of an output's chunks in the store. */
export type Encoding = 'identity' | 'zstd';

/** One stored output. */
export type OutputRow = {
  readonly outputId: string;
  /** The size of the content. */
  readonly size: number;
  readonly encoding: Encoding;
  /** The size of its chunks in the store. */
  readonly storedBytes: number;
  /** The blob for `getOutputChunk`. */
  readonly blob: number;
};

/** A blob of build output, and the size of its content. */
type Sized = Pick<OutputRow, 'blob' | 'size'>;

/** An output that another one is told by: `core/delta.ts`. */
export type DeltaBase = Pick<OutputRow, 'outputId' | 'size' | 'blob'>;

/** One stored action, and its output. */
export type ActionRow = OutputRow & {
  /** The namespace that has the action. */
  readonly namespace: string;
  /** The time from its client: Unix ns, decimal. */
  readonly time: string;
  readonly storedAtMs: number;
  readonly usedAtMs: number;
  /** Texts that were put with it, such as signatures, with spaces between. */
  readonly note: string | undefined;
};

/** The name of an action. */
export type ActionName = { readonly namespace: string; readonly actionId: string };

/** The form of the bytes that come with a row: as stored, unpacked, or no bytes. */
export type BodyForm = 'stored' | 'plain' | 'none';

/** The counts of an expiry or a `forget`: dropped actions and outputs. `isDone`: there is nothing more to drop. */
export type Expired = {
  readonly actions: number;
  readonly outputs: number;
  readonly storedBytes: number;
  readonly isDone: boolean;
};

export type BuildCacheReaderPort = {
  /**
   * An action from the first of up to NAMESPACES_PER_CALL_MAX namespaces that has it. `bytes` is the first chunk of its
   * output; undefined if the output is empty.
   */
  getAction(request: { namespaces: readonly string[]; actionId: string; body: BodyForm }): {
    action?: ActionRow;
    bytes?: Uint8Array;
  };
  /** An output by its ID, with its first chunk as `getAction` has it. */
  getOutput(request: { outputId: string; body: BodyForm }): { output?: OutputRow; bytes?: Uint8Array };
  /** One chunk of an output; no `bytes` if the chunk is gone. */
  getOutputChunk(request: { blob: number; seq: number; body: Exclude<BodyForm, 'none'> }): {
    bytes?: Uint8Array;
  };
  /**
   * Chunk `seq` of an output, as a delta against another one. `isPlain`: that would hardly be shorter, so it is the chunk
   * itself. No `bytes` if the chunk is gone.
   */
  getOutputDelta(request: { output: Sized; base: Sized; seq: number }): {
    isPlain: boolean;
    bytes?: Uint8Array;
  };
  /**
   * What `getOutputDelta` does, backwards: chunk `seq` of an output of `size` bytes, whose delta is `bytes`. No `bytes` if the
   * base is gone. Fails with bad-request if it is no delta.
   */
  undoOutputDelta(request: { size: number; base: Sized; seq: number; bytes: Uint8Array }): {
    bytes?: Uint8Array;
  };
  /**
   * The short IDs of a namespace's actions, SHORT_IDS_PER_CALL_MAX for each call, whose IDs come after `after`; the first
   * call has an empty one, and the next has `last`. Without `last` there are no more.
   */
  getShortIds(request: { namespace: string; after: string }): { bytes: Uint8Array; last?: string };
  /** Whether each of up to KEYS_PER_CALL_MAX outputs is stored. */
  getOutputsStored(request: { outputIds: readonly string[] }): { stored: boolean[] };
};

export type BuildCacheWriterPort = {
  /**
   * Stores a whole output of one chunk. `bytes` is the chunk, packed if `encoding` says so. If the output is stored
   * already, in any encoding, nothing happens and `isNew` is false. Fails with check-failed if the content does not
   * have this output ID.
   */
  putOutput(request: {
    /** A new blob id. */
    blob: number;
    outputId: string;
    size: number;
    encoding: Encoding;
    nowMs: number;
    bytes: Uint8Array;
  }): { blob: number; isNew: boolean };
  /** Opens a growing blob for an output. Several may grow for one output at a time; the first sealed one stays. */
  openOutput(request: {
    blob: number;
    outputId: string;
    encoding: Encoding;
    nowMs: number;
  }): Record<never, never>;
  /**
   * Makes a growing blob an output, as `putOutput` does. If the content does not have this output ID, it fails with
   * check-failed and drops the blob.
   */
  sealOutput(request: { blob: number; outputId: string; size: number; nowMs: number }): {
    blob: number;
    isNew: boolean;
  };
  /**
   * Stores an action. The first put wins. If the action has another output, that one stays, the put is counted as a
   * conflict, and the outcome is `refused`. The outcome `known` means that the action has this output already; it
   * counts as used now. A `note` is stored behind those that are there, as long as there is room. Fails with not-found
   * if the output is not stored.
   */
  putAction(
    request: ActionName & {
      outputId: string;
      time: string;
      /** At most ACTION_NOTE_LENGTH_MAX characters, none of them a space. */
      note?: string;
      /** It came from the bucket, so it is not queued for it. */
      isInBucket?: true;
      nowMs: number;
    },
  ): { outcome: 'stored' | 'known' | 'refused' };
  /** Sets the last-use time of up to KEYS_PER_CALL_MAX actions. */
  touchActions(request: { actions: readonly ActionName[]; nowMs: number }): Record<never, never>;
  /** Drops an action that can't be trusted any more. Its output goes when no action has it. */
  dropAction(request: ActionName): Record<never, never>;
  /** Drops a damaged output by its blob, and all actions that have it. */
  dropOutput(request: { blob: number }): { actions: number };
  /**
   * Drops a bounded number of actions: first those that were not used for `unusedMs`; then, while all outputs together
   * take more than `storedBytesMax`, the least recently used ones. Call it again until `isDone`. Actions that were used
   * within BUILD_CACHE_KEPT_MS stay, even if the clock was set meanwhile, unless `mayDropRecent`, for a full disk.
   */
  expireActions(request: {
    nowMs: number;
    unusedMs: number;
    storedBytesMax: number;
    mayDropRecent?: boolean;
  }): Expired;
  /** Drops a bounded number of all actions and outputs. Call it again until `isDone`. */
  forgetActions(request: Record<never, never>): Expired;
};
