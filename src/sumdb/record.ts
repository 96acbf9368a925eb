/**
 * Records of a checksum database: the answers to lookups, and the texts in a data tile.
 *
 * A record's text is the go.sum lines of one module version. An answer is the record's number,
 * the text, a blank line, and a signed tree head.
 *
 * Follows golang.org/x/mod/sumdb/tlog/note.go, but accepts a number only as Go prints it.
 */

import { isUtf8 } from 'node:buffer';
import { CheckFailed } from '../core/errors.ts';
import { SUMDB_ANSWER_BYTES_MAX } from '../core/limits.ts';
import { HASH_BYTES, recordHash } from './hash.ts';
import { TREE_SIZE_MAX } from './tlog.ts';
import { DECIMAL } from './tree-head.ts';

/** One record. `text` ends in a newline and has no blank line. */
export type SumRecord = { readonly id: number; readonly text: Uint8Array };

/** The record as a lookup's answer begins with it, including the blank line. */
export function formatRecord({ id, text }: SumRecord): Uint8Array {
  return Buffer.concat([Buffer.from(`${id}\n`), text, NEWLINE]);
}

/**
 * The record at the start of a lookup's answer; `rest` is the signed tree head after it. Both are views into `answer`.
 *
 * @throws {CheckFailed} another form, or more than SUMDB_ANSWER_BYTES_MAX
 */
export function parseRecord(answer: Uint8Array): SumRecord & { readonly rest: Uint8Array } {
  if (answer.length > SUMDB_ANSWER_BYTES_MAX) throw malformed(`${answer.length} bytes`);
  const bytes = bufferOf(answer);
  const line = bytes.indexOf('\n');
  const id = line < 0 ? '' : bytes.toString('latin1', 0, line);
  if (!DECIMAL.test(id) || Number(id) > TREE_SIZE_MAX) throw malformed('no record number');
  const end = bytes.indexOf('\n\n', line + 1);
  const text = bytes.subarray(line + 1, end + 1);
  if (end < 0 || !isRecordText(text)) throw malformed('no record text');
  return { id: Number(id), text, rest: bytes.subarray(end + 2) };
}

/** The go.sum lines in `text` for this module version: those of its zip and of its go.mod. */
export function linesFor(
  text: Uint8Array,
  { module, version }: { module: string; version: string },
): string[] {
  const starts = [`${module} ${version} `, `${module} ${version}/go.mod `];
  const lines = bufferOf(text).toString('utf8').split('\n');
  return lines.filter((line) => starts.some((start) => line.startsWith(start)));
}

/**
 * The hash tile of a data tile: the hashes of its records.
 *
 * @param bytes the data tile: records without their numbers
 * @throws {CheckFailed} `bytes` is anything but `width` records, one after the other
 */
export function hashesOfDataTile(bytes: Uint8Array, width: number): Uint8Array {
  const hashes = Buffer.alloc(width * HASH_BYTES);
  let at = 0;
  for (let record = 0; record < width; record++) {
    const end = recordEnd(bytes, at);
    const text = bytes.subarray(at, end - 1);
    if (!isRecordText(text)) throw malformed(`in data tile, record ${record}`);
    hashes.set(recordHash(text), record * HASH_BYTES);
    at = end;
  }
  if (at !== bytes.length)
    throw malformed(`data tile of ${width} records goes on for ${bytes.length - at} bytes`);
  return hashes;
}

/**
 * The partial data tile of `width` records, as a view into a wider one at the same place.
 *
 * @throws {CheckFailed} `bytes` has fewer records
 */
export function cutDataTile(bytes: Uint8Array, width: number): Uint8Array {
  let end = 0;
  for (let record = 0; record < width; record++) end = recordEnd(bytes, end);
  return bytes.subarray(0, end);
}

/** The end of the record that starts at `from`, including its blank line. */
function recordEnd(bytes: Uint8Array, from: number): number {
  const end = bufferOf(bytes).indexOf('\n\n', from);
  if (end < 0) throw malformed('data tile ends within a record');
  return end + 2;
}

/** Whether these are UTF-8 lines without control characters and blank lines. Each line ends in a newline. */
function isRecordText(text: Uint8Array): boolean {
  if (!isUtf8(text) || text.at(-1) !== LF) return false;
  return text.every((byte, at) => byte >= 0x20 || (byte === LF && text[at + 1] !== LF));
}

function malformed(why: string): CheckFailed {
  return new CheckFailed(`cannot parse record: malformed: ${why}`);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const LF = 0x0a;
const NEWLINE = new Uint8Array([LF]);
