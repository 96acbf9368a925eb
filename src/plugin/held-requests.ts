/**
 * Requests that a plugin server has not answered, with their bodies: another can take them over where the server fails.
 *
 * Bodies are in memory up to a bound; what comes then goes to a file without a name.
 */

import * as fs from 'node:fs';
import { join } from 'node:path';
import { os } from '../core/node-modules.ts';
import { PLUGIN_HELD_BYTES_MAX } from './limits.ts';
import type { CacheRequest, RequestSink } from './request-reader.ts';

export class HeldRequests implements RequestSink {
  readonly #held = new Map<number, HeldRequest>();
  /** The put whose body comes now. */
  #open: HeldRequest | undefined;

  get size(): number {
    return this.#held.size;
  }

  onRequest(request: CacheRequest): void {
    const held = new HeldRequest(request);
    this.#held.set(request.id, held);
    if (request.command === 'put') this.#open = held;
  }

  onBody(bytes: Buffer): void {
    if (this.#open === undefined) return;
    let bytesKept = bytes.length;
    for (const held of this.#held.values()) bytesKept += held.bytesKept;
    this.#open.add(bytes, { inMemory: bytesKept <= PLUGIN_HELD_BYTES_MAX });
  }

  onBodyEnd(): void {
    if (this.#open !== undefined) this.#open.isWhole = true;
    this.#open = undefined;
  }

  get(id: number): HeldRequest | undefined {
    return this.#held.get(id);
  }

  /** It is answered. */
  drop(id: number): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    if (held === this.#open) this.#open = undefined;
    held.close();
  }

  /** Gives all of them, oldest first, to another. The last one's body may go on to come: it belongs there too. */
  handOver(sink: RequestSink): void {
    for (const held of this.#held.values()) held.replay(sink);
    for (const id of [...this.#held.keys()]) this.drop(id);
  }
}

export class HeldRequest {
  readonly request: CacheRequest;
  /** Of a put: its body has come. */
  isWhole = false;
  /** In memory. */
  bytesKept = 0;
  readonly #pieces: Buffer[] = [];
  #file: (NamelessFile & { size: number }) | undefined;

  constructor(request: CacheRequest) {
    this.request = request;
  }

  /** The body's next piece. Where no file can be written, memory has to do. */
  add(bytes: Buffer, { inMemory }: { readonly inMemory: boolean }): void {
    const isStored = (this.#file !== undefined || !inMemory) && this.#store(bytes);
    if (!isStored) this.#keep(bytes);
  }

  replay(sink: RequestSink): void {
    sink.onRequest(this.request);
    if (this.request.command !== 'put') return;
    for (const piece of this.#pieces) sink.onBody(piece);
    if (this.#file !== undefined) readAll(this.#file, (piece) => sink.onBody(piece));
    if (this.isWhole) sink.onBodyEnd();
  }

  close(): void {
    if (this.#file !== undefined) {
      fs.closeSync(this.#file.fd);
      if (this.#file.directory !== undefined) removeQuietly(this.#file.directory);
    }
    this.#file = undefined;
  }

  #keep(bytes: Buffer): void {
    this.#pieces.push(bytes);
    this.bytesKept += bytes.length;
  }

  /** Pieces in a file come after those in memory. False: no file has any. */
  #store(bytes: Buffer): boolean {
    try {
      this.#file ??= { ...openNameless(), size: 0 };
      const { fd, size } = this.#file;
      for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at, size + at);
      this.#file.size += bytes.length;
      return true;
    } catch {
      if (this.#file !== undefined) readAll(this.#file, (piece) => this.#keep(piece));
      this.close();
      return false;
    }
  }
}

const COPY_BYTES = 256 * 1024;

function readAll(
  { fd, size }: { readonly fd: number; readonly size: number },
  take: (piece: Buffer) => void,
) {
  for (let at = 0; at < size; ) {
    const piece = Buffer.alloc(Math.min(COPY_BYTES, size - at));
    const count = fs.readSync(fd, piece, 0, piece.length, at);
    if (count === 0) return; // Too short: the put's own check finds it.
    take(piece.subarray(0, count));
    at += count;
  }
}

type NamelessFile = {
  readonly fd: number;
  /** Still there: to be removed when the file is closed. */
  readonly directory: string | undefined;
};

/** Gone with this process, however that ends; where Windows does not remove a file that is open, when it is closed. */
function openNameless(): NamelessFile {
  const directory = fs.mkdtempSync(join(os().tmpdir(), 'astera-connect-'));
  const fd = fs.openSync(join(directory, 'body'), 'wx+', 0o600);
  return { fd, directory: removeQuietly(directory) ? undefined : directory };
}

function removeQuietly(directory: string): boolean {
  try {
    fs.rmSync(directory, { recursive: true });
    return true;
  } catch {
    return false;
  }
}
