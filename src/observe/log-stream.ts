/**
 * Log lines to a file descriptor, without ever waiting for it and without ever failing.
 *
 * The disk below may be full, nobody may read the pipe, a terminal may be stopped by Ctrl-S. Lines then wait
 * here, up to a bound. Lines past the bound are dropped and counted. The rest goes out when the descriptor
 * takes bytes again.
 */

import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { LOG_WAITING_BYTES_MAX } from '../core/limits.ts';

/** How long a line may wait for others. */
const GATHER_MS = 100;

/** Characters that may wait for others: some 300 lines. At double, a write may not fit into a pipe. */
const GATHERED_MAX = 64 * 1024;

/** Between two tries while the descriptor takes nothing. */
const AGAIN_MS = 500;

export type LogStreamOptions = {
  readonly fd: number;
  /** Called for each line that is dropped. */
  readonly onDrop: () => void;
  /** The descriptor takes bytes again. It is told how many lines were dropped meanwhile, if any were. */
  readonly onAgain: (dropped: number) => void;
};

/** Many lines go out by one write: each write wakes the reader, on the core that the front thread runs on. */
export class LogStream {
  readonly #options: LogStreamOptions;
  readonly #fd: number;
  /** Lines that came since the last try. */
  #text = '';
  /** What the descriptor did not take yet. */
  #rest: Buffer = NOTHING;
  #timer: NodeJS.Timeout | undefined;
  #isStuck = false;
  #dropped = 0;

  constructor(options: LogStreamOptions) {
    this.#options = options;
    this.#fd = withoutWaiting(options.fd);
    process.on('exit', () => this.flush());
  }

  /** @param isUrgent it goes out at once, with all that waits */
  write(line: string, isUrgent: boolean): void {
    if (this.#isStuck) {
      this.#keep(line);
      return;
    }
    this.#text += line;
    if (isUrgent || this.#text.length >= GATHERED_MAX) this.flush();
    else this.#flushAfter(GATHER_MS);
  }

  /** Hands over as much as the descriptor takes now. */
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

  /** False: something is left. */
  #drain(): boolean {
    try {
      while (this.#rest.byteLength > 0) this.#rest = this.#rest.subarray(writeSync(this.#fd, this.#rest));
      this.#rest = NOTHING;
      return true;
    } catch {
      // Whatever it is (full, unread, closed), it may end, and there is no other place to say it.
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
 * A descriptor for the same that says EAGAIN where `fd` would wait.
 *
 * Pipes and terminals are opened anew, so that whoever else writes to them sees no difference. A regular file is not:
 * two that write to it would not share its end. Its writes wait for the page cache alone. Sockets cannot be
 * opened anew. Node makes fd 2 non-blocking when `process.stderr` is made of a pipe or a socket.
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
