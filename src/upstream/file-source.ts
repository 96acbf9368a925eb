/**
 * One directory of the list: a GOPROXY tree on disk, such as GOMODCACHE/cache/download.
 *
 * Paths are escaped as in URLs, which is how the files are named. A local file is never resumed:
 * it is read again. Never counts as down.
 */

import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, NotFound, UpstreamFailed } from '../core/errors.ts';
import type { FetchEvent } from '../core/ports.ts';
import { cannotFetch } from './redact.ts';
import { codeOf } from './setback.ts';
import type { Ask, Source } from './source.ts';

/** What one read takes; libuv's own stream size. */
const PIECE_BYTES = 64 * 1024;

const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

export class FileSource implements Source {
  readonly name: string;
  readonly isDown = false;
  readonly #root: string;

  /** @param root absolute path of the tree */
  constructor(root: string) {
    this.#root = root;
    this.name = `file://${root}`;
  }

  async *fetch({ path, bytesMax, signal }: Ask): AsyncGenerator<FetchEvent, void, void> {
    const { file, size } = await this.#opened(path);
    try {
      if (size > bytesMax) throw this.#failed(path, `larger than ${bytesMax} bytes`);
      yield { kind: 'start', offset: 0, size, validator: {}, upstream: this.name };
      let position = 0;
      while (position < size) {
        signal.throwIfAborted();
        const bytes = new Uint8Array(Math.min(PIECE_BYTES, size - position));
        const { bytesRead } = await file.read(bytes, 0, bytes.byteLength, position);
        if (bytesRead === 0) throw this.#failed(path, 'the file was cut while it was read');
        position += bytesRead;
        yield { kind: 'bytes', bytes: bytes.subarray(0, bytesRead) };
      }
    } finally {
      await file.close();
    }
  }

  async head({ path }: Ask): Promise<number | undefined> {
    const { file, size } = await this.#opened(path);
    await file.close();
    return size;
  }

  async #opened(path: string): Promise<{ file: FileHandle; size: number }> {
    let file: FileHandle;
    try {
      // Without O_NONBLOCK a pipe in the tree would hold one of libuv's threads for ever.
      file = await open(join(this.#root, path), constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw await this.#errorOf(error, path);
    }
    const info = await file.stat();
    if (info.isFile()) return { file, size: info.size };
    await file.close();
    throw new NotFound(cannotFetch(path, this.name, 'no such file'));
  }

  // A tree that is not mounted is unreachable; its files are not "not there".
  async #errorOf(error: unknown, path: string): Promise<Error> {
    if (!MISSING.has(codeOf(error))) return this.#failed(path, messageOf(error));
    const hasRoot = await stat(this.#root).then(
      (info) => info.isDirectory(),
      () => false,
    );
    if (!hasRoot) return this.#failed(path, 'no such directory');
    return new NotFound(cannotFetch(path, this.name, 'no such file'));
  }

  #failed(path: string, why: string): UpstreamFailed {
    return new UpstreamFailed(cannotFetch(path, this.name, why));
  }
}
