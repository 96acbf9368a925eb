/**
 * The directory of a zip: its central headers, and the local headers that they point to.
 *
 * The reader is small and strict. For module zips it accepts the same as Go's archive/zip. It refuses forms that only
 * attacks have: overlapping entries, two names for one entry, bytes outside the file. `zip-check.ts` knows the rules
 * for *module* zips, `zip-content.ts` reads the content.
 *
 * Layout: PKWARE APPNOTE.TXT, 4.3.7, 4.3.12, 4.5.3.
 */

import { isAscii, isUtf8 } from 'node:buffer';
import { CHUNK_BYTES, ZIP_ENTRIES_MAX } from '../core/limits.ts';
import { badZip } from './bad-zip.ts';
import { type ByteSource, readAhead, readExactly } from './byte-source.ts';
import { ZIP_DIRECTORY_BYTES_MAX, ZIP_NAME_BYTES_MAX } from './limits.ts';
import { readZipEnd, type ZipEnd } from './zip-end.ts';

/** One file or directory of a zip. Its body lies inside the file and overlaps no other entry. */
export type ZipEntry = {
  /** Valid UTF-8 of 1 to `ZIP_NAME_BYTES_MAX` bytes; nothing else is checked. A directory's name ends with "/". */
  readonly name: string;
  readonly isDirectory: boolean;
  readonly isDeflated: boolean;
  /** CRC-32 of the content. */
  readonly crc: number;
  /** The declared size of the content. The real size may differ. */
  readonly bytes: number;
  readonly bodyOffset: number;
  readonly bodyBytes: number;
  /** Whether a data descriptor with the CRC follows the body. */
  readonly hasDescriptor: boolean;
};

/**
 * All entries of a zip, in the order of their bodies in the file.
 *
 * It reads the directory and each local header, but no body. Two entries may have the same name.
 *
 * @throws {CheckFailed} the zip cannot be read, or it has too many entries, too long names or too large a directory
 */
export function readZipDirectory(source: ByteSource): ZipEntry[] {
  const end = readZipEnd(source);
  const headers = readCentralHeaders(source, end);
  headers.sort((a, b) => a.headerOffset - b.headerOffset);
  const ahead = readAhead(source, CHUNK_BYTES);
  let free = 0;
  for (const header of headers) {
    if (header.headerOffset < free) throw badZip('entries overlap', header.name);
    readLocalHeader(ahead, { header, bodiesEnd: end.directoryOffset });
    free = entryEnd(header);
  }
  return headers;
}

/** An entry whose `bodyOffset` is not known yet: it is in the local header. */
type CentralHeader = ZipEntry & {
  readonly headerOffset: number;
  /** A view into the directory. */
  readonly nameBytes: Buffer;
  bodyOffset: number;
};

function readCentralHeaders(source: ByteSource, end: ZipEnd): CentralHeader[] {
  if (end.entries > ZIP_ENTRIES_MAX) throw badZip(`more than ${ZIP_ENTRIES_MAX} entries`);
  if (end.directoryBytes > ZIP_DIRECTORY_BYTES_MAX) {
    throw badZip(`directory of more than ${ZIP_DIRECTORY_BYTES_MAX} bytes`);
  }
  const directory = readExactly(source, { offset: end.directoryOffset, length: end.directoryBytes });
  const headers: CentralHeader[] = [];
  for (let at = 0; at < directory.length; ) {
    if (headers.length === ZIP_ENTRIES_MAX) throw badZip(`more than ${ZIP_ENTRIES_MAX} entries`);
    const length = centralHeaderBytes(directory, at);
    headers.push(parseCentralHeader(directory.subarray(at, at + length)));
    at += length;
  }
  if (headers.length % end.entriesModulo !== end.entries) {
    throw badZip(`${headers.length} entries where the end record says ${end.entries}`);
  }
  return headers;
}

/** The whole size of the central header at `at`. @throws {CheckFailed} it does not lie inside the directory */
function centralHeaderBytes(directory: Buffer, at: number): number {
  if (at + CENTRAL_BYTES > directory.length) throw badZip('directory cut short');
  if (directory.readUInt32LE(at) !== CENTRAL_SIGNATURE)
    throw badZip('no header where one is due in the directory');
  const names =
    directory.readUInt16LE(at + 28) + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  if (at + CENTRAL_BYTES + names > directory.length) throw badZip('directory cut short');
  return CENTRAL_BYTES + names;
}

