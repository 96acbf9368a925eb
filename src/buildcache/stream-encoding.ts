/**
 * Compresses a stream as it is made, on libuv's threads. One stream over all outputs finds what they share: Go's archives
 * repeat the types that they import.
 */

import type { Writable } from 'node:stream';
import { constants, createBrotliCompress, createZstdCompress } from 'node:zlib';
import { noteZstdStream } from '../core/zstd-contexts.ts';
import { isLate } from './session-pieces.ts';

/** As in `Content-Encoding`. */
export type StreamEncoding = 'identity' | 'zstd' | 'br';

/** How a stream is packed. */
export type StreamPacking = {
  /** 2^windowLog bytes are held, in which repetitions are found. */
  readonly windowLog: number;
  /** zstd's. */
  readonly level: number;
};

/** Of a zstd context, beside its window. */
const ZSTD_OTHER_BYTES = 1024 * 1024;

/** The first that we have of a client's `Accept-Encoding`. */
export function streamEncodingOf(accepted: string): StreamEncoding {
  const names = accepted.split(',').map((one) => one.trim().toLowerCase());
  return (['zstd', 'br'] as const).find((name) => names.includes(name)) ?? 'identity';
}

/**
 * @param pieces the first one reaches the client before the second is there; each is lent until the next one is asked for
 */
export async function* encoded(
  pieces: AsyncGenerator<Uint8Array, void, void>,
  encoding: StreamEncoding,
  packing: StreamPacking,
): AsyncGenerator<Uint8Array, void, void> {
  if (encoding === 'identity') {
    yield* pieces;
    return;
  }
  const encoder =
    encoding === 'zstd' ? createZstdCompress(zstd(packing)) : createBrotliCompress(brotli(packing));
  const feed = async () => {
    let isFirst = true;
    for (let next = pieces.next(); ; ) {
      const { value: piece } = await next;
      if (piece === undefined) break;
      if (encoder.destroyed) return void pieces.return(); // Nobody reads it any more.
      const isTaken = written(encoder, piece);
      if (isFirst) encoder.flush();
      isFirst = false;
      await isTaken;
      next = pieces.next();
      if (await isLate(next)) encoder.flush();
    }
    encoder.end();
  };
  const feeding = feed().catch((error: Error) => {
    encoder.destroy(error);
  });
  try {
    yield* encoder;
  } finally {
    encoder.destroy();
    await feeding;
    if (encoding === 'zstd') noteZstdStream(2 ** packing.windowLog + ZSTD_OTHER_BYTES);
  }
}

/** Resolves when the piece is in the encoder, or nobody reads it any more. */
function written(encoder: Writable, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    encoder.write(piece, () => resolve());
  });
}

function zstd({ windowLog, level }: StreamPacking) {
  return {
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: windowLog },
  };
}

function brotli({ windowLog }: StreamPacking) {
  return { params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_LGWIN]: windowLog } };
}
