/**
 * Packs: all that the commands of a set ask for, in a few objects of a bucket. One request for each action costs a round
 * trip, and `go` has as many open as it builds packages at a time.
 *
 * | object, below the prefix    | holds                                                                            |
 * | --------------------------- | -------------------------------------------------------------------------------- |
 * | `pack/set/<xx>/<key>`       | a set's index. It is written anew, and the last writer's stays                    |
 * | `pack/chunk/<xx>/<SHA-256>` | a chunk, named by the SHA-256 of the object. It is written once                   |
 *
 * `<key>` is that of a session (`core/session-wire.ts`), or its project: that index is the last one of any of its commands.
 * `<xx>` are the first two digits of what follows.
 *
 * A chunk is zstd frames, one after the other. Each has PACK_FRAME_BYTES of content, the last one the rest. The content is
 * outputs, one after the other. An index says where they are, so that those which no index names any more are only weight.
 *
 *     index   magic 8: "asterap1"
 *             chunks: count 4, then for each SHA-256 32, bytes of the object 6, bytes of its content 6
 *             apart: count 4, then short IDs of 8 bytes
 *             rows: length 4, then rows as in `core/session-wire.ts`
 *             places: for each row number of the chunk 4 (NO_CHUNK: none), offset in its content 6, missed 1
 *             SHA-256 of all before, 32
 *
 * Numbers are little-endian. Rows come in the order in which a command asks for them. `missed` counts the commands in a row
 * that did without. Actions that are *apart* have outputs that no machine takes from another one: nobody need ask for them.
 *
 * An index is hostile, as whoever writes to the bucket wrote it. It names outputs by their SHA-256, and each one is checked.
 */

import { isCacheId, isCacheTime } from '../core/cache-id.ts';
import { MiB, SESSION_ACTIONS_MAX } from '../core/limits.ts';
import { crypto } from '../core/node-modules.ts';
import { SHORT_ID_BYTES } from '../core/session-port.ts';
import { decodeIndex, encodeIndex, type IndexRow } from '../core/session-wire.ts';

/**
 * Content of a frame: it is packed and unpacked as a whole. Of 62 MB of a build's outputs frames of 1 MiB leave 14.5 MB, of 4 MiB
 * 14.1 (level 7), and several are held at one time.
 */
export const PACK_FRAME_BYTES = MiB;

/** A frame as it is stored: what can't be packed has 3 bytes more for each 128 KiB. */
export const PACK_FRAME_STORED_BYTES_MAX = PACK_FRAME_BYTES + 64 * 1024;

/** Chunks of a set: 16 GB of outputs. */
export const PACK_CHUNKS_MAX = 1_024;

/** Actions of a set that are apart: a build of 700 packages has some 300, in each way that its machines' paths differ. */
export const PACK_APART_MAX = 4_096;

/** An index: SESSION_ACTIONS_MAX rows with two signatures each. */
export const PACK_INDEX_BYTES_MAX = 16 * MiB;

export type PackChunk = {
  /** Of the object, in hex. */
  readonly sha256: string;
  /** Of the object. */
  readonly storedBytes: number;
  readonly contentBytes: number;
};

export type PackRow = IndexRow & {
  /** Undefined: in no chunk, as it is empty. */
  readonly chunk: PackChunk | undefined;
  /** In the chunk's content. */
  readonly offset: number;
  readonly missed: number;
};

export type PackIndex = {
  readonly rows: readonly PackRow[];
  /** Short IDs in hex. */
  readonly apart: readonly string[];
};

/** What is apart knows actions by so many hex digits. */
export function shortId(actionId: string): string {
  return actionId.slice(0, 2 * SHORT_ID_BYTES);
}

/** The keys of all indexes begin so. */
export const PACK_SETS = 'pack/set/';

export function packSetKey(key: string): string {
  return `${PACK_SETS}${key.slice(0, 2)}/${key}`;
}

/** The set whose index has this key; undefined: it is none. */
export function packSetOf(objectKey: string): string | undefined {
  const key = objectKey.slice(objectKey.lastIndexOf('/') + 1);
  return isCacheId(key) && packSetKey(key) === objectKey ? key : undefined;
}

export function packChunkKey(sha256: string): string {
  return `pack/chunk/${sha256.slice(0, 2)}/${sha256}`;
}

