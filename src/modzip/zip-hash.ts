/**
 * The h1 hash of a module zip, with a check of all its content.
 *
 * Follows golang.org/x/mod/sumdb/dirhash (HashZip), which also hashes the names of directories. The bodies are read
 * once, in file order, so that chunk rows are read from front to back.
 */

import { createHash, hash } from 'node:crypto';
import { CHUNK_BYTES } from '../core/limits.ts';
import { type ByteSource, readAhead } from './byte-source.ts';
import { hash1, type NamedDigest } from './hash1.ts';
import { checkZip, type ZipOwner, type ZipSummary } from './zip-check.ts';
import { fitsWhole, readContent, streamContent } from './zip-content.ts';
import type { ZipEntry } from './zip-directory.ts';

/** `h1:` and 44 characters of base64, with the number of files and the size of their content. */
export type ZipHash = { readonly h1: string; readonly files: number; readonly contentBytes: number };

/**
 * Checks the structure and the content of a module zip, and hashes it.
 *
 * It holds the directory, two chunks and a piece of content in memory. It takes a second for each 500 MB of content and
 * blocks its thread meanwhile.
 *
 * @throws {CheckFailed} it is not a module zip of `owner`, or its content is not what it declares
 */
export function hashZip(source: ByteSource, owner: ZipOwner): ZipHash {
  const { entries, files, contentBytes } = checkZip(source, owner);
  const ahead = readAhead(source, CHUNK_BYTES);
  const digests: NamedDigest[] = [];
  for (const entry of entries) {
    const sha256 = fitsWhole(entry)
      ? hash('sha256', readContent(ahead, entry), 'hex')
      : digestStream(source, entry);
    digests.push({ name: entry.name, sha256 });
  }
  return { h1: hash1(digests), files, contentBytes };
}

/**
 * Makes the checks of {@link hashZip} without the hash. It is for a zip that no checksum covers, whose parts were
 * joined without a proof that they belong together.
 *
 * @throws {CheckFailed} as {@link hashZip}
 */
export function checkContent(source: ByteSource, owner: ZipOwner): ZipSummary {
  const summary = checkZip(source, owner);
  const ahead = readAhead(source, CHUNK_BYTES);
  for (const entry of summary.entries) {
    if (fitsWhole(entry)) readContent(ahead, entry);
    else streamContent(source, entry, () => {});
  }
  return summary;
}

function digestStream(source: ByteSource, entry: ZipEntry): string {
  const digest = createHash('sha256');
  streamContent(source, entry, (piece) => digest.update(piece));
  return digest.digest('hex');
}
