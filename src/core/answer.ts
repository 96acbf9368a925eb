/**
 * A service's answer to one request of the front: the file's kind, its origin and its body.
 *
 * A `StoredFile` is the unit of the weak cache: one answer that may go to many clients.
 */

import type { ModulePath } from './module-path.ts';
import type { SourceName } from './ports.ts';

/** The kind of a file. It sets Content-Type and Cache-Control. */
export type FileKind =
  | 'list'
  | 'latest'
  | 'info'
  | 'query'
  | 'mod'
  | 'zip'
  | 'output'
  | 'program'
  | 'vuln'
  | 'packed-vuln'
  | SumdbKind;

/** A checksum database's files. */
export type SumdbKind = 'supported' | 'head' | 'lookup' | 'tile';

/** The origin of an answer, with its name in `Cache-Status` and in the metrics. */
export type Origin = 'memory' | 'store' | 'stale' | 'computed' | SourceName;

/** Whether an answer comes from a source and was not stored before. */
export function isFromSource(origin: Origin): origin is SourceName {
  return origin === 'upstream' || origin === 'git' || origin === 'bucket';
}

/** The clients that may get a file: all, or only those with the right to read private modules. */
export type Visibility = 'public' | 'private';

/** The visibility of a module's files, and of a checksum database's answers about it. */
export type VisibilityOf = (module: ModulePath) => Visibility;

/** A body that is not in memory as a whole. */
export type ByteStream = {
  /** Undefined until the upstream has sent it. It is known and right when `at` reaches the end. */
  readonly size: number | undefined;
  /**
   * The bytes from `offset` on, up to the end of their piece. They come at once if they are in memory. They are lent
   * for this turn of the event loop; in a later turn, ask again. No bytes mean the end of the body. Rejects or throws
   * if the body can't go on, so that it stays incomplete.
   */
  at(offset: number): Uint8Array | Promise<Uint8Array>;
  /** Tells that the client reads no further. */
  close?(): void;
};

/** A fault of the server: `body` gave no bytes at `offset`, though it is not at its end. */
export function endedEarly({ size }: ByteStream, offset: number): Error {
  return new Error(`body ended ${offset} bytes in${size === undefined ? '' : `, of ${size}`}`);
}

/** One stored answer: a 200 with its content, or a 404 or 410 with its text. */
export class StoredFile {
  readonly kind: FileKind;
  readonly status: 200 | 404 | 410;
  readonly size: number;
  /** All of the body, if it is held as a whole; undefined for a body in chunks. */
  readonly body: Uint8Array | undefined;
  /** The blob that holds the body; undefined if the body is inline or not stored yet. */
  blob: number | undefined;
  /** SHA-256 in hex; empty until the file is stored. */
  sha256: string;
  /** The monotonic time until which the file is fresh; Infinity if it can't change. */
  freshUntilMs: number;
  /** Wall time of the last fetch or revalidation; 0 if it is not known. */
  checkedAtMs = 0;
  /** Wall time of the last noted use. `flight/last-use.ts` decides when it is written again. */
  usedAtMs = 0;
  /** A private file goes only to clients whose right was checked. */
  readonly visibility: Visibility;
  /** Whether the checksum database may still contradict the file. Then the file is dropped. */
  isTentative: boolean;
  /** The front's header lines for this file when it comes from memory. They are made again when `sha256` is known. */
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

  /** Tells that the file is stored. From here on its answers have an ETag. */
  stored(as: { sha256: string; blob: number | undefined; isTentative: boolean }): void {
    this.sha256 = as.sha256;
    this.blob = as.blob;
    this.isTentative = as.isTentative;
    this.headers = undefined;
  }

  /** The memory of the file in bytes: its body, and an estimate for the object and its key. */
  get memoryBytes(): number {
    return (this.body?.byteLength ?? 0) + OBJECT_BYTES;
  }
}

/** The memory of an object, its key, its slot and its headers: 0.9 kB, measured on Node 22. */
const OBJECT_BYTES = 1024;

/** The answer to one request, for the front. */
export type Answer = {
  readonly kind: FileKind;
  readonly status: 200 | 404 | 410;
  readonly origin: Origin;
  /** Undefined if it is not known: a cold zip whose upstream sent no length. */
  readonly size: number | undefined;
  /** SHA-256 in hex; undefined if the file is not stored yet. */
  readonly sha256: string | undefined;
  /** The file may turn out to be wrong, so no cache may keep it for long. */
  readonly isTentative?: boolean;
  /** Header lines that only this answer has, such as `astera-time: 1`. Nothing in them comes unchecked from a client. */
  readonly lines?: readonly string[];
  /** Undefined if the source was asked by HEAD, for a HEAD. */
  readonly body: Uint8Array | ByteStream | undefined;
};
