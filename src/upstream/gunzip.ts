/**
 * Undoes `Content-Encoding: gzip`, which some servers send though `identity` was asked for.
 * Runs in libuv's pool; the consumer counts the bytes that come out, so a bomb stops at its `bytesMax`.
 */

import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Setback } from './setback.ts';

/** @throws {Setback} as `body` does, and `cut` if the gzip stream is broken */
export async function* gunzip(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const unzip = createGunzip();
  pipeline(Readable.from(body), unzip, () => {}); // The error arrives by `unzip` too.
  try {
    yield* unzip;
  } catch (error) {
    throw isZlibError(error) ? new Setback('cut', 'broken gzip encoding') : error;
  }
}

function isZlibError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^Z_/.test(String(error.code));
}
