/**
 * The end of a zip: the end of central directory record and its zip64 form. They give the place of the directory.
 *
 * It chooses the same record as Go's archive/zip (reader.go, readDirectoryEnd), or refuses the zip. So no zip means one
 * thing here and another to the `go` command. Unlike Go it does not repair a zip: if the directory is not at the
 * recorded place, the zip is refused. No module zip needs such a repair.
 *
 * Layout: PKWARE APPNOTE.TXT, 4.3.14 to 4.3.16.
 */

import { badZip } from './bad-zip.ts';
import { type ByteSource, readExactly } from './byte-source.ts';

/** The place of the central directory, and the number of entries that it claims. */
export type ZipEnd = {
  readonly directoryOffset: number;
  readonly directoryBytes: number;
  readonly entries: number;
  /** 2^16 without a zip64 record, as `entries` then holds only the low 16 bits of the count; Infinity with one. */
  readonly entriesModulo: number;
};

/**
 * Finds the directory of a zip.
 *
 * @throws {CheckFailed} no end record, a comment past the file's end, more than one disk, or a directory that does not
 * end exactly at its end record
 */
export function readZipEnd(source: ByteSource): ZipEnd {
  const length = Math.min(source.size, END_SEARCH_BYTES);
  const tail = readExactly(source, { offset: source.size - length, length });
  const at = length < END_BYTES ? -1 : tail.lastIndexOf(END_SIGNATURE, length - END_BYTES);
  if (at < 0) throw badZip('no end of central directory');
  const record = tail.subarray(at);
  if (END_BYTES + record.readUInt16LE(20) > record.length) throw badZip('comment past the end of the file');
  const offset = source.size - length + at;
  const locator = readLocator(source, offset);
  if (locator !== undefined)
    return readEnd64(source, { record, locator, locatorOffset: offset - LOCATOR_BYTES });
  if (record.readUInt32LE(4) !== 0) throw badZip('more than one disk');
  const end = {
    entries: record.readUInt16LE(10),
    entriesModulo: 0x10000,
    directoryBytes: record.readUInt32LE(12),
    directoryOffset: record.readUInt32LE(16),
  };
  return checkExtent(end, offset);
}

/** The offset of the zip64 record, from the locator right before the end record if there is one. */
function readLocator(source: ByteSource, endOffset: number): number | undefined {
  if (endOffset < LOCATOR_BYTES) return undefined;
  const locator = readExactly(source, { offset: endOffset - LOCATOR_BYTES, length: LOCATOR_BYTES });
  if (locator.readUInt32LE(0) !== LOCATOR_SIGNATURE) return undefined;
  if (locator.readUInt32LE(4) !== 0 || locator.readUInt32LE(16) !== 1) throw badZip('more than one disk');
  return Number(locator.readBigUInt64LE(8));
}

type End64Place = { readonly record: Buffer; readonly locator: number; readonly locatorOffset: number };

function readEnd64(source: ByteSource, { record, locator, locatorOffset }: End64Place): ZipEnd {
  if (locator + END64_BYTES > locatorOffset) throw badZip('zip64 record outside the file');
  const wide = readExactly(source, { offset: locator, length: END64_BYTES });
  if (wide.readUInt32LE(0) !== END64_SIGNATURE) throw badZip('no zip64 record where its locator points');
  if (wide.readBigUInt64LE(16) !== 0n) throw badZip('more than one disk');
  const end = {
    entries: Number(wide.readBigUInt64LE(32)),
    entriesModulo: Number.POSITIVE_INFINITY,
    directoryBytes: Number(wide.readBigUInt64LE(40)),
    directoryOffset: Number(wide.readBigUInt64LE(48)),
  };
  // Go reads the zip64 record only if fields of the short one are full. So the two records must agree.
  const isOneStory =
    agrees(record.readUInt16LE(10), end.entries, 0xffff) &&
    agrees(record.readUInt32LE(12), end.directoryBytes, 0xffffffff) &&
    agrees(record.readUInt32LE(16), end.directoryOffset, 0xffffffff);
  if (!isOneStory) throw badZip('zip64 record differs from the end of central directory');
  return checkExtent(end, locator);
}

function agrees(short: number, wide: number, full: number): boolean {
  return short === full || short === wide;
}

function checkExtent(end: ZipEnd, recordOffset: number): ZipEnd {
  if (end.directoryOffset + end.directoryBytes !== recordOffset) {
    throw badZip(`directory of ${end.directoryBytes} bytes is not at ${end.directoryOffset}`);
  }
  return end;
}

const END_SIGNATURE = Buffer.from('PK\x05\x06', 'latin1');
const END_BYTES = 22;
const END64_SIGNATURE = 0x06064b50;
const END64_BYTES = 56;
const LOCATOR_SIGNATURE = 0x07064b50;
const LOCATOR_BYTES = 20;

// The record, its comment of at most 65,535 bytes, and the few bytes more that Go reads.
const END_SEARCH_BYTES = 65 * 1024;
