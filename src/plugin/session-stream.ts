/** Reads the stream of a session: the index, then frames, whose bytes are handed on as they come. The wire: `core/session-wire.ts`. */

import { FRAME_BYTES_MAX } from '../core/build-cache-wire.ts';
import {
  BASE_BYTES,
  decodeFrameHead,
  decodeIndex,
  FRAME,
  FRAME_HEAD_BYTES,
  type IndexRow,
} from '../core/session-wire.ts';
import { SESSION_APART_BYTES_MAX, SESSION_DELTA_BYTES_MAX, SESSION_INDEX_BYTES_MAX } from './limits.ts';
import { unpackFrame } from './packed-output.ts';

export type StreamSink = {
  /** Comes first, once. */
  readonly onIndex: (rows: readonly IndexRow[]) => void;
  /** A part of a row's output. The sink must not keep it. */
  readonly onBytes: (row: number, bytes: Buffer) => void;
  /** The next parts of a row's output may be deltas against this one. */
  readonly onBase: (row: number, outputId: string) => void;
  /** A part of a row's output, as a delta. The sink must not keep it. */
  readonly onDelta: (row: number, delta: Buffer) => void;
  /** Actions that need not be asked for: their short IDs, one after the other. */
  readonly onApart?: (shortIds: Buffer) => void;
  /** The rest of a row's output does not come. */
  readonly onGone: (row: number) => void;
};

export class SessionStream {
  readonly #sink: StreamSink;
  /** Of the index, of a frame's head, or of a frame that is taken whole: what has come. */
  #held: Buffer = Buffer.alloc(0);
  #heldBytes = 0;
  /** Bytes of the index; undefined until its length has come. */
  #indexBytes: number | undefined;
  #hasIndex = false;
  #row = 0;
  #kind: number = FRAME.bytes;
  /** Bytes of the frame that are still to come. */
  #left = 0;

  constructor(sink: StreamSink) {
    this.#sink = sink;
  }

  /** @throws {Error} no such stream: nothing that follows can be understood */
  push(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; )
      rest = this.#hasIndex ? this.#readFrames(rest) : this.#readIndex(rest);
  }

  #readIndex(bytes: Buffer): Buffer {
    const wanted = this.#indexBytes ?? 4;
    const { whole, rest } = this.#gather(bytes, wanted);
    if (whole === undefined) return rest;
    if (this.#indexBytes === undefined) {
      this.#indexBytes = whole.readUInt32LE();
      if (this.#indexBytes > SESSION_INDEX_BYTES_MAX) throw new Error('an index that is too long');
      if (this.#indexBytes > 0) return rest;
    }
    this.#hasIndex = true;
    this.#sink.onIndex(decodeIndex(this.#indexBytes === 0 ? Buffer.alloc(0) : whole));
    return rest;
  }

  #readFrames(bytes: Buffer): Buffer {
    if (this.#left > 0 && this.#kind !== FRAME.bytes) return this.#readWhole(bytes);
    if (this.#left > 0) {
      const part = bytes.subarray(0, this.#left);
      this.#left -= part.length;
      this.#sink.onBytes(this.#row, part);
      return bytes.subarray(part.length);
    }
    const { whole, rest } = this.#gather(bytes, FRAME_HEAD_BYTES);
    if (whole === undefined) return rest;
    const { row, kind, length } = decodeFrameHead(whole, 0);
    if (kind === FRAME.gone && length === 0) this.#sink.onGone(row);
    else if (!isFrame(kind, length)) throw new Error(`a frame of an unknown kind: ${kind}`);
    this.#row = row;
    this.#kind = kind;
    this.#left = length;
    return rest;
  }

  #readWhole(bytes: Buffer): Buffer {
    const { whole, rest } = this.#gather(bytes, this.#left);
    if (whole === undefined) return rest;
    this.#left = 0;
    if (this.#kind === FRAME.apart) this.#sink.onApart?.(whole);
    else if (this.#kind === FRAME.base) this.#sink.onBase(this.#row, whole.toString('hex'));
    else if (this.#kind === FRAME.delta) this.#sink.onDelta(this.#row, whole);
    else this.#unpack(whole);
    return rest;
  }

  /** A frame that can't be unpacked costs its row alone. */
  #unpack(frame: Buffer): void {
    let content: Buffer;
    try {
      content = unpackFrame(frame);
    } catch {
      this.#sink.onGone(this.#row);
      return;
    }
    this.#sink.onBytes(this.#row, content);
  }

  /** `whole`: so many bytes, once they have come. Each is copied once at most, into however many pieces an index is cut. */
  #gather(bytes: Buffer, wanted: number): { readonly whole: Buffer | undefined; readonly rest: Buffer } {
    if (this.#heldBytes === 0 && bytes.length >= wanted)
      return { whole: bytes.subarray(0, wanted), rest: bytes.subarray(wanted) };
    if (this.#heldBytes === 0) this.#held = Buffer.allocUnsafeSlow(wanted);
    const held = this.#held;
    const part = bytes.copy(held, this.#heldBytes, 0, wanted - this.#heldBytes);
    this.#heldBytes += part;
    const isWhole = this.#heldBytes === wanted;
    if (isWhole) this.#heldBytes = 0;
    return { whole: isWhole ? held : undefined, rest: bytes.subarray(part) };
  }
}

function isFrame(kind: number, length: number): boolean {
  if (kind === FRAME.base) return length === BASE_BYTES;
  if (kind === FRAME.packed) return length <= FRAME_BYTES_MAX;
  if (kind === FRAME.apart) return length <= SESSION_APART_BYTES_MAX;
  return kind === FRAME.bytes || (kind === FRAME.delta && length <= SESSION_DELTA_BYTES_MAX);
}