function parseCentralHeader(header: Buffer): CentralHeader {
  const extraAt = CENTRAL_BYTES + header.readUInt16LE(28);
  const nameBytes = header.subarray(CENTRAL_BYTES, extraAt);
  const name = decodeName(nameBytes);
  const isDirectory = name.endsWith('/');
  const flags = header.readUInt16LE(8);
  const method = header.readUInt16LE(10);
  if ((flags & FLAG_ENCRYPTED) !== 0) throw badZip('encrypted entry', name);
  // Java's jar writes odd methods and sizes for directories. They have no content to inflate.
  if (!isDirectory && method !== STORED && method !== DEFLATED) {
    throw badZip(`unknown compression method ${method}`, name);
  }
  const { bytes, bodyBytes, headerOffset } = readSizes(header, extraAt, name);
  if (isDirectory && bytes !== 0) throw badZip('directory with content', name);
  if (!isDirectory && method === STORED && bytes !== bodyBytes)
    throw badZip('stored entry with two sizes', name);
  return {
    name,
    isDirectory,
    isDeflated: method === DEFLATED,
    crc: header.readUInt32LE(16),
    bytes,
    bodyOffset: 0,
    bodyBytes,
    headerOffset,
    nameBytes,
    hasDescriptor: !isDirectory && (flags & FLAG_DESCRIPTOR) !== 0,
  };
}

/** Both sizes and the offset. A field of all ones is read from the zip64 extra field instead, in this order. */
function readSizes(header: Buffer, extraAt: number, name: string) {
  const sizes = {
    bytes: header.readUInt32LE(24),
    bodyBytes: header.readUInt32LE(20),
    headerOffset: header.readUInt32LE(42),
  };
  const isNarrow = Math.max(sizes.bytes, sizes.bodyBytes, sizes.headerOffset) < 0xffffffff;
  if (isNarrow) return sizes;
  const full = (['bytes', 'bodyBytes', 'headerOffset'] as const).filter((size) => sizes[size] === 0xffffffff);
  const wide = findExtra(header.subarray(extraAt, extraAt + header.readUInt16LE(30)), ZIP64_EXTRA);
  if (wide === undefined || wide.length < 8 * full.length) throw badZip('no zip64 sizes', name);
  for (const [index, size] of full.entries()) sizes[size] = Number(wide.readBigUInt64LE(8 * index));
  return sizes;
}

function findExtra(extra: Buffer, wanted: number): Buffer | undefined {
  for (let at = 0; at + 4 <= extra.length; ) {
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (end > extra.length) return undefined;
    if (extra.readUInt16LE(at) === wanted) return extra.subarray(at + 4, end);
    at = end;
  }
  return undefined;
}

type LocalPlace = { readonly header: CentralHeader; readonly bodiesEnd: number };

/** Sets `bodyOffset`, after the checks that the local header agrees and that the body ends before the directory. */
function readLocalHeader(source: ByteSource, { header, bodiesEnd }: LocalPlace): void {
  const { headerOffset, name, nameBytes } = header;
  const nameOffset = headerOffset + LOCAL_BYTES;
  if (nameOffset > bodiesEnd) throw badZip('entry outside the file', name);
  // One read takes the header and its expected name, as there are as many headers as files.
  const length = Math.min(LOCAL_BYTES + nameBytes.length, bodiesEnd - headerOffset);
  const local = readExactly(source, { offset: headerOffset, length });
  if (local.readUInt32LE(0) !== LOCAL_SIGNATURE) throw badZip('no header where the directory points', name);
  const ownNameBytes = local.readUInt16LE(26);
  header.bodyOffset = nameOffset + ownNameBytes + local.readUInt16LE(28);
  if (entryEnd(header) > bodiesEnd) throw badZip('entry outside the file', name);
  if (ownNameBytes !== nameBytes.length || local.compare(nameBytes, 0, nameBytes.length, LOCAL_BYTES) !== 0)
    throw badZip('entry with two names', name);
}

function entryEnd({ bodyOffset, bodyBytes, hasDescriptor }: ZipEntry): number {
  return bodyOffset + bodyBytes + (hasDescriptor ? DESCRIPTOR_BYTES_MIN : 0);
}

function decodeName(bytes: Buffer): string {
  if (bytes.length === 0) throw badZip('entry without a name');
  if (bytes.length > ZIP_NAME_BYTES_MAX)
    throw badZip(`name of ${bytes.length} bytes`, bytes.toString('latin1'));
  if (isAscii(bytes)) return bytes.toString('latin1');
  if (!isUtf8(bytes)) throw badZip('name is not UTF-8', bytes.toString('latin1'));
  return bytes.toString('utf8');
}

const CENTRAL_SIGNATURE = 0x02014b50;
const CENTRAL_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const ZIP64_EXTRA = 1;
const STORED = 0;
const DEFLATED = 8;
const FLAG_ENCRYPTED = 1;
const FLAG_DESCRIPTOR = 8;

// CRC and both sizes. The signature before them is optional, and so are zip64's wider sizes.
const DESCRIPTOR_BYTES_MIN = 12;
