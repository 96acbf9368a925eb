/**
 * The entries of a tar archive as `git archive` writes it (archive-tar.c): ustar, with pax records for long names.
 *
 * Reads what git writes, and refuses the rest: it is no reader for archives from elsewhere.
 */

import { UpstreamFailed } from '../core/errors.ts';
import { KiB } from '../core/limits.ts';
import { tooLarge } from './zip-selection.ts';

export type TarEntry = { readonly name: string; readonly bytes: number; readonly isFile: boolean };

/** Git's pax records hold a name and the target of a link, of 4 KiB each at most, or the commit. */
const PAX_BYTES_MAX = 64 * KiB;

/** The archive's bytes, read from the front. */
export class TarInput {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of the last body, with those that fill its block, that nobody has read. */
  #unread = 0;

  constructor(archive: AsyncIterable<Buffer>) {
    this.#source = archive[Symbol.asyncIterator]();
  }

  /**
   * The next file, link or directory; what is left of the one before is passed over. Undefined at the end, when git has
   * ended too.
   *
   * @throws {NotFound} a file of 8 GiB or more
   * @throws {UpstreamFailed} no entry that git writes
   */
  async entry(): Promise<TarEntry | undefined> {
    let long: ReadonlyMap<string, string> = new Map();
    for (;;) {
      await this.#skip();
      const header = await this.#take(BLOCK_BYTES);
      if (header[0] === 0) {
        while (!(await this.#source.next()).done);
        return undefined;
      }
      if (header.toString('latin1', 257, 262) !== 'ustar') throw notGits('no header');
      const type = header.toString('latin1', 156, 157);
      const bytes = Number.parseInt(text(header, 124, 12), 8);
      if (!Number.isSafeInteger(bytes)) throw notGits('no size');
      this.#unread = Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
      if (type !== 'g' && type !== 'x') return entryOf(header, { type, bytes, long });
      if (bytes > PAX_BYTES_MAX) throw notGits('a long record');
      const records = await this.#take(bytes);
      this.#unread -= bytes;
      if (type === 'x') long = paxRecords(records);
      if (long.has('size')) throw tooLarge();
    }
  }

  /** The body of the last entry, in pieces. */
  async *body({ bytes }: TarEntry): AsyncGenerator<Buffer, void, void> {
    for (let left = bytes; left > 0; ) {
      if (this.#rest.length === 0) await this.#more();
      const piece = this.#rest.subarray(0, left);
      this.#pass(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #skip(): Promise<void> {
    while (this.#unread > 0) {
      if (this.#rest.length === 0) await this.#more();
      this.#pass(Math.min(this.#rest.length, this.#unread));
    }
  }

  #pass(bytes: number): void {
    this.#rest = this.#rest.subarray(bytes);
    this.#unread -= bytes;
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

/** The refusal of an archive that is not what git writes. */
export function notGits(what: string): UpstreamFailed {
  return new UpstreamFailed(`git archive wrote something else than its files: ${what}`);
}

function entryOf(
  header: Buffer,
  { type, bytes, long }: { type: string; bytes: number; long: ReadonlyMap<string, string> },
): TarEntry {
  const prefix = text(header, 345, 155);
  const short = text(header, 0, 100);
  const name = long.get('path') ?? (prefix === '' ? short : `${prefix}/${short}`);
  return { name, bytes, isFile: type === '0' };
}

/** A field that a NUL ends, or its length. */
function text(header: Buffer, at: number, length: number): string {
  const field = header.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

/** `<length> <key>=<value>\n`, where the length counts all of that, in bytes. */
function paxRecords(records: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  for (let at = 0; at < records.length; ) {
    const space = records.indexOf(0x20, at);
    const length = Number(records.toString('latin1', at, space));
    const equals = records.indexOf(0x3d, space);
    if (space < 0 || equals < 0 || !(length > equals - at) || records[at + length - 1] !== 0x0a)
      throw notGits('a broken record');
    found.set(
      records.toString('utf8', space + 1, equals),
      records.toString('utf8', equals + 1, at + length - 1),
    );
    at += length;
  }
  return found;
}

const BLOCK_BYTES = 512;
