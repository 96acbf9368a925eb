/**
 * The build cache's part of the store: what a reader and the writer do for it.
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
 * ids come from `Store.nextBlob`. Ask `Store.room` before each chunk: the writer may be behind.
 *
 * The content may be stored packed (`encoding`): then each chunk is one zstd frame of CHUNK_BYTES of content, the last
 * one less. The frames one after the other are a zstd stream of the whole, fit for `Content-Encoding: zstd`. The
 * writer unpacks and hashes all that comes in: content that is not its output ID is never stored.
 *
 * To get one, ask `getAction`: the answer brings the first chunk along. The rest comes from `getOutputChunk`, one
 * chunk a call, up to `ceil(size / CHUNK_BYTES)`. Where a chunk is missing, the output was dropped meanwhile: break
 * the answer off. Tell `touchActions` of what was asked for, many at a time: expiry goes by last use.
 *
 * IDs are lower-case hex of 32 bytes. Times are Unix ms, sizes bytes of content, `storedBytes` those in the file.
 */

/** How an output's chunks lie in the store. */
export type Encoding = 'identity' | 'zstd';

/** One stored output. */
export type OutputRow = {
  readonly outputId: string;
  /** Of the content. */
  readonly size: number;
  readonly encoding: Encoding;
  /** Of its chunks as they lie in the store. */
  readonly storedBytes: number;
  /** For `getOutputChunk`. */
  readonly blob: number;
};

/** One stored action, and its output. */
export type ActionRow = OutputRow & {
  /** The one of those asked for that has it. */
  readonly namespace: string;
  /** As its client gave it: Unix ns, decimal. */
  readonly time: string;
  readonly storedAtMs: number;
  readonly usedAtMs: number;
  /** What was put with it: a signature, say. */
  readonly note: string | undefined;
};

/** The name of an action. */
export type ActionName = { readonly namespace: string; readonly actionId: string };

/** The bytes that come with a row: as they are stored, unpacked, or none. */
export type BodyForm = 'stored' | 'plain' | 'none';

/** The counts of what an expiry, or a `forget`, dropped; `isDone`: there is nothing more to drop. */
export type Expired = {
  readonly actions: number;
  readonly outputs: number;
  readonly storedBytes: number;
  readonly isDone: boolean;
};

export type BuildCacheReaderPort = {
  /** An action, in the first of up to NAMESPACES_PER_CALL_MAX namespaces that has it. `bytes`: the output's first chunk; none of an empty output. */
  getAction(request: { namespaces: readonly string[]; actionId: string; body: BodyForm }): {
    action?: ActionRow;
    bytes?: Uint8Array;
  };
  /** An output by its ID, with its first chunk as `getAction` has it. */
  getOutput(request: { outputId: string; body: BodyForm }): { output?: OutputRow; bytes?: Uint8Array };
  /** One chunk of an output. Without `bytes`: no such chunk any more. */
  getOutputChunk(request: { blob: number; seq: number; body: Exclude<BodyForm, 'none'> }): {
    bytes?: Uint8Array;
  };
  /** Whether each of up to KEYS_PER_CALL_MAX outputs is stored. */
  getOutputsStored(request: { outputIds: readonly string[] }): { stored: boolean[] };
};

export type BuildCacheWriterPort = {
  /**
   * Stores a whole output of one chunk; `bytes` are the chunk, packed where `encoding` says so. Nothing happens where it is
   * stored already, in whichever encoding: then `isNew` is false. Fails with check-failed where the content is another.
   */
  putOutput(request: {
    /** A fresh blob id. */
    blob: number;
    outputId: string;
    size: number;
    encoding: Encoding;
    nowMs: number;
    bytes: Uint8Array;
  }): { blob: number; isNew: boolean };
  /** Opens a growing blob for an output. Several may grow for one output at a time: the first to be sealed stays. */
  openOutput(request: {
    blob: number;
    outputId: string;
    encoding: Encoding;
    nowMs: number;
  }): Record<never, never>;
  /**
   * Makes a growing blob an output, as `putOutput` does. Where the content is another, fails with check-failed, and the
   * blob is dropped.
   */
  sealOutput(request: { blob: number; outputId: string; size: number; nowMs: number }): {
    blob: number;
    isNew: boolean;
  };
  /**
   * Stores an action. The first put wins: where the action has another output, that one stays, the put is counted as a
   * conflict, and the outcome is `refused`. `known`: it has this output already, and was used now; a `note` is taken
   * only where there was none. Fails with not-found where the output is not stored.
   */
  putAction(
    request: ActionName & {
      outputId: string;
      time: string;
      /** At most ACTION_NOTE_LENGTH_MAX characters. */
      note?: string;
      nowMs: number;
    },
  ): { outcome: 'stored' | 'known' | 'refused' };
  /** Coalesced last-use times, of up to KEYS_PER_CALL_MAX actions. */
  touchActions(request: { actions: readonly ActionName[]; nowMs: number }): Record<never, never>;
  /** Drops an action: it can't be trusted any more. Its output goes when nothing has it. */
  dropAction(request: ActionName): Record<never, never>;
  /** Drops the output that `blob` is, as it turned out to be damaged, and all actions that have it. */
  dropOutput(request: { blob: number }): { actions: number };
  /**
   * Drops a bounded part of what is to go: actions that were not used for `unusedMs`, then, while all outputs together
   * are stored in more than `storedBytesMax`, the least used ones. Call it again until `isDone`. What was used within
   * BUILD_CACHE_KEPT_MS stays, by a clock that was set meanwhile too, unless `mayDropRecent`: for a full disk.
   */
  expireActions(request: {
    nowMs: number;
    unusedMs: number;
    storedBytesMax: number;
    mayDropRecent?: boolean;
  }): Expired;
  /** Drops a bounded part of all actions and outputs. Call it again until `isDone`. */
  forgetActions(request: Record<never, never>): Expired;
};
