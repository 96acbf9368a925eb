/**
 * Room for the bodies of all requests together: bytes that came and wait for their readers, and bytes that readers work on.
 *
 * A fast client's body comes by MiB in one turn of the event loop, as uWebSockets takes all that the kernel holds, and its reader
 * takes longer. So where there is no room, long bodies begin and go on in turns: what has not come stays with their clients.
 */

import { MiB } from '../core/limits.ts';
import {
  REQUEST_BODIES_AHEAD_BYTES,
  REQUEST_BODY_BURST_BYTES,
  REQUEST_BODY_BURST_MS,
  REQUEST_BODY_BYTES_HELD_MAX,
} from './limits.ts';

/** One for a server. */
export class BodyRoom {
  /** For bytes that wait. */
  #free: number;
  /** Of all. Those of a body that is gathered count when it is whole: before, none of it would go, and all might wait for each other. */
  #heldBytes = 0;
  // Which may go, and the bytes that may come then. A Map keeps the order of insertion, and deletes one in constant time.
  readonly #waiting = new Map<() => void, number>();

  constructor(bytes = REQUEST_BODY_BYTES_HELD_MAX) {
    this.#free = bytes;
  }

  /** Of bytes that came: they wait for their reader. False: there is no room. */
  take(bytes: number): boolean {
    if (bytes > this.#free) return false;
    this.#free -= bytes;
    this.#heldBytes += bytes;
    return true;
  }

  /** A reader works on some of them. */
  read(bytes: number): void {
    this.#free += bytes;
  }

  /** A reader gathers some of them. */
  gather(bytes: number): void {
    this.#free += bytes;
    this.done(bytes);
  }

  /** It has gathered a whole body, and works on it. */
  gathered(bytes: number): void {
    this.#heldBytes += bytes;
  }

  /** They are done with. */
  done(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#letIn();
  }

  /**
   * Whether it may begin or go on now; if not, `go` is called when it is its turn.
   *
   * @param bytes that are still to come, as far as that is known
   */
  mayGo(go: () => void, bytes: number): boolean {
    if (this.#isTight) {
      this.#waiting.set(go, bytes);
      return false;
    }
    this.#expect(bytes);
    return true;
  }

  /** Resolves when there is room for another body. */
  async turn(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.mayGo(resolve, NEXT_BODY_BYTES)) resolve();
    });
  }

  /** It waits for its turn no more. */
  leave(go: () => void): void {
    this.#waiting.delete(go);
  }

  get #isTight(): boolean {
    return this.#heldBytes >= REQUEST_BODIES_AHEAD_BYTES;
  }

  #letIn(): void {
    while (!this.#isTight) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      const [go, bytes] = first;
      this.#waiting.delete(go);
      this.#expect(bytes);
      go();
    }
  }

  /** What comes now shows only in a while. */
  #expect(bytes: number): void {
    const burst = Math.min(bytes, REQUEST_BODY_BURST_BYTES);
    this.#heldBytes += burst;
    const over = () => this.done(burst);
    // After the sockets were looked at once more: a busy thread may be late.
    setTimeout(() => setImmediate(over).unref(), REQUEST_BODY_BURST_MS).unref();
  }
}

/** A client's next body: those that wait for their turn have 64 KiB to 13 MB. */
const NEXT_BODY_BYTES = MiB;
