/**
 * The line to a server, as its answers show it. Packing spares bytes and costs time: it pays on a line of less than
 * some 2 Gbit/s, which all are but the one within a machine.
 */

import { isLoopbackHost } from '../core/loopback-host.ts';
import { PLUGIN_FAR_MS, PLUGIN_NEAR_MS, PLUGIN_PROBES_MAX } from './limits.ts';

export class Line {
  readonly #isLoopback: boolean;
  #quickestMs = 0;
  #answers = 0;

  constructor(host: string) {
    this.#isLoopback = isLoopbackHost(host);
  }

  /** A request without a body was answered after so long. */
  answered(ms: number): void {
    this.#answers++;
    this.#quickestMs = this.#quickestMs === 0 ? ms : Math.min(this.#quickestMs, ms);
  }

  /** Whether `isFar` is more than a guess. First answers of a near server take 4 to 14 ms, as both sides warm up. */
  get isKnown(): boolean {
    if (!this.#isLoopback || this.#answers >= PLUGIN_PROBES_MAX) return true;
    return this.#answers > 0 && (this.#quickestMs <= PLUGIN_NEAR_MS || this.#quickestMs >= PLUGIN_FAR_MS);
  }

  /** Whether bodies should be packed. A tunnel from loopback to elsewhere shows by its answers. */
  get isFar(): boolean {
    return !this.#isLoopback || this.#quickestMs > PLUGIN_NEAR_MS;
  }
}
