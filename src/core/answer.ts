/**
 * What a service gives the front for one request: which file it is, where it came from, and its body.
 *
 * A `StoredFile` is the unit the weak cache holds: one answer that may go to many clients.
 */

import type { ModulePath } from './module-path.ts';
import type { SourceName } from './ports.ts';

/** The kind of a file. It sets Content-Type and Cache-Control. */
export type FileKind = 'list' | 'latest' | 'info' | 'query' | 'mod' | 'zip' | SumdbKind;

/** A checksum database's files. */
export type SumdbKind = 'supported' | 'head' | 'lookup' | 'tile';

/** The origin of an answer, as `Cache-Status` and the metrics name it. */
export type Origin = 'memory' | 'store' | 'stale' | 'computed' | SourceName;

/** Whether an answer comes from outside, and was not stored before. */
export function isFromSource(origin: Origin): origin is SourceName {
  return origin === 'upstream' || origin === 'git' || origin === 'bucket';
}

/** Who may get a file: everybody, or only clients with the right to read private modules. */
export type Visibility = 'public' | 'private';

/** Who may get the files of a module, and what a checksum database says of it. */
export type VisibilityOf = (module: ModulePath) => Visibility;

/** A body that is not in memory as a whole. */
export type ByteStream = {
  /** Undefined while an upstream has not said it. Known, and right, when `at` gives the end. */
  readonly size: number | undefined;
  /**
   * The bytes from `offset` on that are in one piece, at once where they are in memory.
   * They are lent for this turn of the event loop: after it, ask again.
   * None: the body ends there. Rejects, or throws, when there can be no more: the body is then not whole.
   */
  at(offset: number): Uint8Array | Promise<Uint8Array>;
  /** Nobody reads on. */
  close?(): void;
};

/** One answer as it is stored: a 200 with its content, or a 404 or 410 with its text. */
export class StoredFile {
  readonly kind: FileKind;
  readonly status: 200 | 404 | 410;
  readonly size: number;
  /** All of the body, where it is one piece and in memory. */
  readonly body: Uint8Array | undefined;
  /** The blob that holds the body; undefined where it is inline or not stored yet. */
  blob: number | undefined;
  /** SHA-256 in hex; empty until the store has said it. */
  sha256: string;
  /** Monotonic time until which it may go out unasked; Infinity for what can't change. */
  freshUntilMs: number;
  /** Wall time of the last use that was noted; `modules/last-use.ts` decides when it is written again. */
  usedAtMs = 0;
  /** A private one goes to no client that was not asked for its right. */
  readonly visibility: Visibility;
  /** The checksum database has not confirmed it, and may still refuse it: then it is dropped. */
  isTentative: boolean;
  /** The front's memo of the headers of a hit in memory; made again when `sha256` comes. */
  headers: string | undefined = undefined;

  constructor(
    fields: Pick<
      StoredFile,
      'kind' | 'status' | 'size' | 'body' | 'blob' | 'sha256' | 'freshUntilMs' | 'visibility'
    > & { readonly isTentative?: boolean },
  ) {
    this.kind = fields.kind;
    this.status = fields.status;
    this.size = fields.size;
    this.body = fields.body;
    this.blob = fields.blob;
    this.sha256 = fields.sha256;
    this.freshUntilMs = fields.freshUntilMs;
    this.visibility = fields.visibility;
    this.isTentative = fields.isTentative ?? false;
  }

  /** The store has it: from here on it has an ETag. */
  stored(as: { sha256: string; blob: number | undefined; isTentative: boolean }): void {
    this.sha256 = as.sha256;
    this.blob = as.blob;
    this.isTentative = as.isTentative;
    this.headers = undefined;
  }

  /** Memory it stands for, in bytes: the body, and about what the object and its key take. */
  get memoryBytes(): number {
    return (this.body?.byteLength ?? 0) + OBJECT_BYTES;
  }
}

/** An object, its key, its slot and its headers: measured at 0.9 kB on Node 22. */
const OBJECT_BYTES = 1024;

export type Answer = {
  readonly kind: FileKind;
  readonly status: 200 | 404 | 410;
  readonly origin: Origin;
  /** Undefined while it is not known: a cold zip whose upstream gave no length. */
  readonly size: number | undefined;
  /** SHA-256 in hex of what is stored; undefined for what is not yet. */
  readonly sha256: string | undefined;
  /** It may turn out to be wrong: no cache may keep it for long. */
  readonly isTentative?: boolean;
  /** Undefined for a HEAD that was asked by HEAD. */
  readonly body: Uint8Array | ByteStream | undefined;
};
