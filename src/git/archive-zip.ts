/**
 * A module zip out of `git archive --format=zip`, as it comes: some of its files, under other names.
 *
 * The bodies stay as git has compressed them, in a process of its own. Here they are only copied, so memory holds one
 * chunk and the directory, and the front thread does little.
 */

import { crc32, deflateRawSync } from 'node:zlib';
import { NotFound, UpstreamFailed } from '../core/errors.ts';
import { CHUNK_BYTES, SMALL_BYTES_MAX, ZIP_BYTES_MAX } from '../core/limits.ts';
import { tooLarge } from './zip-selection.ts';
import { type ZipBody, ZipWriter } from './zip-writer.ts';

export type ArchiveZipOptions = {
  /** The name that a file of the archive has in the module zip; undefined leaves it out. */
  readonly nameOf: (path: string) => string | undefined;
  /** How many files there must be. */
  readonly files: number;
  /** A file that is added at the end. */
  readonly added?: { readonly name: string; readonly bytes: Buffer };
};

/**
 * The module zip in pieces of CHUNK_BYTES, the last one less; each has its buffer for itself.
 *
 * @throws {NotFound} the content is larger than Go takes
 * @throws {UpstreamFailed} the archive is not what git writes, or lacks a file
 */
export async function* archiveZip(
  archive: AsyncIterable<Buffer>,
  options: ArchiveZipOptions,
): AsyncGenerator<Buffer, void, void> {
  const chunks = new Chunks();
  for await (const piece of pieces(archive, options)) yield* chunks.add(piece);
  yield* chunks.rest();
}

/** Short pieces joined to chunks. */
class Chunks {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #filled = 0;

  *add(piece: Buffer): Generator<Buffer> {
    for (let at = 0; at < piece.length; ) {
      const count = piece.copy(this.#chunk, this.#filled, at);
      at += count;
      this.#filled += count;
      if (this.#filled < CHUNK_BYTES) continue;
      yield this.#chunk;
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.#filled = 0;
    }
  }

  *rest(): Generator<Buffer> {
    if (this.#filled === 0) return;
    const last = Buffer.allocUnsafeSlow(this.#filled);
    this.#chunk.copy(last);
    yield last;
  }
}

async function* pieces(
  archive: AsyncIterable<Buffer>,
  { nameOf, files, added }: ArchiveZipOptions,
): AsyncGenerator<Buffer, void, void> {
  const writer = new ZipWriter();
  const input = new Input(archive);
  let [found, bytes] = [0, 0];
  for (let entry = await input.entry(); entry !== undefined; entry = await input.entry()) {
    const name = nameOf(entry.name);
    if (name !== undefined) {
      found++;
      bytes += entry.bytes;
      if (bytes > ZIP_BYTES_MAX || writer.offset + entry.bodyBytes > ZIP_BYTES_MAX) throw tooLarge();
      if (/^[^@]*@[^/]*\/(?:go\.mod|LICENSE)$/.test(name) && entry.bytes > SMALL_BYTES_MAX)
        throw new NotFound(`create zip: ${name} is larger than ${SMALL_BYTES_MAX} bytes`);
      yield writer.header({ ...entry, name });
    }
    for await (const piece of input.body(entry.bodyBytes)) if (name !== undefined) yield piece;
  }
  await input.drain();
  if (found !== files) throw notGits(`${found} files of ${files}`);
  if (added !== undefined) yield* file(writer, added);
  yield writer.end();
}

function* file(writer: ZipWriter, { name, bytes }: { name: string; bytes: Buffer }): Generator<Buffer> {
  const body = deflateRawSync(bytes);
  yield writer.header({
    name,
    isDeflated: true,
    crc: crc32(bytes),
    bytes: bytes.length,
    bodyBytes: body.length,
  });
  yield body;
}

function notGits(what: string): UpstreamFailed {
  return new UpstreamFailed(`git archive wrote something else than its files: ${what}`);
}

/** The archive's bytes, read from the front. */
class Input {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(archive: AsyncIterable<Buffer>) {
    this.#source = archive[Symbol.asyncIterator]();
  }

  /** The next file's or directory's header; undefined where the directory begins. */
  async entry(): Promise<ZipBody | undefined> {
    const signature = (await this.#take(4)).readUInt32LE();
    if (signature === CENTRAL_SIGNATURE || signature === END_SIGNATURE) return undefined;
    if (signature !== LOCAL_SIGNATURE) throw notGits('no header');
    const header = await this.#take(26);
    const [flags, method] = [header.readUInt16LE(2), header.readUInt16LE(4)];
    const [crc, bodyBytes, bytes] = [
      header.readUInt32LE(10),
      header.readUInt32LE(14),
      header.readUInt32LE(18),
    ];
    const [nameBytes, extraBytes] = [header.readUInt16LE(22), header.readUInt16LE(24)];
    const name = (await this.#take(nameBytes)).toString();
    await this.#take(extraBytes);
    // Git knows the sizes of all files but those past core.bigFileThreshold, which are too large anyway.
    if ((flags & FLAG_DESCRIPTOR) !== 0) throw tooLarge();
    if (method !== 0 && method !== 8) throw notGits(`method ${method}`);
    return { name, isDeflated: method === 8, crc, bytes, bodyBytes };
  }

  async *body(length: number): AsyncGenerator<Buffer, void, void> {
    for (let left = length; left > 0; ) {
      if (this.#rest.length === 0) await this.#more();
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** Reads on to the end, so that git's own end is seen. */
  async drain(): Promise<void> {
    while (!(await this.#source.next()).done);
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#rest.length < length) await this.#more();
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }

  async #more(): Promise<void> {
    const next = await this.#source.next();
    if (next.done) throw notGits('its end came too early');
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
  }
}

const LOCAL_SIGNATURE = 0x04034b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const FLAG_DESCRIPTOR = 0x0008;
