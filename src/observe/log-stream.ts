/**
 * Writes log lines to a file descriptor. It never waits and never fails.
 *
 * The disk may be full, nobody may read the pipe, or Ctrl-S may have stopped the terminal. Then lines wait here, up to
 * a bound. Lines beyond the bound are dropped and counted. The others go out when the descriptor takes bytes again.
 */

import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { LOG_WAITING_BYTES_MAX } from './limits.ts';

/** A line waits so long for others. */
const GATHER_MS = 100;

/** Characters that wait for others, about 300 lines. At double, one write may not fit into a pipe. */
const GATHERED_MAX = 64 * 1024;

/** Between two tries while the descriptor takes no bytes. */
const AGAIN_MS = 500;

export type LogStreamOptions = {
  readonly fd: number;
  /** Called for each line that is dropped. */
  readonly onDrop: () => void;
  /** Called with the number of dropped lines when the descriptor takes bytes again, if any were dropped. */
  readonly onAgain: (dropped: number) => void;
};

/** One write carries many lines, as each write wakes the reader on the front thread's core. */
export class LogStream {
  readonly #options: LogStreamOptions;
  readonly #fd: number;
  /** Lines that came since the last try. */
  #text = '';
  /** The bytes that the descriptor did not take yet. */
  #rest: Buffer = NOTHING;
  #timer: NodeJS.Timeout | undefined;
  #isStuck = false;
  #dropped = 0;

  constructor(options: LogStreamOptions) {
    this.#options = options;
    this.#fd = withoutWaiting(options.fd);
    process.on('exit', () => this.flush());
  }

  /** @param isUrgent writes the line and all waiting ones at once */
  write(line: string, isUrgent: boolean): void {
    if (this.#isStuck) {
      this.#keep(line);
      return;
    }
    this.#text += line;
    if (isUrgent || this.#text.length >= GATHERED_MAX) this.flush();
    else this.#flushAfter(GATHER_MS);
  }

  /** Writes as much as the descriptor takes now. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#text !== '') this.#rest = Buffer.concat([this.#rest, Buffer.from(this.#text)]);
    this.#text = '';
    const wasStuck = this.#isStuck;
    this.#isStuck = !this.#drain();
    if (this.#isStuck) this.#flushAfter(AGAIN_MS);
    else if (wasStuck && this.#dropped > 0) {
      const dropped = this.#dropped;
      this.#dropped = 0;
      this.#options.onAgain(dropped);
    }
  }

  /** Writes the waiting bytes. @returns false if some are left */
  #drain(): boolean {
    try {
      while (this.#rest.byteLength > 0) this.#rest = this.#rest.subarray(writeSync(this.#fd, this.#rest));
      this.#rest = NOTHING;
      return true;
    } catch {
      // The descriptor is full, unread or closed. This may pass, and there is no other place to report it.
      return false;
    }
  }

  #keep(line: string): void {
    if (this.#rest.byteLength + this.#text.length + line.length <= LOG_WAITING_BYTES_MAX) {
      this.#text += line;
      return;
    }
    this.#dropped++;
    this.#options.onDrop();
  }

  #flushAfter(ms: number): void {
    this.#timer ??= setTimeout(() => this.flush(), ms).unref();
  }
}

const NOTHING = Buffer.alloc(0);

/**
 * A descriptor of the same file that fails with EAGAIN instead of waiting.
 *
 * Pipes and terminals are opened again, so that nothing changes for other processes that write to them. A regular file
 * is not opened again: two descriptors would not share its end, and its writes wait only for the page cache. A socket
 * cannot be opened again. Node makes fd 2 non-blocking when `process.stderr` is a pipe or a socket.
 */
function withoutWaiting(fd: number): number {
  try {
    if (fd === 2) void process.stderr;
    if (fstatSync(fd).isFile()) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return fd;
  }
}
