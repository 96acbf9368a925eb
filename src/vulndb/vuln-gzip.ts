/** Packs and unpacks the database's files, in zlib's own threads. */

import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { messageOf, UpstreamFailed } from '../core/errors.ts';

const unpackWhole = promisify(gunzip);

/** Packs a file, as a database without packed files gives it. */
export const pack: (bytes: Uint8Array) => Promise<Uint8Array> = promisify(gzip);

/** @throws {UpstreamFailed} it is not a gzip file, or unpacks to more than `bytesMax` */
export async function unpack(bytes: Uint8Array, bytesMax: number): Promise<Buffer> {
  try {
    return await unpackWhole(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    throw new UpstreamFailed(`cannot unpack a file of the vulnerability database: ${messageOf(error)}`);
  }
}

export function isPacked(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}
