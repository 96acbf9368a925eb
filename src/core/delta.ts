/**
 * A delta: a part of a new output, told as copies out of an older one and the bytes between them.
 *
 * One line that changes in a package changes some bytes of each archive above it, and moves others. A delta has, again
 * and again,
 *
 *     number of new bytes; these bytes; number of copied bytes; where they are: not where nothing is copied
 *
 * Numbers are varints of 7 bits, low ones first. Where a copy is counts from where the one before it would go on, had the new
 * bytes been in the old output too; positive distances are even numbers, negative ones odd. The first one counts from the
 * part's own place.
 *
 * Nothing here is packed: a delta travels in a stream that is. What comes out is checked by its SHA-256.
 */

import { CHUNK_BYTES, DELTA_REACH_BYTES } from './limits.ts';

/** A part of a new output. */
export type DeltaPart = {
  /** Where it begins in the output. */
  readonly at: number;
  /** At most CHUNK_BYTES. */
  readonly content: Uint8Array;
};

/** A part of the old output. */
export type DeltaWindow = { readonly at: number; readonly bytes: Uint8Array };

/** A range of the old output: from `from` up to `to`, without it. */
export type DeltaRange = { readonly from: number; readonly to: number };

/** New bytes, or where to copy from. */
export type DeltaPiece = { readonly bytes: Uint8Array } | { readonly from: number; readonly length: number };

type Sizes = { readonly size: number; readonly baseSize: number };

/** Where copies for the part of `size` at `at` are looked for; empty where the old output has nothing there. */
export function deltaRange(at: number, length: number, { size, baseSize }: Sizes): DeltaRange {
  const grown = size - baseSize;
  const from = Math.max(0, at - Math.max(0, grown) - DELTA_REACH_BYTES);
  const to = Math.min(baseSize, at + length + Math.max(0, -grown) + DELTA_REACH_BYTES);
  return { from: Math.min(from, to), to };
}

/** Takes time in proportion to the bytes of both, whatever they are. */
export function encodeDelta({ at, content }: DeltaPart, window: DeltaWindow): Uint8Array {
  return new DeltaEncoder(at, content, window).run();
}

/**
 * The pieces of a part, in order. None is empty.
 *
 * @param at where the part begins in the new output
 * @throws {Error} it is no delta, copies what is not in the old output, or makes more than CHUNK_BYTES
 */
export function* decodeDelta(
  delta: Uint8Array,
  { at, baseSize }: { readonly at: number; readonly baseSize: number },
): Generator<DeltaPiece, void, void> {
  const reader = new VarintReader(delta);
  let next = at;
  let made = 0;
  const count = (length: number) => {
    made += length;
    if (made > CHUNK_BYTES) throw new Error('a delta of too many bytes');
  };
  while (!reader.isAtEnd) {
    const fresh = reader.number();
    count(fresh);
    if (fresh > 0) yield { bytes: reader.bytes(fresh) };
    const length = reader.number();
    count(length);
    if (length === 0) continue;
    const distance = reader.number();
    const from = next + fresh + (distance % 2 === 0 ? distance / 2 : -(distance + 1) / 2);
    if (from < 0 || from + length > baseSize) throw new Error('a delta copies what is not there');
    next = from + length;
    yield { from, length };
  }
}

/** Bytes that must be equal before a copy begins. At half, more copies cost as much as the bytes they stand for. */
const MATCH_BYTES = 16;
/** Of these, bytes that are hashed. */
const HASHED_BYTES = 8;
const TABLE_LOG = 16;

/** Places in the window by the hash of what is there: one of each MATCH_BYTES, and 0 for none. One for all calls. */
const table = new Int32Array(2 ** TABLE_LOG);

/** Room for the longest delta so far. One for all calls. */
let scratch: Buffer = Buffer.alloc(0);

class DeltaEncoder {
  readonly #content: Buffer;
  readonly #window: Buffer;
  /** What to add to a place in the content for the same place in the window. */
  readonly #offset: number;
  readonly #out: Buffer;
  #length = 0;
  /** Of the content: up to here all is told. */
  #told = 0;
  /** The last copy's place in the window, less its place in the content. */
  #shift: number;
  #isIndexed = false;

