/**
 * One directory of the list: a GOPROXY tree on disk, such as GOMODCACHE/cache/download.
 *
 * Paths are escaped as in URLs, which is how the files are named. A local file is never resumed: it is read again.
 * A disk may hang, for example one behind a network. Nothing can end a read that hangs, so it is left alone and counted.
 */

import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Busy, NotFound, UpstreamDown, UpstreamFailed } from '../core/errors.ts';
import type { FetchEvent } from '../core/ports.ts';
import { HUNG_READS_MAX } from './limits.ts';
import { cannotFetch } from './redact.ts';
import { codeOf, isOfThisMachine, reasonOf } from './setback.ts';
import type { Timeouts } from './settings.ts';
import { type Ask, joined, type Source } from './source.ts';
import { within } from './within.ts';

/** The bytes of one read; libuv's own stream size. */
const PIECE_BYTES = 64 * 1024;

const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

/** The file system as it is used here; a test's own may hang. */
export type Disk = { readonly open: typeof open; readonly stat: typeof stat };

type Opened = { readonly file: FileHandle; readonly size: number };

export class FileSource implements Source {
  readonly name: string;
  readonly #root: string;
  /** The name in messages, which clients read: where the tree lies is the operator's own matter. */
  readonly #shown: string;
  readonly #stallMs: number;
  readonly #disk: Disk;
  #hung = 0;

  /** @param root absolute path of the tree */
  constructor(root: string, { stallMs }: Pick<Timeouts, 'stallMs'>, disk: Disk = { open, stat }) {
    this.#root = root;
    this.#stallMs = stallMs;
    this.#disk = disk;
    this.name = `file://${root}`;
    this.#shown = `file://…/${basename(root)}`;
  }

  /** Its disk hangs. */
  get isDown(): boolean {
    return this.#hung >= HUNG_READS_MAX;
  }

  async *fetch(ask: Ask): AsyncGenerator<FetchEvent, void, void> {
    const { path, bytesMax } = ask;
    const { file, size } = await this.#opened(ask);
    try {
      if (size > bytesMax) throw this.#failed(path, `larger than ${bytesMax} bytes`);
      yield { kind: 'start', offset: 0, size, validator: {}, upstream: this.name };
      let position = 0;
      while (position < size) {
        const bytes = new Uint8Array(Math.min(PIECE_BYTES, size - position));
        const { bytesRead } = await this.#inTime(ask, file.read(bytes, 0, bytes.byteLength, position));
        if (bytesRead === 0) throw this.#failed(path, 'the file was cut while it was read');
        position += bytesRead;
        yield { kind: 'bytes', bytes: bytes.subarray(0, bytesRead) };
      }
    } finally {
      leave(file);
    }
  }

  whole(ask: Ask): Promise<Uint8Array> {
    return joined(this.fetch(ask));
  }

  async head(ask: Ask): Promise<number | undefined> {
    const { file, size } = await this.#opened(ask);
    leave(file);
    return size;
  }

  /** @throws {NotFound} no such file @throws {Busy} no descriptor is left @throws {UpstreamDown} the disk hangs @throws {UpstreamFailed} any other error */
  async #opened(ask: Ask): Promise<Opened> {
    const { path } = ask;
    if (this.isDown) throw this.#hangs(path);
    const opening = this.#open(path);
    try {
      return await this.#inTime(ask, opening);
    } catch (error) {
      opening.then(({ file }) => leave(file)).catch(() => {});
      throw error;
    }
  }

  async #open(path: string): Promise<Opened> {
    let file: FileHandle;
    try {
      // Without O_NONBLOCK a pipe in the tree would hold one of libuv's threads for ever.
      file = await this.#disk.open(join(this.#root, path), constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw await this.#errorOf(error, path);
    }
    const info = await file.stat();
    if (info.isFile()) return { file, size: info.size };
    leave(file);
    throw new NotFound(cannotFetch(path, this.#shown, 'no such file'));
  }

  async #inTime<T>({ path, signal }: Ask, work: Promise<T>): Promise<T> {
    const done = await within(work, this.#stallMs, signal);
    if (done !== undefined) return done.value;
    signal.throwIfAborted();
    this.#hung += 1;
    const back = (): void => {
      this.#hung -= 1;
    };
    work.then(back, back);
    throw this.#hangs(path);
  }

  // A tree that is not mounted is unreachable; its files are not "not there".
  async #errorOf(error: unknown, path: string): Promise<Error> {
    if (isOfThisMachine(error)) return new Busy(cannotFetch(path, this.#shown, reasonOf(error)));
    if (!MISSING.has(codeOf(error))) return this.#failed(path, codeOf(error) || 'it cannot be read'); // Node's words name the file.
    const hasRoot = await this.#disk.stat(this.#root).then(
      (info) => info.isDirectory(),
      () => false,
    );
    if (!hasRoot) return this.#failed(path, 'no such directory');
    return new NotFound(cannotFetch(path, this.#shown, 'no such file'));
  }

  #hangs(path: string): UpstreamDown {
    return new UpstreamDown(cannotFetch(path, this.#shown, 'its disk does not answer'));
  }

  #failed(path: string, why: string): UpstreamFailed {
    return new UpstreamFailed(cannotFetch(path, this.#shown, why));
  }
}

/** Not awaited: closing waits for a read that hangs. */
function leave(file: FileHandle): void {
  file.close().catch(() => {});
}