const MAGIC = Buffer.from('asterap1');
const CHUNK_BYTES = 32 + 6 + 6;
const PLACE_BYTES = 4 + 6 + 1;
const HASH_BYTES = 32;
const NO_CHUNK = 0xffffffff;

export function encodePackIndex({ rows, apart }: PackIndex): Buffer {
  const chunks = [...new Set(rows.flatMap(({ chunk }) => chunk ?? []))];
  const numbers = new Map(chunks.map((chunk, number) => [chunk, number]));
  const places = rows.map(({ chunk, offset, missed }) => {
    const place = Buffer.alloc(PLACE_BYTES);
    place.writeUInt32LE(chunk === undefined ? NO_CHUNK : (numbers.get(chunk) ?? NO_CHUNK), 0);
    place.writeUIntLE(offset, 4, 6);
    place.writeUInt8(missed, 10);
    return place;
  });
  const all = Buffer.concat([
    MAGIC,
    number4(chunks.length),
    ...chunks.map(encodeChunk),
    number4(apart.length),
    ...apart.map((id) => Buffer.from(id, 'hex')),
    encodeIndex(rows),
    ...places,
  ]);
  return Buffer.concat([all, sha256(all)]);
}

/**
 * Rows that can't be are left out: of a chunk that the index lacks, past its end, or of an action that came before.
 *
 * @throws {Error} no index, one that was cut, or one past the bounds
 */
export function decodePackIndex(bytes: Buffer): PackIndex {
  const end = bytes.length - HASH_BYTES;
  const isWhole = end >= MAGIC.length && sha256(bytes.subarray(0, end)).equals(bytes.subarray(end));
  if (!isWhole || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('not an index of packs');
  const reader = new Reader(bytes.subarray(0, end), MAGIC.length);
  const chunks = reader.list(CHUNK_BYTES, PACK_CHUNKS_MAX).map(decodeChunk);
  const apart = reader.list(SHORT_ID_BYTES, PACK_APART_MAX).map((id) => id.toString('hex'));
  const rows = decodeIndex(reader.take(reader.number4()));
  if (rows.length > SESSION_ACTIONS_MAX) throw new Error('an index of packs past its bounds');
  const places = rows.map(() => reader.take(PLACE_BYTES));
  const seen = new Set<string>();
  const good = rows.flatMap((row, at) => {
    const made = place(row, places[at], chunks);
    if (made === undefined || seen.has(row.actionId)) return [];
    seen.add(row.actionId);
    return [made];
  });
  return { rows: good, apart };
}

/** Undefined where there can't be such a row. */
function place(row: IndexRow, bytes: Buffer | undefined, chunks: readonly PackChunk[]): PackRow | undefined {
  if (bytes === undefined || !isCacheTime(row.time)) return undefined;
  const [number, offset, missed] = [bytes.readUInt32LE(0), bytes.readUIntLE(4, 6), bytes.readUInt8(10)];
  if (row.size === 0) return { ...row, chunk: undefined, offset: 0, missed };
  const chunk = chunks[number];
  if (chunk === undefined || offset + row.size > chunk.contentBytes) return undefined;
  return { ...row, chunk, offset, missed };
}

function encodeChunk({ sha256: name, storedBytes, contentBytes }: PackChunk): Buffer {
  const bytes = Buffer.alloc(CHUNK_BYTES);
  bytes.write(name, 0, 'hex');
  bytes.writeUIntLE(storedBytes, 32, 6);
  bytes.writeUIntLE(contentBytes, 38, 6);
  return bytes;
}

function decodeChunk(bytes: Buffer): PackChunk {
  return {
    sha256: bytes.toString('hex', 0, 32),
    storedBytes: bytes.readUIntLE(32, 6),
    contentBytes: bytes.readUIntLE(38, 6),
  };
}

/** Takes parts one after the other. Each throws where there is not so much. */
class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new Error('an index of packs that is cut');
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  number4(): number {
    return this.take(4).readUInt32LE();
  }

  /** A count, then items of so many bytes. */
  list(itemBytes: number, countMax: number): Buffer[] {
    const count = this.number4();
    if (count > countMax) throw new Error('an index of packs past its bounds');
    return Array.from({ length: count }, () => this.take(itemBytes));
  }
}

function number4(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function sha256(bytes: Buffer): Buffer {
  return crypto().createHash('sha256').update(bytes).digest();
}
