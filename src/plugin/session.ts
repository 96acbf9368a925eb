/**
 * One run of the cache program: requests from stdin, answers to stdout, all else to stderr.
 *
 * A put is answered when its local file is there, and never fails for the remote's sake. Answers may come in any order.
 */

import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { isCacheId } from '../core/cache-id.ts';
import { type LocalCache, type LocalEntry, type LocalPut, trimDirectory } from './local-cache.ts';
import type { PluginOptions } from './options.ts';
import type { RemoteCache } from './remote-cache.ts';
import { type CacheRequest, RequestReader } from './request-reader.ts';
import { isShareable } from './shareable.ts';
import { Uploads } from './uploads.ts';

export type SessionDoors = {
  readonly local: LocalCache;
  readonly remote: RemoteCache | undefined;
  readonly write: (text: string) => void;
  readonly warn: (line: string) => void;
  readonly now: () => number;
};

export class Session {
  readonly #options: PluginOptions;
  readonly #doors: SessionDoors;
  readonly #uploads: Uploads | undefined;
  readonly #gets = new Set<Promise<void>>();
  #put: { readonly request: CacheRequest; readonly file: LocalPut; error: unknown } | undefined;
  #counts = { hits: 0, remoteHits: 0, misses: 0, puts: 0, bytes: 0 };
  #closed: (() => void) | undefined;
  #closeId: number | undefined;

  constructor(options: PluginOptions, doors: SessionDoors) {
    this.#options = options;
    this.#doors = doors;
    this.#uploads = doors.remote && new Uploads(doors.local, doors.remote, options.uploads);
  }

  /** Runs until `close` is answered or the input ends. Rejects where the input is not the `go` command's. */
  async run(input: Readable): Promise<void> {
    this.#answer({ ID: 0, KnownCommands: ['get', 'put', 'close'] });
    this.#uploads?.takeSpool();
    const reader = new RequestReader({
      onRequest: (request) => this.#request(request),
      onBody: (bytes) => this.#body(bytes),
      onBodyEnd: () => this.#bodyEnd(),
    });
    await new Promise<void>((resolve, reject) => {
      this.#closed = resolve;
      input.on('data', (bytes: Buffer) => {
        try {
          reader.push(bytes);
        } catch (error) {
          reject(error);
        }
      });
      input.on('end', resolve);
      input.on('error', reject);
    });
    this.#put?.file.abort();
    await Promise.all(this.#gets);
    await this.#uploads?.close(this.#options.closeWaitMs);
    this.#trim();
    this.#doors.local.close();
    this.#doors.remote?.close();
    if (this.#options.metrics) {
      const { hits, remoteHits, misses, puts, bytes } = this.#counts;
      this.#doors.warn(
        `${hits} hits, ${remoteHits} of them remote, ${misses} misses, ${puts} puts of ${bytes} bytes, ${this.#uploads?.done ?? 0} uploaded`,
      );
    }
    if (this.#closeId !== undefined) this.#answer({ ID: this.#closeId });
  }

  #request(request: CacheRequest): void {
    const { id, command, actionId, outputId, bodySize } = request;
    if (command === 'close') {
      this.#closeId = id;
      this.#closed?.();
    } else if (command === 'get') {
      const get = this.#get(request).finally(() => this.#gets.delete(get));
      this.#gets.add(get);
    } else if (command === 'put') {
      const isGood = isCacheId(actionId) && isCacheId(outputId);
      const file = this.#doors.local.beginPut({ outputId, size: bodySize });
      this.#put = {
        request,
        file,
        error: isGood ? undefined : new Error('bad ActionID or OutputID'),
      };
    } else this.#answer({ ID: id, Err: `unknown command ${JSON.stringify(command.slice(0, 40))}` });
  }

  async #get({ id, actionId }: CacheRequest): Promise<void> {
    const { local, remote } = this.#doors;
    const isGood = isCacheId(actionId);
    let entry = isGood ? local.get(actionId) : undefined;
    if (entry === undefined && isGood && remote !== undefined) {
      entry = await remote.get(actionId, local);
      if (entry !== undefined) this.#counts.remoteHits++;
    }
    if (entry === undefined) this.#counts.misses++;
    else this.#counts.hits++;
    this.#answer(entry === undefined ? { ID: id, Miss: true } : { ID: id, ...answerOf(entry) });
  }

  #body(bytes: Buffer): void {
    const put = this.#put;
    if (put === undefined || put.error !== undefined) return;
    try {
      put.file.write(bytes);
    } catch (error) {
      put.error = error;
    }
  }

  #bodyEnd(): void {
    const put = this.#put;
    if (put === undefined) return;
    this.#put = undefined;
    const { id, actionId, bodySize } = put.request;
    try {
      if (put.error !== undefined) throw put.error;
      const entry = put.file.finish({ actionId });
      this.#counts.puts++;
      this.#counts.bytes += bodySize;
      this.#answer({ ID: id, DiskPath: entry.path });
      if (this.#isShared(put.file.start, entry)) this.#uploads?.add(actionId);
    } catch (error) {
      put.file.abort();
      this.#answer({ ID: id, Err: error instanceof Error ? error.message : String(error) });
    }
  }

  #isShared(start: Buffer, entry: LocalEntry): boolean {
    if (this.#uploads === undefined || !this.#doors.local.isKept(entry)) return false;
    return isShareable(start, entry.path, this.#options);
  }

  #answer(answer: Readonly<Record<string, unknown>>): void {
    this.#doors.write(`${JSON.stringify(answer)}\n`);
  }

  /** At most once an hour: reading the whole directory takes a while, and `go` waits for it. */
  #trim(): void {
    const { cacheDir, expiryMs, bytesMax } = this.#options;
    const stamp = this.#doors.local.ownPath('trimmed');
    const nowMs = this.#doors.now();
    const trimmedAtMs = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (nowMs - trimmedAtMs < TRIM_MS) return;
    try {
      mkdirSync(cacheDir, { recursive: true });
      writeFileSync(stamp, '');
      trimDirectory(cacheDir, { expiryMs, bytesMax, nowMs });
    } catch {
      // A directory that can't be written does not grow either.
    }
  }
}

const TRIM_MS = 3_600_000;

function answerOf({ outputId, size, time, path }: LocalEntry): Readonly<Record<string, unknown>> {
  return {
    OutputID: Buffer.from(outputId, 'hex').toString('base64'),
    Size: size,
    Time: new Date(Number(BigInt(time) / 1_000_000n)).toISOString(),
    DiskPath: path,
  };
}