  constructor(at: number, content: Uint8Array, window: DeltaWindow) {
    this.#content = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    this.#window = Buffer.from(window.bytes.buffer, window.bytes.byteOffset, window.bytes.byteLength);
    this.#offset = at - window.at;
    this.#shift = this.#offset;
    // A copy has MATCH_BYTES at least, and is told in 3 numbers.
    const copiesMax = 2 + content.byteLength / MATCH_BYTES;
    const room = content.byteLength + 3 * VARINT_BYTES_MAX * copiesMax;
    if (scratch.length < room) scratch = Buffer.allocUnsafeSlow(room);
    this.#out = scratch;
  }

  run(): Uint8Array {
    const end = this.#content.length - MATCH_BYTES;
    for (let at = 0; at <= end; ) {
      const place = this.#find(at);
      if (place === undefined) at++;
      else at = this.#copy(at, place);
    }
    if (this.#told < this.#content.length) {
      this.#putFresh(this.#content.length);
      this.#putNumber(0);
    }
    return new Uint8Array(this.#out.subarray(0, this.#length));
  }

  /** Where in the window the next bytes are. Most are where the last copy would go on. */
  #find(at: number): number | undefined {
    const likely = at + this.#shift;
    if (this.#isMatch(at, likely)) return likely;
    if (!this.#isIndexed) this.#index();
    const place = (table[hashAt(this.#content, at)] ?? 0) - 1;
    return place >= 0 && this.#isMatch(at, place) ? place : undefined;
  }

  #isMatch(at: number, place: number): boolean {
    if (place < 0 || place + MATCH_BYTES > this.#window.length) return false;
    for (let n = 0; n < MATCH_BYTES; n++) if (this.#content[at + n] !== this.#window[place + n]) return false;
    return true;
  }

  /** Tells of the longest copy there, backwards too. @returns where it ends in the content */
  #copy(at: number, place: number): number {
    const [content, window] = [this.#content, this.#window];
    let back = 0;
    while (at - back > this.#told && place > back && content[at - back - 1] === window[place - back - 1])
      back++;
    const from = at - back;
    let to = at + MATCH_BYTES;
    const shift = place - at;
    const limit = Math.min(content.length, window.length - shift);
    while (
      to + LEAP_BYTES <= limit &&
      content.compare(window, to + shift, to + shift + LEAP_BYTES, to, to + LEAP_BYTES) === 0
    )
      to += LEAP_BYTES;
    while (to < limit && content[to] === window[to + shift]) to++;
    this.#putFresh(from);
    this.#putNumber(to - from);
    const distance = shift - this.#shift;
    this.#putNumber(distance >= 0 ? distance * 2 : -distance * 2 - 1);
    this.#shift = shift;
    this.#told = to;
    return to;
  }

  #index(): void {
    this.#isIndexed = true;
    table.fill(0);
    for (let place = 0; place + HASHED_BYTES <= this.#window.length; place += MATCH_BYTES)
      table[hashAt(this.#window, place)] = place + 1;
  }

  #putFresh(to: number): void {
    this.#putNumber(to - this.#told);
    this.#length += this.#content.copy(this.#out, this.#length, this.#told, to);
  }

  #putNumber(number: number): void {
    let rest = number;
    for (; rest >= 0x80; rest >>>= 7) this.#out[this.#length++] = (rest & 0x7f) | 0x80;
    this.#out[this.#length++] = rest;
  }
}

/** Compared at once. */
const LEAP_BYTES = 512;

/** Places are below 2^31. */
const VARINT_BYTES_MAX = 5;

function hashAt(bytes: Buffer, at: number): number {
  const low = Math.imul(bytes.readInt32LE(at), 0x9e3779b1) ^ bytes.readInt32LE(at + 4);
  return Math.imul(low ^ (low >>> 15), 0x85ebca6b) >>> (32 - TABLE_LOG);
}

class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  /** @throws {Error} it is cut, or too large */
  number(): number {
    let value = 0;
    for (let shift = 0; shift < 7 * VARINT_BYTES_MAX; shift += 7) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new Error('a delta is cut');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('a delta has a number that is too large');
  }

  /** @throws {Error} there are fewer */
  bytes(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.byteLength) throw new Error('a delta is cut');
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}
