/** What all uploads to the bucket share. */

import type { ModulePath } from '../core/module-path.ts';
import type { ObjectBody, ObjectStore } from '../core/object-store.ts';
import type { Clock } from '../core/ports.ts';
import type { Store } from '../core/store-port.ts';
import type { UploadName } from '../core/upload-port.ts';
import { UPLOAD_ASKED_BYTES_MIN } from './limits.ts';
import type { WrongObjects } from './wrong-objects.ts';

export type UploadOptions = {
  readonly store: Store;
  readonly bucket: ObjectStore;
  readonly wrong: WrongObjects;
  readonly clock: Clock;
  /** Whether a module may be written to the bucket. */
  readonly isAllowed: (module: ModulePath) => boolean;
  /** Resolves when so many bytes of a long body may go. */
  readonly pace: (bytes: number) => Promise<void>;
  /** Smaller outputs of builds stay here. */
  readonly outputBytesMin: number;
};

/** The result of a row's upload: bytes sent, and rows that it brings about. */
export type Uploaded = { readonly bytes: number; readonly queued: readonly UploadName[] };

export const NOTHING_TO_DO: Uploaded = { bytes: 0, queued: [] };

/**
 * Writes an object that never changes, unless it is there. One that is known to be wrong is replaced.
 *
 * @param isSure the body is right for sure: an object of another size or hash is replaced
 * @returns whether it was written
 * @throws {UpstreamDown} {UpstreamFailed} {Busy}
 */
export async function putOnce(
  { bucket, wrong }: Pick<UploadOptions, 'bucket' | 'wrong'>,
  key: string,
  body: ObjectBody,
  { isSure }: { isSure: boolean },
): Promise<boolean> {
  const isWrong = wrong.has(key);
  if (!isWrong) {
    if (body.size >= UPLOAD_ASKED_BYTES_MIN) {
      const there = await bucket.head(key);
      if (there !== undefined && isSame(there, body)) return false;
    }
    if ((await bucket.put(key, body, { isOnce: true })) === 'stored') return true;
    if (!isSure) return false;
    const there = await bucket.head(key);
    if (there === undefined || isSame(there, body)) return false;
    wrong.note(key, 'another size or hash than that of the checked file');
  }
  await bucket.put(key, body, { isOnce: false });
  wrong.replaced(key);
  return true;
}

function isSame(there: { size: number; sha256: string | undefined }, { size, sha256 }: ObjectBody): boolean {
  return there.size === size && (there.sha256 === undefined || there.sha256 === sha256);
}
