/**
 * Answers on stdout. Writing never holds up the reading of stdin: a reader that waits for us would wait for ever.
 *
 * A pipe is written from the event loop, which tries at once and costs no thread. Each answer is one that `go` waits for.
 */

import { closeSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

const STDOUT = 1;

export class Output {
  /** Undefined where stdout is a file or a terminal, which take all at once. */
  readonly #pipe = openPipe();

  write(text: string): void {
    if (this.#pipe === undefined) writeAll(Buffer.from(text));
    else if (this.#pipe.writable) this.#pipe.write(text);
  }

  /** Resolves when all is written, or nobody reads any more, and stdout is closed: `go` waits for that and for nothing else. */
  async end(): Promise<void> {
    const pipe = this.#pipe;
    if (pipe === undefined) closeSync(STDOUT);
    else if (!pipe.closed) {
      await new Promise<void>((resolve) => {
        pipe.once('close', resolve);
        pipe.destroySoon();
      });
    }
  }
}

function openPipe(): Socket | undefined {
  try {
    const pipe = new Socket({ fd: STDOUT, readable: false, writable: true });
    return pipe.on('error', () => {}); // `go` is gone. The end of stdin tells so too, and what it has put is kept.
  } catch {
    return undefined;
  }
}

function writeAll(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(STDOUT, bytes, at);
}
