/**
 * Writes into the store by others than a fetch: commands, mostly. Flights and memory stay in step with them.
 *
 * A write of a key is the fetch flight of that key. Requests that come meanwhile get the written file. No download of
 * the same key runs beside it, as the write would delete that download's partial blob.
 */

import { type FileKind, StoredFile } from '../core/answer.ts';
import { BadRequest, Busy } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { isImmutable, parseResource } from '../core/resource.ts';
import type { Store } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';
import type { ReadThrough } from '../flight/read-through.ts';
import type { Found, Read } from './found.ts';

export type OutsideWritesOptions = {
  readonly store: Pick<Store, 'putEntry' | 'sealBlob' | 'forget' | 'dropEntry' | 'letGo'>;
  readonly memory: Memory;
  /** The one that the module proxy uses. */
  readonly readThrough: ReadThrough<Read, Found>;
};

type Written = { readonly sha256: string; readonly blob: number | undefined };

export class OutsideWrites {
  readonly #options: OutsideWritesOptions;

  constructor(options: OutsideWritesOptions) {
    this.#options = options;
  }

  /** @throws {Busy} the key is being fetched */
  putEntry: Store['putEntry'] = (request) => {
    const { key, bytes } = request;
    return this.#write({ key, size: bytes.byteLength, bytes }, () => this.#options.store.putEntry(request));
  };

  /** @throws {Busy} the key is being fetched */
  sealBlob: Store['sealBlob'] = (request) => {
    return this.#write(request, () => this.#options.store.sealBlob(request));
  };

  /**
   * Drops stored files. A client that is in the middle of one of them is cut off.
   *
   * @throws {Busy} one of the keys is being fetched
   */
  forget: Store['forget'] = async (request) => {
    for (const key of request.keys) this.#refuseFetched(key);
    const forgotten = await this.#options.store.forget(request);
    for (const key of request.keys) await this.#dropFromMemory(key);
    return forgotten;
  };

  /** Drops the entries of evicted zips. Answers that read them now go on, as their blobs stay until `dropLeaving`. */
  letGo: Store['letGo'] = async (request) => {
    const gone = await this.#options.store.letGo(request);
    for (const key of request.keys) await this.#dropFromMemory(key);
    return gone;
  };

  /**
   * Drops the file under `key` if it still has this SHA-256. A fetch of the key may be under way: it may be the one
   * that found the file wrong.
   */
  drop = async (what: { readonly key: string; readonly sha256: string }): Promise<void> => {
    await this.#options.store.dropEntry(what);
    await this.#dropFromMemory(what.key);
  };

  async #write<W extends Written>(
    what: { readonly key: string; readonly size: number; readonly bytes?: Uint8Array },
    write: () => Promise<W>,
  ): Promise<W> {
    const { key } = what;
    const kind = kindOf(key);
    this.#refuseFetched(key);
    const writing = write();
    writing.catch(() => {}); // The flight fails with the same error.
    await this.#options.readThrough.write(key, async () => {
      const written = await writing;
      await this.#dropFromMemory(key);
      return { file: fileOf(kind, what, written), origin: 'store' };
    });
    return writing;
  }

  #refuseFetched(key: string): void {
    if (!this.#options.readThrough.isFetching(key)) return;
    throw new Busy(`cannot change ${quote(key)}: it is being fetched; try again`);
  }

  /** Forgets the file twice: a read that was under way may put the old file into memory again. */
  async #dropFromMemory(key: string): Promise<void> {
    const { memory, readThrough } = this.#options;
    memory.deleteFile(key);
    await readThrough.readsOver(key);
    memory.deleteFile(key);
  }
}

/** @throws {BadRequest} the file may change, so the upstream knows better */
function kindOf(key: string): FileKind {
  const resource = parseResource(key);
  if (resource !== undefined && isImmutable(resource)) return resource.kind;
  throw new BadRequest(`cannot store ${quote(key)}: not the file of a version`);
}

function fileOf(
  kind: FileKind,
  { size, bytes }: { readonly size: number; readonly bytes?: Uint8Array },
  { sha256, blob }: Written,
): StoredFile {
  const body = blob === undefined ? bytes : undefined;
  // It goes to the flight's waiters, whose rights were checked, and never into memory.
  const visibility = 'private';
  return new StoredFile({ kind, status: 200, size, body, blob, sha256, freshUntilMs: Infinity, visibility });
}
