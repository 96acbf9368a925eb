/** One vulnerability database in the store: its files, packed as they go out. */

import { isServeError, messageOf } from '../core/errors.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import type { Events } from '../observe/events.ts';
import { type VulnFile, vulnKey } from './vuln-path.ts';

export type VulnStoreOptions = {
  /** As `vulnKey` takes it. */
  readonly place: string;
  readonly store: Pick<Store, 'getEntry' | 'putEntry' | 'revalidateEntry' | 'nextBlob' | 'getChunk'>;
  readonly clock: Clock;
  readonly events: Events;
};

/** `checkedAtMs`: when the database was last asked for it, in Unix time. */
export type StoredVulnFile = {
  readonly packed: Uint8Array;
  readonly sha256: string;
  readonly checkedAtMs: number;
};

export class VulnStore {
  readonly #options: VulnStoreOptions;

  constructor(options: VulnStoreOptions) {
    this.#options = options;
  }

  get(file: VulnFile): Promise<StoredVulnFile | undefined> {
    const { store, place } = this.#options;
    return readVulnFile(store, place, file);
  }

  /** A file that can't be stored is served all the same, and the log says so. */
  async put(file: VulnFile, packed: Uint8Array): Promise<void> {
    const { place, store, clock } = this.#options;
    const key = vulnKey(place, file);
    const put = { key, status: 200, source: 'upstream', nowMs: clock.wallMs() } as const;
    // A copy, as the bytes of a call are moved to the writer's thread.
    await this.#logged(key, () =>
      store.putEntry({ ...put, blob: store.nextBlob(), bytes: new Uint8Array(packed) }),
    );
  }

  /** Notes that the database has no newer one. */
  async noteChecked(file: VulnFile): Promise<void> {
    const { place, store, clock } = this.#options;
    const key = vulnKey(place, file);
    await this.#logged(key, () => store.revalidateEntry({ key, nowMs: clock.wallMs() }));
  }

  async #logged(key: string, write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!isServeError(error)) throw error;
      this.#options.events.notStored(key, messageOf(error));
    }
  }
}

/** A stored file of the database at `place`; undefined if there is none. */
export async function readVulnFile(
  store: Pick<Store, 'getEntry' | 'getChunk'>,
  place: string,
  file: VulnFile,
): Promise<StoredVulnFile | undefined> {
  const { entry, bytes } = await store.getEntry({ key: vulnKey(place, file) });
  if (entry?.status !== 200 || bytes === undefined) return undefined;
  const { blob, size, sha256, checkedAtMs } = entry;
  const pieces = [bytes];
  let length = bytes.byteLength;
  for (let seq = 1; blob !== undefined && length < size; seq++) {
    const chunk = await store.getChunk({ blob, seq });
    if (chunk.bytes === undefined) break;
    pieces.push(chunk.bytes);
    length += chunk.bytes.byteLength;
  }
  return length === size ? { packed: Buffer.concat(pieces), sha256, checkedAtMs } : undefined;
}
