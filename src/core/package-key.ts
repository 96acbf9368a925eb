/**
 * Tells which package an archive of the Go compiler is of, from its bytes as they come.
 *
 * Outputs with one key are versions of one package for one target, so one of them is told best by what it does not share
 * with another. A key is a hint: an archive without one, or with a wrong one, is sent whole.
 *
 * The compiler writes the import path behind two names of symbols (cmd/compile/internal/dwarfgen/dwarf.go). Nothing marks
 * its end there, but what follows it differs.
 */

import { crypto } from './node-modules.ts';

/** Bytes of a key. */
export const PACKAGE_KEY_BYTES = 8;

const ARCHIVE = Buffer.from('!<arch>\n');
/** Behind the header of an archive's first member, a line names the target, the Go version and its experiments. */
const TARGET_AT = ARCHIVE.length + 60;
const TARGET_BYTES_MAX = 512;
const NAMES = ['go:cuinfo.producer.', 'go:cuinfo.packagename.'].map((name) => Buffer.from(name));
/** Bytes behind a name that are looked at. */
const PATH_BYTES = 256;
const REACH_BYTES = Math.max(...NAMES.map(({ length }) => length)) + PATH_BYTES;

export class PackageScan {
  /** Undefined before the first bytes, empty where it is no archive. */
  #target: string | undefined;
  readonly #paths: (Buffer | undefined)[] = NAMES.map(() => undefined);
  /** The last bytes that came. */
  #tail: Buffer = Buffer.alloc(0);

  /** Takes the next bytes in: of the first ones, at least TARGET_BYTES_MAX where there are so many. */
  push(content: Uint8Array): void {
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    this.#target ??= targetOf(bytes);
    if (this.#target === '' || !this.#paths.includes(undefined)) return;
    if (this.#tail.length > 0)
      this.#look(Buffer.concat([this.#tail, bytes.subarray(0, REACH_BYTES)]), REACH_BYTES);
    this.#look(bytes, REACH_BYTES);
    this.#tail = Buffer.concat([this.#tail, bytes.subarray(-REACH_BYTES)]).subarray(-REACH_BYTES);
  }

  /** Of all that came. Undefined: it is no archive of a package. */
  key(): Buffer | undefined {
    this.#look(this.#tail, 0);
    const [first, second] = this.#paths;
    if (!this.#target || first === undefined || second === undefined) return undefined;
    let length = 0;
    while (length < first.length && first[length] === second[length]) length++;
    const path = first.toString('latin1', 0, length);
    const hash = crypto().createHash('sha256').update(`${this.#target}\n${path}`);
    return hash.digest().subarray(0, PACKAGE_KEY_BYTES);
  }

  /** @param room bytes from a name on that must be there: otherwise it is found again when more came */
  #look(bytes: Buffer, room: number): void {
    for (const [which, name] of NAMES.entries()) {
      if (this.#paths[which] !== undefined) continue;
      const at = bytes.indexOf(name);
      if (at < 0 || at + room > bytes.length) continue;
      this.#paths[which] = Buffer.from(bytes.subarray(at + name.length, at + name.length + PATH_BYTES));
    }
  }
}

function targetOf(bytes: Buffer): string {
  if (!bytes.subarray(0, ARCHIVE.length).equals(ARCHIVE)) return '';
  const line = bytes.subarray(TARGET_AT, TARGET_AT + TARGET_BYTES_MAX);
  const end = line.indexOf('\n');
  return end < 0 ? '' : line.toString('latin1', 0, end);
}
