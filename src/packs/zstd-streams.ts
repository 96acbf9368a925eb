/**
 * Frames of zstd, each packed or unpacked as a whole, by one stream that is used again and again.
 *
 * Node's calls for whole buffers make a context of 5 to 30 MB each, and free it when V8 comes to collect a small object: packing
 * 60 MB took 330 MB, and takes 50 this way.
 */

import type { Transform } from 'node:stream';
import type { ZstdCompress, ZstdDecompress } from 'node:zlib';
import { zlib } from '../core/node-modules.ts';
import { noteZstdCall } from '../core/zstd-contexts.ts';
import { PACK_FRAME_BYTES } from './pack-index.ts';

/** A stream, and what it has given since the last call. Calls wait for each other. */
class Turns {
  readonly #stream: Transform;
  #given: Buffer[] = [];
  #givenBytes = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(stream: Transform) {
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => {
      this.#given.push(bytes);
      this.#givenBytes += bytes.length;
      if (this.#givenBytes > GIVEN_BYTES_MAX) stream.destroy(new Error('a zstd frame of too much content'));
    });
    stream.on('error', () => {}); // Each call is told.
  }

  /** @param use calls back when the stream has given all of it. @throws {Error} the stream's error */
  take(use: (done: () => void) => void): Promise<Buffer[]> {
    const turn = this.#last.then(() => this.#take(use));
    this.#last = turn.catch(() => {});
    return turn;
  }

  #take(use: (done: () => void) => void): Promise<Buffer[]> {
    const stream = this.#stream;
    return new Promise((resolve, reject) => {
      if (stream.destroyed) throw stream.errored ?? new Error(CLOSED);
      const closed = () => reject(stream.errored ?? new Error(CLOSED));
      stream.once('close', closed);
      use(() => {
        stream.off('close', closed);
        const given = this.#given;
        this.#given = [];
        this.#givenBytes = 0;
        noteZstdCall(CALL_WEIGHT);
        resolve(given);
      });
    });
  }
}

const CLOSED = 'a zstd stream that is closed';

/** Of a frame: V8 does not see its some MiB outside its heap, and would collect them by the hundred. */
const CALL_WEIGHT = 4;

/** What can't be packed becomes a little longer. */
const GIVEN_BYTES_MAX = PACK_FRAME_BYTES + 64 * 1024;

export type PackerOptions = {
  /** Zstd's own. */
  readonly level: number;
  /** 2^windowLog bytes: those of a whole frame. */
  readonly windowLog: number;
  /** Of each buffer that takes packed bytes. */
  readonly chunkSize: number;
};

export class ZstdPacker {
  readonly #stream: ZstdCompress;
  readonly #turns: Turns;

  constructor({ level, windowLog, chunkSize }: PackerOptions = PACKS) {
    const { createZstdCompress, constants } = zlib();
    const { ZSTD_c_compressionLevel, ZSTD_c_windowLog } = constants;
    this.#stream = createZstdCompress({
      params: { [ZSTD_c_compressionLevel]: level, [ZSTD_c_windowLog]: windowLog },
      chunkSize,
    });
    this.#turns = new Turns(this.#stream);
  }

  /** One frame. @param content of up to PACK_FRAME_BYTES; it must not change meanwhile. @throws {Error} it was closed */
  async pack(content: Buffer): Promise<Buffer> {
    const parts = await this.#turns.take((done) => {
      this.#stream.write(content);
      this.#stream.flush(zlib().constants.ZSTD_e_end, done);
    });
    return Buffer.concat(parts);
  }

  close(): void {
    this.#stream.destroy();
  }
}

export class ZstdUnpacker {
  #stream: ZstdDecompress | undefined;
  #turns: Turns | undefined;
  #isClosed = false;

  /** The content of one frame, in pieces. @throws {Error} no frame, or one of over PACK_FRAME_BYTES, or it was closed */
  async unpack(frame: Uint8Array): Promise<readonly Buffer[]> {
    if (this.#isClosed) throw new Error(CLOSED);
    const { stream, turns } = this.#open();
    return turns.take((done) => {
      stream.write(frame, done);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stream?.destroy();
  }

  /** After a wrong frame, another one. */
  #open(): { readonly stream: ZstdDecompress; readonly turns: Turns } {
    if (this.#stream !== undefined && this.#turns !== undefined && !this.#stream.destroyed)
      return { stream: this.#stream, turns: this.#turns };
    const { createZstdDecompress, constants } = zlib();
    const params = { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG };
    const stream = createZstdDecompress({ params, chunkSize: PACK_FRAME_BYTES });
    const turns = new Turns(stream);
    this.#stream = stream;
    this.#turns = turns;
    return { stream, turns };
  }
}

/**
 * Of 62 MB of a build's outputs, in frames of 1 MiB, level 3 leaves 15.6 MB in 0.24 s of CPU, level 7 14.5 in 0.8 s. Many unpack what
 * one has packed, each in 0.1 s.
 */
const LEVEL = 7;

/** Of a whole frame. */
const WINDOW_LOG = 20;

const PACKS: PackerOptions = { level: LEVEL, windowLog: WINDOW_LOG, chunkSize: PACK_FRAME_BYTES };
