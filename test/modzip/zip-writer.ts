/**
 * Writes zips for tests, well-formed and malformed ones. Every field of a header can be set to a false value.
 */

import { crc32, deflateRawSync } from 'node:zlib';
import type { ByteSource } from '../../src/modzip/byte-source.ts';

export type TestEntry = {
  readonly name: string | Uint8Array;
  readonly content?: string | Uint8Array;
  /** 0 is stored, 8 deflated (the default); others keep the content as it is. */
  readonly method?: number;
  readonly flags?: number;
  /** Written behind the body; sets the flag. */
  readonly descriptor?: 'signed' | 'bare';
  readonly descriptorCrc?: number;
  readonly crc?: number;
  /** Declared sizes; true ones when left out. */
  readonly bytes?: number;
  readonly bodyBytes?: number;
  /** The body itself instead of the content deflated. */
  readonly body?: Uint8Array;
  readonly localName?: string;
  readonly localSignature?: number;
  /** Bytes before the local header. */
  readonly gap?: Uint8Array;
  readonly headerOffset?: number;
  /** Sizes and offset in a zip64 extra field. */
  readonly zip64?: boolean;
  readonly extra?: Uint8Array;
};

export type TestZip = {
  readonly comment?: string | Uint8Array;
  readonly commentBytes?: number;
  /** A zip64 end record and locator; `only` leaves the short record's fields full. */
  readonly zip64?: 'beside' | 'only';
  readonly claimedEntries?: number;
  readonly directoryBytes?: number;
  readonly directoryOffset?: number;
  readonly disk?: number;
  readonly disks64?: number;
  readonly locatorOffset?: number;
  /** Between bodies and directory, between directory and end record, behind the end. */
  readonly beforeDirectory?: Uint8Array;
  readonly beforeEnd?: Uint8Array;
  readonly trailing?: Uint8Array;
};

/** Little-endian fields: `[width in bytes, value]`. */
export function fields(...all: readonly (readonly [1 | 2 | 4 | 8, number])[]): Buffer {
  return Buffer.concat(
    all.map(([width, value]) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes.subarray(0, width);
    }),
  );
}

export function makeZip(entries: readonly TestEntry[], zip: TestZip = {}): Buffer {
  const parts: Uint8Array[] = [];
  const headers: Uint8Array[] = [];
  let size = 0;
  const put = (part: Uint8Array) => {
    parts.push(part);
    size += part.byteLength;
  };
  for (const entry of entries) {
    if (entry.gap) put(entry.gap);
    const written = writeEntry(entry, size);
    headers.push(written.header);
    for (const part of written.parts) put(part);
  }
  if (zip.beforeDirectory) put(zip.beforeDirectory);
  const directoryOffset = size;
  for (const header of headers) put(header);
  const directoryBytes = size - directoryOffset;
  if (zip.beforeEnd) put(zip.beforeEnd);
  put(writeEnd(zip, { count: entries.length, directoryOffset, directoryBytes, at: size }));
  return Buffer.concat(parts);
}

function writeEntry(entry: TestEntry, offset: number) {
  const name = Buffer.from(entry.name);
  const content = Buffer.from(entry.content ?? '');
  const isDirectory = name.at(-1) === 0x2f;
  const method = entry.method ?? (isDirectory ? 0 : 8);
  const body = entry.body ?? (method === 8 ? deflateRawSync(content) : content);
  const crc = entry.crc ?? crc32(content);
  const bytes = entry.bytes ?? content.byteLength;
  const bodyBytes = entry.bodyBytes ?? body.byteLength;
  const headerOffset = entry.headerOffset ?? offset;
  const flags = entry.flags ?? (entry.descriptor ? 8 : 0);
  const localName = Buffer.from(entry.localName ?? name);
  const local = Buffer.concat([
    fields([4, entry.localSignature ?? 0x04034b50], [2, 20], [2, flags], [2, method], [4, 0]),
    fields([4, crc], [4, bodyBytes % 2 ** 32], [4, bytes % 2 ** 32], [2, localName.byteLength], [2, 0]),
    localName,
  ]);
  const extra =
    entry.extra ??
    (entry.zip64 ? fields([2, 1], [2, 24], [8, bytes], [8, bodyBytes], [8, headerOffset]) : Buffer.alloc(0));
  const short = (value: number) => (entry.zip64 ? 0xffffffff : value % 2 ** 32);
  const header = Buffer.concat([
    fields([4, 0x02014b50], [2, 20], [2, 20], [2, flags], [2, method], [4, 0], [4, crc]),
    fields([4, short(bodyBytes)], [4, short(bytes)], [2, name.byteLength], [2, extra.byteLength]),
    fields([2, 0], [2, 0], [2, 0], [4, 0], [4, short(headerOffset)]),
    name,
    extra,
  ]);
  const descriptor = fields([4, entry.descriptorCrc ?? crc], [4, body.byteLength], [4, content.byteLength]);
  const behind =
    entry.descriptor === 'signed'
      ? [fields([4, 0x08074b50]), descriptor]
      : entry.descriptor
        ? [descriptor]
        : [];
  return { header, parts: [local, body, ...behind] };
}

type EndPlace = { count: number; directoryOffset: number; directoryBytes: number; at: number };

function writeEnd(zip: TestZip, place: EndPlace): Buffer {
  const count = zip.claimedEntries ?? place.count;
  const bytes = zip.directoryBytes ?? place.directoryBytes;
  const offset = zip.directoryOffset ?? place.directoryOffset;
  const comment = Buffer.from(zip.comment ?? '');
  const isFull = zip.zip64 === 'only';
  const end = [
    fields([4, 0x06054b50], [2, zip.disk ?? 0], [2, 0]),
    fields([2, isFull ? 0xffff : count % 0x10000], [2, isFull ? 0xffff : count % 0x10000]),
    fields([4, isFull ? 0xffffffff : bytes % 2 ** 32], [4, isFull ? 0xffffffff : offset % 2 ** 32]),
    fields([2, zip.commentBytes ?? comment.byteLength]),
    comment,
    zip.trailing ?? Buffer.alloc(0),
  ];
  if (zip.zip64 === undefined) return Buffer.concat(end);
  return Buffer.concat([
    fields(
      [4, 0x06064b50],
      [8, 44],
      [2, 45],
      [2, 45],
      [4, 0],
      [4, 0],
      [8, count],
      [8, count],
      [8, bytes],
      [8, offset],
    ),
    fields([4, 0x07064b50], [4, 0], [8, zip.locatorOffset ?? place.at], [4, zip.disks64 ?? 1]),
    ...end,
  ]);
}

/** A source whose reads end at each multiple of `chunkBytes`, as over the store's chunk rows. */
export function chunkSource(
  bytes: Uint8Array,
  chunkBytes: number,
): ByteSource & { readonly reads: () => number } {
  let reads = 0;
  return {
    size: bytes.byteLength,
    reads: () => reads,
    read(offset, length) {
      reads++;
      const chunkEnd = offset - (offset % chunkBytes) + chunkBytes;
      return bytes.slice(offset, Math.min(offset + length, chunkEnd));
    },
  };
}
