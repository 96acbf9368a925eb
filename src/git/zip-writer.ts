/**
 * Writes a zip whose bodies are compressed as they come: sizes and CRC follow each body, as in Go's own module zips.
 *
 * Small and plain: no directories, no times, no file modes, as none of them counts for a module. Layout: PKWARE
 * APPNOTE.TXT, 4.3.7, 4.3.9, 4.3.12, 4.3.14 to 4.3.16.
 */

/** A body that was written: its CRC and size before it was compressed, and its size now. */
export type ZipBody = { readonly crc: number; readonly bytes: number; readonly bodyBytes: number };

export class ZipWriter {
  readonly #directory: Buffer[] = [];
  #offset = 0;

  /** The header of a file; its body in raw deflate comes next. */
  begin(name: string): Buffer {
    const nameBytes = Buffer.from(name);
    const local = Buffer.alloc(LOCAL_BYTES);
    local.writeUInt32LE(LOCAL_SIGNATURE, 0);
    fields(local, 4, { nameBytes: nameBytes.length });
    this.#directory.push(nameBytes);
    return Buffer.concat([local, nameBytes]);
  }

  /** What stands behind the body of the file that was begun last. */
  finish(body: ZipBody): Buffer {
    const name = this.#directory.pop() ?? Buffer.alloc(0);
    const central = Buffer.alloc(CENTRAL_BYTES);
    central.writeUInt32LE(CENTRAL_SIGNATURE, 0);
    central.writeUInt16LE(VERSION, 4);
    fields(central, 6, { nameBytes: name.length });
    sizes(central, 16, body);
    central.writeUInt32LE(this.#offset, 42);
    this.#directory.push(Buffer.concat([central, name]));
    this.#offset += LOCAL_BYTES + name.length + body.bodyBytes + DESCRIPTOR_BYTES;
    const descriptor = Buffer.alloc(DESCRIPTOR_BYTES);
    descriptor.writeUInt32LE(DESCRIPTOR_SIGNATURE, 0);
    sizes(descriptor, 4, body);
    return descriptor;
  }

  /** Bytes of all headers and bodies so far. */
  get offset(): number {
    return this.#offset;
  }

  /** The directory and the records that end the zip. */
  end(): Buffer {
    const directory = Buffer.concat(this.#directory);
    const entries = this.#directory.length;
    const end = Buffer.alloc(END_BYTES);
    end.writeUInt32LE(END_SIGNATURE, 0);
    end.writeUInt16LE(Math.min(entries, 0xffff), 8);
    end.writeUInt16LE(Math.min(entries, 0xffff), 10);
    end.writeUInt32LE(directory.length, 12);
    end.writeUInt32LE(this.#offset, 16);
    return Buffer.concat([
      directory,
      entries < 0xffff ? Buffer.alloc(0) : this.#end64(entries, directory.length),
      end,
    ]);
  }

  /** What has more entries than the old record can count. */
  #end64(entries: number, directoryBytes: number): Buffer {
    const end = Buffer.alloc(END64_BYTES + LOCATOR_BYTES);
    end.writeUInt32LE(END64_SIGNATURE, 0);
    end.writeBigUInt64LE(BigInt(END64_BYTES - 12), 4);
    end.writeUInt16LE(45, 12);
    end.writeUInt16LE(45, 14);
    end.writeBigUInt64LE(BigInt(entries), 24);
    end.writeBigUInt64LE(BigInt(entries), 32);
    end.writeBigUInt64LE(BigInt(directoryBytes), 40);
    end.writeBigUInt64LE(BigInt(this.#offset), 48);
    end.writeUInt32LE(LOCATOR_SIGNATURE, END64_BYTES);
    end.writeBigUInt64LE(BigInt(this.#offset + directoryBytes), END64_BYTES + 8);
    end.writeUInt32LE(1, END64_BYTES + 16);
    return end;
  }
}

/** What both headers have in common, from `at` on: ten bytes without sizes, and the name's length. */
function fields(header: Buffer, at: number, { nameBytes }: { nameBytes: number }): void {
  header.writeUInt16LE(VERSION, at);
  header.writeUInt16LE(FLAG_DESCRIPTOR | FLAG_UTF8, at + 2);
  header.writeUInt16LE(DEFLATE, at + 4);
  header.writeUInt16LE(0, at + 6);
  header.writeUInt16LE(FIRST_DAY, at + 8);
  header.writeUInt16LE(nameBytes, at + 22);
}

function sizes(record: Buffer, at: number, { crc, bytes, bodyBytes }: ZipBody): void {
  record.writeUInt32LE(crc, at);
  record.writeUInt32LE(bodyBytes, at + 4);
  record.writeUInt32LE(bytes, at + 8);
}

const LOCAL_BYTES = 30;
const DESCRIPTOR_BYTES = 16;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR_BYTES = 20;
const LOCAL_SIGNATURE = 0x04034b50;
const DESCRIPTOR_SIGNATURE = 0x08074b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR_SIGNATURE = 0x07064b50;
const VERSION = 20;
const FLAG_DESCRIPTOR = 0x0008;
const FLAG_UTF8 = 0x0800;
const DEFLATE = 8;
/** January 1, 1980: the zero of a zip's dates is no date. */
const FIRST_DAY = 0x0021;
