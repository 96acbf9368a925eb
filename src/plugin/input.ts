/**
 * The `go` command's requests on stdin.
 *
 * As long as nothing goes on behind, they are read by calls that block: a stream would cost each `go` command 3 ms, and
 * each request two turns of the event loop. What the local directory has is answered within the call.
 */

import { fstatSync, readSync } from 'node:fs';

export type InputDoors = {
  /** Takes the bytes; the buffer is used again. @throws {Error} they are not the `go` command's */
  readonly push: (bytes: Buffer) => void;
  /** Whether nothing waits for the event loop. */
  readonly mayBlock: () => boolean;
  /** Whether no more is wanted. */
  readonly isOver: () => boolean;
};

/** Resolves at its end, or where no more is wanted and it was read by calls that block. Rejects where `push` throws. */
export async function readInput(doors: InputDoors): Promise<void> {
  if (!readBlocking(doors)) await readStream(doors);
}

/** False: the rest must come as a stream. */
function readBlocking({ push, mayBlock, isOver }: InputDoors): boolean {
  // What Windows has for pipes ends with errors of its own, and files that are no pipe come with tests and trials only.
  if (process.platform === 'win32' || !isPipe()) return false;
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  while (mayBlock()) {
    const count = tryRead(buffer);
    if (count === undefined) return false;
    if (count === 0) return true;
    push(buffer.subarray(0, count));
    if (isOver()) return true;
  }
  return false;
}

const STDIN = 0;

/** What a pipe holds on Linux. */
const BUFFER_BYTES = 64 * 1024;

/** Undefined: somebody has made the pipe non-blocking. */
function tryRead(buffer: Buffer): number | undefined {
  try {
    return readSync(STDIN, buffer, 0, buffer.length, null);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined;
    throw error;
  }
}

function isPipe(): boolean {
  try {
    return fstatSync(STDIN).isFIFO();
  } catch {
    return false;
  }
}

function readStream({ push }: InputDoors): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdin.on('data', (bytes: Buffer) => {
      try {
        push(bytes);
      } catch (error) {
        reject(error);
      }
    });
    process.stdin.on('end', resolve);
    process.stdin.on('error', reject);
  });
}
