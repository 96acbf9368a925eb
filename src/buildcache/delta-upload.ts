/** An output that is put as deltas against an older one, made whole again by the readers. */

import type { OutputRow } from '../core/build-cache-port.ts';
import { deltaFrames } from '../core/delta-frames.ts';
import { BadRequest, NotFound } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { Store } from '../core/store-port.ts';

export type DeltaUpload = {
  readonly store: Pick<Store, 'undoOutputDelta'>;
  readonly base: Pick<OutputRow, 'blob' | 'size'>;
  /** Of the new output, as its client states it. */
  readonly size: number;
  readonly body: AsyncIterable<Uint8Array>;
};

/**
 * Gives the output's bytes, chunk by chunk; each is lent until the next one is asked for. Whether they are the right ones, their SHA-256 must tell.
 *
 * @throws {BadRequest} other deltas than an output of this size has. @throws {NotFound} the base went meanwhile
 */
export async function* undoneChunks({
  store,
  base,
  size,
  body,
}: DeltaUpload): AsyncGenerator<Uint8Array, void, void> {
  const count = Math.ceil(size / CHUNK_BYTES);
  let seq = 0;
  for await (const delta of deltaFrames(body)) {
    if (seq === count) throw new BadRequest(`cannot take output: over ${count} deltas`);
    const { bytes } = await store.undoOutputDelta({ size, base, seq, bytes: delta });
    if (bytes === undefined) throw new NotFound('cannot take output: what its deltas are against is gone');
    seq++;
    yield bytes;
    freeBytes(bytes);
  }
  if (seq < count) throw new BadRequest(`cannot take output: ${seq} deltas of ${count}`);
}
