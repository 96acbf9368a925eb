/**
 * The content of a zip's entries: inflated in bounded memory, held to the declared size and CRC.
 *
 * Accepts what Go's archive/zip does (reader.go, checksumReader), also in what it lets pass: bytes
 * behind the end of a deflate stream, and a CRC of zero without a data descriptor.
 */

import { Readable } from 'node:stream';
import { crc32, createInflateRaw, inflateRawSync } from 'node:zlib';
import { CheckFailed } from '../core/errors.ts';
import { ZIP_WHOLE_BYTES_MAX } from '../core/limits.ts';
import { badZip } from './bad-zip.ts';
import { type ByteSource, readExactly, readPieces } from './byte-source.ts';
import type { ZipEntry } from './zip-directory.ts';

/** Whether an entry is small enough for {@link readContent}, which is the faster way. */
export function fitsWhole({ bytes, bodyBytes }: ZipEntry): boolean {
  return bytes <= ZIP_WHOLE_BYTES_MAX && bodyBytes <= ZIP_WHOLE_BYTES_MAX;
}

/**
 * The content of an entry that {@link fitsWhole}. May be a view of the source's bytes.
 *
 * @throws {CheckFailed} it does not inflate, or not to the declared size and CRC
 */
export function readContent(source: ByteSource, entry: ZipEntry): Uint8Array {
  if (entry.isDirectory) return new Uint8Array(0);
  const body = readExactly(source, { offset: entry.bodyOffset, length: entry.bodyBytes });
  const content = entry.isDeflated ? inflateWhole(body, entry) : body;
  checkEnd(source, entry, { bytes: content.byteLength, crc: crc32(content) });
  return content;
}

/**
 * Hands the content of an entry of any size to `take`, piece by piece, and drops each after.
 *
 * The content is checked when it ends: pieces came before their check.
 *
 * @throws {CheckFailed} it does not inflate, or not to the declared size and CRC
 */
export async function streamContent(
  source: ByteSource,
  entry: ZipEntry,
  take: (piece: Uint8Array) => void,
): Promise<void> {
  if (entry.isDirectory) return;
  let bytes = 0;
  let crc = 0;
  await forEachPiece(source, entry, (piece) => {
    bytes += piece.byteLength;
    if (bytes > entry.bytes) throw tooLong(entry);
    crc = crc32(piece, crc);
    take(piece);
  });
  checkEnd(source, entry, { bytes, crc });
}

function inflateWhole(body: Buffer, entry: ZipEntry): Uint8Array {
  try {
    // One byte of room more, so that zlib sees the end without a second output buffer.
    return inflateRawSync(body, {
      chunkSize: Math.max(64, entry.bytes + 1),
      maxOutputLength: Math.max(1, entry.bytes),
    });
  } catch (error) {
    throw asBadZip(error, entry);
  }
}

async function forEachPiece(source: ByteSource, entry: ZipEntry, visit: (piece: Uint8Array) => void) {
  const pieces = readPieces(source, { offset: entry.bodyOffset, length: entry.bodyBytes });
  if (!entry.isDeflated) {
    for (const piece of pieces) visit(piece);
    return;
  }
  // Not pipeline(): to it, a deflate stream that ends before its body does is an abort.
  const inflate = createInflateRaw({ chunkSize: INFLATED_PIECE_BYTES });
  const deflated = Readable.from(pieces, { highWaterMark: 1 });
  deflated.on('error', (error) => inflate.destroy(error)).pipe(inflate);
  try {
    for await (const piece of inflate) visit(piece);
  } catch (error) {
    throw asBadZip(error, entry);
  } finally {
    deflated.destroy();
    inflate.destroy();
  }
}

function checkEnd(source: ByteSource, entry: ZipEntry, content: { bytes: number; crc: number }): void {
  if (content.bytes !== entry.bytes) {
    throw badZip(`content of ${content.bytes} bytes, declared as ${entry.bytes}`, entry.name);
  }
  if (entry.hasDescriptor && readDescriptorCrc(source, entry) !== entry.crc) {
    throw badZip('two checksums for one entry', entry.name);
  }
  // Without a descriptor a CRC of zero stands for one that nobody filled in.
  if (content.crc !== entry.crc && (entry.crc !== 0 || entry.hasDescriptor)) {
    throw badZip('content does not have its checksum', entry.name);
  }
}

/** The CRC in the data descriptor, which may or may not begin with a signature. */
function readDescriptorCrc(source: ByteSource, { bodyOffset, bodyBytes }: ZipEntry): number {
  const descriptor = readExactly(source, { offset: bodyOffset + bodyBytes, length: 8 });
  const first = descriptor.readUInt32LE(0);
  return first === DESCRIPTOR_SIGNATURE ? descriptor.readUInt32LE(4) : first;
}

function tooLong(entry: ZipEntry): CheckFailed {
  return badZip('content longer than declared', entry.name);
}

/** What zlib says about bad bytes, as a bad zip; any other error is not about the zip. */
function asBadZip(error: unknown, entry: ZipEntry): unknown {
  if (error instanceof CheckFailed || !(error instanceof Error)) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'ERR_BUFFER_TOO_LARGE') return tooLong(entry);
  return /^Z_(?:DATA|BUF|STREAM)_ERROR$/.test(code) ? badZip('content does not inflate', entry.name) : error;
}

const DESCRIPTOR_SIGNATURE = 0x08074b50;

// Measured on one entry of 160 MB: 64 KiB is a third slower, 1 MiB no faster.
const INFLATED_PIECE_BYTES = 256 * 1024;
