/**
 * A Bloom filter over the actions of a namespace: it says of an action that it is not stored, or that it may be.
 *
 * A `go` command asks for much that nobody has put: its own module indexes, and what it compiles next. Each such get is a
 * round trip for nothing. With the filter a client answers it by itself. It must be over *all* actions, and young: a
 * client that uses one for FILTER_FRESH_MS may compile again what a neighbour has put within that time, and no longer.
 *
 * The wire: `GET /cache/filter` with NAMESPACE_HEADER gives the filter of that namespace alone. FILTER_HEADER says which
 * one a client has, as `<epoch>.<serial>`. The answer is
 *
 *     kind 1 (FULL or DELTA), epoch 8, serial 6, then of FULL the bits, of DELTA the short IDs that were added since
 *
 * Bits are a power of two. Numbers are little-endian. An epoch is of one filter in one server; a serial counts what was
 * added to it.
 */

import { SHORT_ID_BYTES } from './session-port.ts';

export const FILTER_PATH = '/cache/filter';

/** The filter that a client has: `<epoch>.<serial>`. */
export const FILTER_HEADER = 'astera-filter';

const HASHES = 6;

/** Bits for each action of a new filter: 1 of 120 absent ones is taken for one that may be there. */
const BITS_PER_ACTION = 10;

/** With less for each, 1 of 25: it is to be made anew. */
const BITS_PER_ACTION_MIN = 6;

const BYTES_MIN = 1024;

export class ActionFilter {
  readonly bits: Uint8Array;
  readonly #mask: number;

  /** @param bits its own from now on; a power of two of them */
  constructor(bits: Uint8Array) {
    this.bits = bits;
    this.#mask = bits.byteLength * 8 - 1;
  }

  /** An empty one with room for so many actions. */
  static for(actions: number): ActionFilter {
    const bytes = 2 ** Math.ceil(Math.log2((actions * BITS_PER_ACTION) / 8 + 1));
    return new ActionFilter(new Uint8Array(Math.max(BYTES_MIN, bytes)));
  }

  /** Whether it says little with so many actions. */
  isFullWith(actions: number): boolean {
    return this.bits.byteLength * 8 < actions * BITS_PER_ACTION_MIN;
  }

  /** @param shortId the first SHORT_ID_BYTES of an action's ID: they are as good as random */
  add(shortId: Buffer): void {
    for (const bit of this.#bitsOf(shortId))
      this.bits[bit >>> 3] = (this.bits[bit >>> 3] ?? 0) | (1 << (bit & 7));
  }

  /** False: no such action was added. */
  mayHave(shortId: Buffer): boolean {
    for (const bit of this.#bitsOf(shortId))
      if (((this.bits[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0) return false;
    return true;
  }

  *#bitsOf(shortId: Buffer): Generator<number> {
    const first = shortId.readUInt32LE(0);
    const step = shortId.readUInt32LE(4) | 1;
    for (let at = 0; at < HASHES; at++) yield (first + Math.imul(at, step)) & this.#mask;
  }
}

export function shortIdOf(actionId: string): Buffer {
  return Buffer.from(actionId.slice(0, 2 * SHORT_ID_BYTES), 'hex');
}

export type FilterNews = {
  readonly epoch: string;
  readonly serial: number;
  /** All of a filter. */
  readonly bits?: Uint8Array;
  /** What was added to the one that the client has: short IDs, one after the other. */
  readonly added?: Uint8Array;
};

const HEAD_BYTES = 1 + 8 + 6;
const FULL = 1;
const DELTA = 2;

/** @param news either `bits` or `added`; `epoch`: 16 hex digits */
export function encodeFilterNews({ epoch, serial, bits, added }: FilterNews): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(bits === undefined ? DELTA : FULL);
  head.write(epoch, 1, 'hex');
  head.writeUIntLE(serial, 9, 6);
  return Buffer.concat([head, bits ?? added ?? new Uint8Array(0)]);
}

/** @throws {Error} no such answer */
export function decodeFilterNews(bytes: Buffer): FilterNews {
  const rest = bytes.subarray(HEAD_BYTES);
  const kind = bytes.length < HEAD_BYTES ? 0 : bytes.readUInt8();
  const isPower = rest.length >= BYTES_MIN && (rest.length & (rest.length - 1)) === 0;
  if (kind === FULL ? !isPower : kind !== DELTA || rest.length % SHORT_ID_BYTES !== 0)
    throw new Error('not a filter of a build cache');
  const of = { epoch: bytes.toString('hex', 1, 9), serial: bytes.readUIntLE(9, 6) };
  return kind === FULL ? { ...of, bits: Uint8Array.from(rest) } : { ...of, added: rest };
}

/** Undefined: it has none that we understand. */
export function parseFilterHeader(text: string): { epoch: string; serial: number } | undefined {
  const [, epoch, serial] = /^([0-9a-f]{16})\.([0-9]{1,14})$/.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, serial: Number(serial) };
}
