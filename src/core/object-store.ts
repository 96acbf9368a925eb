/**
 * An object store that many nodes share: keys, and bodies that never change in part. `bucket/` has it over S3.
 *
 * Every method throws UpstreamDown if the store can't be reached, puts the request off, or has failed too often a short time
 * ago; UpstreamFailed if it refuses the request for good; Busy if too much waits for it.
 */

export type ObjectInfo = {
  /** Bytes of the whole object. */
  readonly size: number;
  /** Tells two versions of an object apart; empty if the store has none. */
  readonly etag: string;
  /** The SHA-256 of the body in hex, where the store keeps one. */
  readonly sha256: string | undefined;
  /** Text beside the object; at most OBJECT_NOTE_LENGTH_MAX characters of ASCII without line ends. */
  readonly note: string | undefined;
};

export type ObjectRead = ObjectInfo & {
  /** The bytes from `from` on. Each piece is the reader's own. Throws if the body is cut. To be read or returned from. */
  readonly body: AsyncIterable<Uint8Array>;
};

export type ObjectBody = {
  readonly size: number;
  /** In hex. The store refuses another body. */
  readonly sha256: string;
  readonly note?: string | undefined;
  /** The bytes from the start; called once more for each new try. */
  open(): AsyncIterable<Uint8Array>;
};

/** An object of a listing. */
export type ListedObject = { readonly key: string; readonly size: number };

/** One page of a listing, in bytewise order of keys. With `next` there is more. */
export type ObjectPage = { readonly objects: readonly ListedObject[]; readonly next: string | undefined };

export type ObjectStore = {
  /** It failed too often a short time ago: all requests fail at once. */
  readonly isDown: boolean;
  /** An object; undefined if there is none. @param range `from`: skips so many bytes; `etag`: of this version alone */
  get(key: string, range?: { readonly from: number; readonly etag: string }): Promise<ObjectRead | undefined>;
  /** All about an object but its body; undefined if there is none, or the store refuses to tell. */
  head(key: string): Promise<ObjectInfo | undefined>;
  /** Stores an object. With `isOnce` one that is there stays: `present`. */
  put(key: string, body: ObjectBody, how: { readonly isOnce: boolean }): Promise<'stored' | 'present'>;
  /** The objects whose keys begin with `prefix`. @param next of the page before */
  list(request: { readonly prefix: string; readonly next?: string | undefined }): Promise<ObjectPage>;
};

/** A note has a signature or a few: those of an action (ACTION_NOTE_LENGTH_MAX). S3 bounds all notes of an object to 2 KiB. */
export const OBJECT_NOTE_LENGTH_MAX = 1024;

/** A body that is in memory. */
export function bodyOf(bytes: Uint8Array, sha256: string): ObjectBody {
  return {
    size: bytes.byteLength,
    sha256,
    open: async function* () {
      if (bytes.byteLength > 0) yield bytes;
    },
  };
}
