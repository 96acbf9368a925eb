/**
 * zstd frames, each of one chunk, made on libuv's threads by a few streams that are used again and again.
 *
 * Node's call for a whole buffer makes a context of 1.3 MB, and frees it when V8 comes to collect a small object. Those of calls
 * that wait for a thread count too: sixteen machines that put at once held 70 MB of them.
 */

import { constants, createZstdCompress } from 'node:zlib';
import { freeBytes } from '../core/free-bytes.ts';
import { Gate } from '../core/gate.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import { FRAME_PACKERS_MAX } from './limits.ts';

/** Level 1: of 169 MB (go build std) it leaves 44 MB in 0.65 s of CPU; level 3 leaves 42 MB in 1.7 s. */
const LEVEL = 1;

/** Of a whole chunk. */
const WINDOW_LOG = Math.log2(CHUNK_BYTES);

/** What a stream's output is cut from. Of a chunk a quarter is left. */
const OUTPUT_BYTES = 64 * 1024;

/** One stream. One call at a time. */
class FramePacker {
  readonly #stream = createZstdCompress({
    // Each write is a frame.
    flush: constants.ZSTD_e_end,
    chunkSize: OUTPUT_BYTES,
    params: {
      [constants.ZSTD_c_compressionLevel]: LEVEL,
      [constants.ZSTD_c_windowLog]: WINDOW_LOG,
    },
  });
  #given: Buffer[] = [];
  /** The buffer that the stream cuts its output from. */
  #cutFrom: ArrayBufferLike | undefined;

  constructor() {
    this.#stream.on('data', (bytes: Buffer) => this.#given.push(bytes));
  }

  async pack(content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    await new Promise<void>((resolve, reject) => {
      this.#stream.write(content, (error) => (error ? reject(error) : resolve()));
    });
    const given = this.#given;
    this.#given = [];
    const frame = new Uint8Array(given.reduce((size, { byteLength }) => size + byteLength, 0));
    let at = 0;
    for (const part of given) {
      frame.set(part, at);
      at += part.byteLength;
      this.#leave(part.buffer);
    }
    return frame;
  }

  /** Frees the buffer before this one: the stream has come to its end. */
  #leave(next: ArrayBufferLike): void {
    const last = this.#cutFrom;
    this.#cutFrom = next;
    if (last !== undefined && last !== next) freeBytes(new Uint8Array(last));
  }
}

const idle: FramePacker[] = [];
const gate = new Gate({ placesMax: FRAME_PACKERS_MAX, queueMax: Infinity, full: '' });

/**
 * One frame, in a buffer of its own.
 *
 * @param content up to a chunk; it must not change meanwhile
 */
export function packFrame(content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return gate.run(async () => {
    const packer = idle.pop() ?? new FramePacker();
    const frame = await packer.pack(content);
    idle.push(packer); // Not one that has failed.
    return frame;
  });
}
