/** zstd whose reader would have to hold 128 MiB, whatever its content has. */

import { constants, createZstdCompress } from 'node:zlib';
import { collect } from '../../src/core/collect.ts';

/** One frame with `content`. It is a stream of unknown length: all else has a window of its content. */
export async function wideFrame(content: Uint8Array): Promise<Buffer<ArrayBuffer>> {
  const encoder = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } });
  const packed = collect(encoder, content.byteLength + 1_000);
  encoder.write(content.subarray(0, 1));
  await new Promise<void>((resolve) => encoder.flush(() => resolve()));
  encoder.end(content.subarray(1));
  return Buffer.from((await packed) ?? []);
}
