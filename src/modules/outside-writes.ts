/**
 * What is written into the store by others than a fetch, commands mostly, kept true to flights and memory.
 *
 * A write of a key is the flight of that key: who asks for it meanwhile gets what is written, and no
 * download of the same key runs beside it, whose partial blob it would take away.
 */

import { type FileKind, StoredFile } from '../core/answer.ts';
import { BadRequest, Busy } from '../core/errors.ts';
import { isImmutable, parseResource } from '../core/resource.ts';
import type { Store } from '../core/store-port.ts';
import type { Memory } from '../flight/memory.ts';
import type { ReadThrough } from '../flight/read-through.ts';
import type { Found, Read } from './found.ts';

export type OutsideWritesOptions = {
  readonly store: Pick<Store, 'putEntry' | 'sealBlob' | 'forget' | 'dropEntry'>;
  readonly memory: Memory;
  /** The module proxy's. */
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
   * A client that is just being sent one of these gets a cut connection.
   *
   * @throws {Busy} one of the keys is being fetched
   */
  forget: Store['forget'] = async (request) => {
    for (const key of request.keys) this.#refuseFetched(key);
    const forgotten = await this.#options.store.forget(request);
    for (const key of request.keys) await this.#dropFromMemory(key);
    return forgotten;
  };

  /** Drops what is stored under `key`, if its SHA-256 is still that: a fetch of the key may be what found it wrong. */
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
    writing.catch(() => {}); // The flight's own failure says it.
    await this.#options.readThrough.write(key, async () => {
      const written = await writing;
      await this.#dropFromMemory(key);
      return { file: fileOf(kind, what, written), origin: 'store' };
    });
    return writing;
  }

  #refuseFetched(key: string): void {
    if (!this.#options.readThrough.isFetching(key)) return;
    throw new Busy(`cannot change ${JSON.stringify(key)}: it is just being fetched`);
  }

  /** A read that is on its way may have seen what was there before. */
  async #dropFromMemory(key: string): Promise<void> {
    const { memory, readThrough } = this.#options;
    memory.deleteFile(key);
    await readThrough.readsOver(key);
    memory.deleteFile(key);
  }
}

/** Only what never changes is taken from outside: of anything else the upstream knows better. */
function kindOf(key: string): FileKind {
  const resource = parseResource(key);
  if (resource !== undefined && isImmutable(resource)) return resource.kind;
  throw new BadRequest(`cannot store ${JSON.stringify(key)}: not the file of a version`);
}

function fileOf(
  kind: FileKind,
  { size, bytes }: { readonly size: number; readonly bytes?: Uint8Array },
  { sha256, blob }: Written,
): StoredFile {
  const body = blob === undefined ? bytes : undefined;
  // It goes to those who wait for the flight, never into memory: each was asked for its right.
  const visibility = 'private';
  return new StoredFile({ kind, status: 200, size, body, blob, sha256, freshUntilMs: Infinity, visibility });
}
