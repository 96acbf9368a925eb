/**
 * A module zip out of `git archive --format=tar`, as it comes: some of its files, under other names, compressed.
 *
 * For a builder thread: it deflates. Memory holds a chunk, a piece of the archive and the zip's directory.
 */

import { crc32 } from 'node:zlib';
import { NotFound } from '../core/errors.ts';
import { CHUNK_BYTES, SMALL_BYTES_MAX, ZIP_BYTES_MAX } from '../core/limits.ts';
import { Deflater } from '../modzip/deflater.ts';
import { notGits, TarInput } from './tar-input.ts';
import { tooLarge } from './zip-selection.ts';
import { type ZipBody, ZipWriter } from './zip-writer.ts';

export type ArchiveZipOptions = {
  /** The files of the archive that the zip has, without `below`. */
  readonly paths: ReadonlySet<string>;
  /** The module's directory with a slash behind it, or nothing. Names in the zip don't have it. */
  readonly below: string;
  /** Stands before each name in the zip: `<module>@<version>/`. */
  readonly prefix: string;
  /** A LICENSE that is added at the end. */
  readonly license?: Uint8Array | undefined;
};

/**
 * The module zip in pieces of CHUNK_BYTES, the last one less; each has its buffer for itself. The same archive gives the
 * same bytes.
 *
 * @throws {NotFound} the content is larger than Go takes
 * @throws {UpstreamFailed} the archive is not what git writes, or lacks a file
 */
export async function* archiveZip(
  archive: AsyncIterable<Buffer>,
  { paths, below, prefix, license }: ArchiveZipOptions,
): AsyncGenerator<Buffer, void, void> {
  const zip = new ChunkedZip();
  const input = new TarInput(archive);
  let [found, bytes] = [0, 0];
  for (let entry = await input.entry(); entry !== undefined; entry = await input.entry()) {
    const name = entry.name.startsWith(below) ? entry.name.slice(below.length) : '';
    if (!paths.has(name)) continue;
    if (!entry.isFile) throw notGits(`${name} is no file`);
    found++;
    bytes += entry.bytes;
    if (bytes > ZIP_BYTES_MAX) throw tooLarge();
    if ((name === 'go.mod' || name === 'LICENSE') && entry.bytes > SMALL_BYTES_MAX)
      throw new NotFound(`create zip: ${name} is larger than ${SMALL_BYTES_MAX} bytes`);
    zip.begin(prefix + name);
    for await (const piece of input.body(entry)) {
      zip.write(piece);
      yield* zip.full();
    }
    zip.finish();
    yield* zip.full();
  }
  if (found !== paths.size) throw notGits(`${found} files of ${paths.size}`);
  if (license !== undefined) {
    zip.begin(`${prefix}LICENSE`);
    zip.write(license);
    zip.finish();
  }
  zip.end();
  yield* zip.full();
  yield* zip.rest();
}

/** Source takes two thirds of the time of level 6, and 8 % more bytes. Levels 1 and 2 take as long as this one. */
const LEVEL = 3;

/** A zip that is written, in chunks. */
class ChunkedZip {
  readonly #writer = new ZipWriter();
  readonly #deflater = new Deflater(LEVEL);
  readonly #full: Buffer[] = [];
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #filled = 0;
  #body: ZipBody = NO_BODY;

  begin(name: string): void {
    this.#add(this.#writer.begin(name));
    this.#body = NO_BODY;
  }

  write(content: Uint8Array): void {
    const { crc, bytes, bodyBytes } = this.#body;
    this.#body = { crc: crc32(content, crc), bytes: bytes + content.byteLength, bodyBytes };
    this.#deflater.write(content, this.#addBody);
  }

  /** @throws {NotFound} the zip is larger than Go takes */
  finish(): void {
    this.#deflater.end(this.#addBody);
    this.#add(this.#writer.finish(this.#body));
    if (this.#writer.offset > ZIP_BYTES_MAX) throw tooLarge();
  }

  end(): void {
    this.#add(this.#writer.end());
  }

  /** The chunks that are full; the caller owns them. */
  full(): Buffer[] {
    return this.#full.splice(0);
  }

  /** What is left behind them. */
  rest(): Buffer[] {
    if (this.#filled === 0) return [];
    const last = Buffer.allocUnsafeSlow(this.#filled);
    this.#chunk.copy(last);
    return [last];
  }

  readonly #addBody = (piece: Uint8Array): void => {
    const { crc, bytes, bodyBytes } = this.#body;
    this.#body = { crc, bytes, bodyBytes: bodyBytes + piece.byteLength };
    this.#add(piece);
  };

  #add(piece: Uint8Array): void {
    for (let at = 0; at < piece.byteLength; ) {
      const part = piece.subarray(at, at + CHUNK_BYTES - this.#filled);
      this.#chunk.set(part, this.#filled);
      at += part.byteLength;
      this.#filled += part.byteLength;
      if (this.#filled < CHUNK_BYTES) continue;
      this.#full.push(this.#chunk);
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.#filled = 0;
    }
  }
}

const NO_BODY: ZipBody = { crc: 0, bytes: 0, bodyBytes: 0 };
