/**
 * Made-up modules: a valid module zip of any size, the same bytes for the same arguments.
 *
 * Entries are stored, not deflated, and their content is a key stream, so a zip is about as large
 * as asked for and no line or store can make it smaller. Follows APPNOTE.TXT 4.3 and x/mod/zip's rules.
 */

import { createCipheriv, createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export type MadeUpModule = {
  /** Unescaped module path. */
  readonly path: string;
  /** Canonical version. */
  readonly version: string;
  /** Bytes of content; the zip is a little larger. */
  readonly contentBytes: number;
  /** The time in its `.info`; by default one that is long ago. */
  readonly time?: string;
};

export type ZipEntry = { readonly name: string; readonly bytes: Buffer };

/** What a GOPROXY would serve for a made-up module. */
export function madeUpFiles(module: MadeUpModule): { info: Buffer; mod: Buffer; zip: Buffer } {
  const mod = Buffer.from(`module ${module.path}\n\ngo 1.21\n`);
  const info = Buffer.from(
    JSON.stringify({ Version: module.version, Time: module.time ?? '2024-02-03T04:05:06Z' }),
  );
  return { info, mod, zip: moduleZip(module, mod) };
}

/** A zip of a go.mod, one Go file and files of 1 MiB of noise. */
function moduleZip({ path, version, contentBytes }: MadeUpModule, mod: Buffer): Buffer {
  const prefix = `${path}@${version}/`;
  const entries: ZipEntry[] = [
    { name: `${prefix}go.mod`, bytes: mod },
    { name: `${prefix}doc.go`, bytes: Buffer.from('// Package noise holds noise.\npackage noise\n') },
  ];
  const content = noise(`${path}@${version}`, contentBytes);
  for (let at = 0; at < content.length; at += ENTRY_BYTES) {
    const name = `${prefix}noise/${String(at / ENTRY_BYTES).padStart(4, '0')}.bin`;
    entries.push({ name, bytes: content.subarray(at, at + ENTRY_BYTES) });
  }
  return storedZip(entries);
}

/** A zip of stored entries. At most 4 GiB and 65,535 entries: there is no zip64 here. */
export function storedZip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const nameBytes = Buffer.from(name);
    const fields = entryFields(nameBytes, bytes);
    const local = Buffer.concat([signature(0x04034b50), fields, nameBytes]);
    const central = Buffer.alloc(14);
    central.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([signature(0x02014b50), Buffer.from([20, 0]), fields, central, nameBytes]));
    parts.push(local, bytes);
    offset += local.length + bytes.length;
  }
  const directoryBytes = directory.reduce((sum, part) => sum + part.length, 0);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(directoryBytes, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, ...directory, signature(0x06054b50), end]);
}

/** What the local header and the central directory say alike: version needed to extra length. */
function entryFields(name: Buffer, bytes: Buffer): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(0x800, 2); // Names are UTF-8.
  fields.writeUInt16LE(0x21, 8); // 1980-01-01, the first day DOS knows.
  fields.writeUInt32LE(crc32(bytes), 10);
  fields.writeUInt32LE(bytes.length, 14);
  fields.writeUInt32LE(bytes.length, 18);
  fields.writeUInt16LE(name.length, 22);
  return fields;
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Bytes that look random and depend on `seed` alone. */
function noise(seed: string, length: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

const ENTRY_BYTES = 1024 * 1024;
