/**
 * The line to a server, as its answers show it. Packing spares bytes and costs time: it pays on a line of less than
 * some 2 Gbit/s, which all are but the one within a machine.
 */

import { PLUGIN_NEAR_MS } from './limits.ts';

export class Line {
  readonly #isLoopback: boolean;
  #quickestMs = 0;

  constructor(host: string) {
    this.#isLoopback = /^(127(\.\d+){3}|localhost|\[::1\])$/.test(host);
  }

  /** A request without a body was answered after so long. */
  answered(ms: number): void {
    this.#quickestMs = this.#quickestMs === 0 ? ms : Math.min(this.#quickestMs, ms);
  }

  /** Whether `isFar` is more than a guess. */
  get isKnown(): boolean {
    return !this.#isLoopback || this.#quickestMs > 0;
  }

  /** Whether bodies should be packed. A tunnel from loopback to elsewhere shows by its answers. */
  get isFar(): boolean {
    return !this.#isLoopback || this.#quickestMs > PLUGIN_NEAR_MS;
  }
}
