/**
 * The last version of each package that went to the server from here: the next one can be told by it.
 *
 * One small file for each package and server, `versions/<host>-<key>`, has the output's ID. They lie in the local directory and go with it.
 */

import { closeSync, mkdirSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isCacheId } from '../core/cache-id.ts';
import { deltaRange, encodeDelta } from '../core/delta.ts';
import { encodeDeltaFrame } from '../core/delta-frames.ts';
import { CHUNK_BYTES, DELTA_GROWTH_BYTES_MAX } from '../core/limits.ts';
import { PackageScan } from '../core/package-key.ts';
import type { LocalEntry } from './cache-directory.ts';
import { DELTA_PUT_BYTES_MAX, DELTA_PUT_BYTES_MIN } from './limits.ts';

export type DeltaBody = { readonly baseId: string; readonly body: Buffer };

export type VersionsOptions = {
  /** How the paths of the files begin. */
  readonly files: string;
  /** Where an output of the local directory lies, if it is there. */
  readonly pathOf: (outputId: string) => string;
};

export class PackageVersions {
  readonly #options: VersionsOptions;

  constructor(options: VersionsOptions) {
    this.#options = options;
  }

  /** Which package an output is of, where it is large enough. @throws {Error} it can't be read */
  keyOf({ path, size }: LocalEntry): string | undefined {
    if (size < DELTA_PUT_BYTES_MIN) return undefined;
    const scan = new PackageScan();
    for (const chunk of chunksOf(path, 0, size)) scan.push(chunk);
    return scan.key()?.toString('hex');
  }

  /** An output as deltas against the last version; undefined where that is gone, or spares little. @throws {Error} as `keyOf` */
  async deltaOf({ path, size, outputId }: LocalEntry, key: string): Promise<DeltaBody | undefined> {
    const baseId = this.#read(key);
    if (baseId === undefined || baseId === outputId) return undefined;
    const basePath = this.#options.pathOf(baseId);
    const baseSize = statSync(basePath, { throwIfNoEntry: false })?.size;
    if (baseSize === undefined || Math.abs(size - baseSize) > DELTA_GROWTH_BYTES_MAX) return undefined;
    const frames: Buffer[] = [];
    let at = 0;
    let bytes = 0;
    for (const content of chunksOf(path, 0, size)) {
      const { from, to } = deltaRange(at, content.length, { size, baseSize });
      const window = Buffer.concat([...chunksOf(basePath, from, to)]);
      const frame = encodeDeltaFrame(encodeDelta({ at, content }, { at: from, bytes: window }));
      bytes += frame.length;
      if (bytes > Math.min(DELTA_PUT_BYTES_MAX, size * PART_MAX)) return undefined;
      frames.push(frame);
      at += content.length;
      await new Promise(setImmediate); // Gets come first.
    }
    return { baseId, body: Buffer.concat(frames) };
  }

  /** The server has this one now. */
  note(key: string, outputId: string): void {
    try {
      const path = this.#fileOf(key);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, outputId);
    } catch {
      // The next version goes whole.
    }
  }

  #fileOf(key: string): string {
    return `${this.#options.files}-${key}`;
  }

  #read(key: string): string | undefined {
    try {
      const outputId = readFileSync(this.#fileOf(key), 'latin1');
      return isCacheId(outputId) ? outputId : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Packed whole, an output keeps a fifth of itself. */
const PART_MAX = 0.1;

/** The bytes of a file from `from` to `to`, some at a time. @throws {Error} it has fewer */
function* chunksOf(path: string, from: number, to: number): Generator<Buffer, void, void> {
  const fd = openSync(path, 'r');
  try {
    for (let at = from; at < to; at += CHUNK_BYTES) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, to - at));
      if (readSync(fd, chunk, 0, chunk.length, at) !== chunk.length) throw new Error('output is cut');
      yield chunk;
    }
  } finally {
    closeSync(fd);
  }
}
