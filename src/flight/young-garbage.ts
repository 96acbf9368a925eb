/**
 * Gives back the buffers that sockets were read into as soon as their bytes were taken.
 *
 * Each holds up to 64 KiB outside V8's heap and a few hundred bytes inside, so that the collector sees no
 * reason to come by until 64 MiB of them have gathered, and then stops the thread for a whole round. What
 * can't be given back by hand is left to a minor round after every few megabytes, which finds them all
 * young and takes about a millisecond.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes between two minor rounds. At half, rounds cost 1 % of a fast line's CPU; at double, memory doubles. */
const ROUND_BYTES = 16 * 1024 * 1024;

/** Less may lie in the pool that Node cuts small buffers from, which is not ours to give. */
const GIVEN_BACK_BYTES_MIN = 16 * 1024;

type Collect = (options: { type: 'minor' }) => void;

export class YoungGarbage {
  readonly #collect: Collect;
  readonly #roundBytes: number;
  #bytes = 0;

  /** @param roundBytes noted between two rounds */
  constructor(roundBytes = ROUND_BYTES) {
    this.#roundBytes = roundBytes;
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc') as Collect;
  }

  /**
   * A piece was copied, and nobody needs it any more: it is empty after this where it ends its buffer.
   * Where it does not, a parser may still have to read on behind it.
   */
  took({ buffer, byteOffset, byteLength }: Uint8Array): void {
    const isLast = byteOffset + byteLength === buffer.byteLength;
    if (isLast && buffer instanceof ArrayBuffer && buffer.byteLength >= GIVEN_BACK_BYTES_MIN) {
      buffer.transfer(0);
    } else this.note(byteLength);
  }

  /** So many bytes outside the heap have become garbage. */
  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < this.#roundBytes) return;
    this.#bytes = 0;
    this.#collect({ type: 'minor' });
  }
}
