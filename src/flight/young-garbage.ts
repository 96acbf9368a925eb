/**
 * Takes back the buffers that sockets were read into, soon after.
 *
 * Each holds 64 KiB outside V8's heap and a few hundred bytes inside, so that the collector sees no
 * reason to come by until 64 MiB of them have gathered, and then stops the thread for a whole round.
 * A minor round after every few megabytes finds them all young, and takes about a millisecond.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes between two minor rounds. At half, rounds cost 1 % of a fast line's CPU; at double, memory doubles. */
const ROUND_BYTES = 16 * 1024 * 1024;

type Collect = (options: { type: 'minor' }) => void;

export class YoungGarbage {
  readonly #collect: Collect;
  #bytes = 0;

  constructor() {
    setFlagsFromString('--expose-gc');
    this.#collect = runInNewContext('gc') as Collect;
  }

  /** So many bytes came from a socket, and were copied. */
  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < ROUND_BYTES) return;
    this.#bytes = 0;
    this.#collect({ type: 'minor' });
  }
}
