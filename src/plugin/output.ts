/**
 * Answers on stdout. Writing never holds up the reading of stdin: a reader that waits for us would wait for ever.
 *
 * On Linux, a pipe is opened once more so that writes to it don't block, and each answer goes by one call. A stream is there for
 * what such a pipe does not take at once, and for all else: it would cost each `go` command 4 ms. Each answer is one that `go`
 * waits for.
 */

import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { net } from '../core/node-modules.ts';

const STDOUT = 1;

export class Output {
  /** The pipe, opened once more; undefined where that can't be, or where the stream has taken over. */
  #fd = openAgain();
  /** Undefined where it isn't needed yet, or stdout is a file or a terminal, which take all at once. */
  #stream: Socket | undefined = this.#fd === undefined ? openStream() : undefined;
  #isGone = false;

  /** Whether no answer waits for the event loop, as one does that its reader has no room for. */
  get isWritten(): boolean {
    return this.#stream === undefined || this.#stream.writableLength === 0;
  }

  write(text: string): void {
    if (this.#fd !== undefined) this.#writeAtOnce(this.#fd, Buffer.from(text));
    else if (this.#stream === undefined) writeAll(Buffer.from(text));
    else if (this.#stream.writable) this.#stream.write(text);
  }

  /** Resolves when all is written, or nobody reads any more, and stdout is closed: `go` waits for that and for nothing else. */
  async end(): Promise<void> {
    this.#closeAgain();
    const stream = this.#stream;
    if (stream?.closed === false) {
      await new Promise<void>((resolve) => {
        stream.once('close', resolve);
        stream.destroySoon();
      });
    }
    closeSync(STDOUT); // A stream leaves the standard files open.
  }

  #writeAtOnce(fd: number, bytes: Buffer): void {
    if (this.#isGone) return;
    let at = 0;
    try {
      while (at < bytes.length) at += writeSync(fd, bytes, at);
    } catch (error) {
      // Otherwise `go` is gone. The end of stdin tells so too, and what it has put is kept.
      this.#isGone = !(error instanceof Error && 'code' in error && error.code === 'EAGAIN');
      if (this.#isGone) return;
      this.#closeAgain();
      this.#stream = openStream();
      this.write(bytes.toString('utf8', at));
    }
  }

  #closeAgain(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Undefined where stdout is no pipe, or another user's. */
function openAgain(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    if (!fstatSync(STDOUT).isFIFO()) return undefined;
    return openSync('/proc/self/fd/1', constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

function openStream(): Socket | undefined {
  try {
    const { Socket } = net();
    const stream = new Socket({ fd: STDOUT, readable: false, writable: true });
    return stream.on('error', () => {}); // `go` is gone: as above.
  } catch {
    return undefined;
  }
}

function writeAll(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(STDOUT, bytes, at);
}
