/**
 * The content of a zip's entries. It is inflated in bounded memory, and its size and CRC are checked.
 *
 * It accepts the same content as Go's archive/zip (reader.go, checksumReader). This includes bytes after the end of a
 * deflate stream, and a CRC of zero without a data descriptor.
 */

import { crc32 } from 'node:zlib';
import type { CheckFailed } from '../core/errors.ts';
import { badZip } from './bad-zip.ts';
import { type ByteSource, readExactly, readPieces } from './byte-source.ts';
import { BadDeflate, INFLATED_PIECE_BYTES, Inflater } from './inflater.ts';
import type { ZipEntry } from './zip-directory.ts';

/** Whether an entry is small enough for {@link readContent}, which is faster. */
export function fitsWhole({ bytes, bodyBytes }: ZipEntry): boolean {
  return bytes < INFLATED_PIECE_BYTES && bodyBytes <= INFLATED_PIECE_BYTES;
}

/**
 * The content of an entry that {@link fitsWhole}. It is a view of the source's bytes, or of a buffer that the next
 * entry overwrites.
 *
 * @throws {CheckFailed} it does not inflate, or not to the declared size and CRC
 */
export function readContent(source: ByteSource, entry: ZipEntry): Uint8Array {
  if (entry.isDirectory) return NOTHING;
  const body = readExactly(source, { offset: entry.bodyOffset, length: entry.bodyBytes });
  const content = entry.isDeflated ? inflateWhole(body, entry) : body;
  checkEnd(source, entry, { bytes: content.byteLength, crc: crc32(content) });
  return content;
}

/**
 * Hands the content of an entry of any size to `take`, in pieces. Each piece is overwritten by the next one.
 *
 * The content is checked at its end, so `take` gets pieces before the check.
 *
 * @throws {CheckFailed} it does not inflate, or not to the declared size and CRC
 */
export function streamContent(source: ByteSource, entry: ZipEntry, take: (piece: Uint8Array) => void): void {
  if (entry.isDirectory) return;
  let bytes = 0;
  let crc = 0;
  const visit = (piece: Uint8Array) => {
    bytes += piece.byteLength;
    if (bytes > entry.bytes) throw tooLong(entry);
    crc = crc32(piece, crc);
    take(piece);
  };
  const pieces = readPieces(source, { offset: entry.bodyOffset, length: entry.bodyBytes });
  if (entry.isDeflated) inflating(entry, (inflater) => inflater.stream(pieces, visit));
  else for (const piece of pieces) visit(piece);
  checkEnd(source, entry, { bytes, crc });
}

function inflateWhole(body: Buffer, entry: ZipEntry): Uint8Array {
  const content = inflating(entry, (inflater) => inflater.whole(body));
  if (content === undefined) throw tooLong(entry);
  return content;
}

/** One for the thread. Nothing here waits, so two entries are never inflated at the same time. */
let shared: Inflater | undefined;

/** Turns zlib's error about bad bytes into a bad zip. Other errors are not about the zip and stay as they are. */
function inflating<T>(entry: ZipEntry, work: (inflater: Inflater) => T): T {
  shared ??= new Inflater();
  try {
    return work(shared);
  } catch (error) {
    throw error instanceof BadDeflate ? badZip('content does not inflate', entry.name) : error;
  }
}

function checkEnd(source: ByteSource, entry: ZipEntry, content: { bytes: number; crc: number }): void {
  if (content.bytes > entry.bytes) throw tooLong(entry);
  if (content.bytes !== entry.bytes) {
    throw badZip(`content of ${content.bytes} bytes, declared as ${entry.bytes}`, entry.name);
  }
  if (entry.hasDescriptor && readDescriptorCrc(source, entry) !== entry.crc) {
    throw badZip('two checksums for one entry', entry.name);
  }
  // Without a descriptor, a CRC of zero means that it was not filled in.
  if (content.crc !== entry.crc && (entry.crc !== 0 || entry.hasDescriptor)) {
    throw badZip('content does not have its checksum', entry.name);
  }
}

/** The CRC in the data descriptor. The descriptor's signature is optional. */
function readDescriptorCrc(source: ByteSource, { bodyOffset, bodyBytes }: ZipEntry): number {
  const descriptor = readExactly(source, { offset: bodyOffset + bodyBytes, length: 8 });
  const first = descriptor.readUInt32LE(0);
  return first === DESCRIPTOR_SIGNATURE ? descriptor.readUInt32LE(4) : first;
}

function tooLong(entry: ZipEntry): CheckFailed {
  return badZip('content longer than declared', entry.name);
}

const NOTHING = new Uint8Array(0);

const DESCRIPTOR_SIGNATURE = 0x08074b50;
