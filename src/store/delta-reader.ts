/** Reads outputs as deltas: `core/delta.ts`. */

import type { BuildCacheReaderPort } from '../core/build-cache-port.ts';
import { type DeltaPiece, type DeltaWindow, decodeDelta, deltaRange, encodeDelta } from '../core/delta.ts';
import { BadRequest, messageOf } from '../core/errors.ts';
import { freeBytes } from '../core/free-bytes.ts';
import { CHUNK_BYTES, DELTA_GROWTH_BYTES_MAX } from '../core/limits.ts';
import type { ActionReader } from './action-reader.ts';

/** A delta of a larger part of its chunk is not worth its copies. */
const PART_MAX = 0.9;

export class DeltaReader {
  readonly #outputs: Pick<ActionReader, 'getOutputChunk'>;

  constructor(outputs: Pick<ActionReader, 'getOutputChunk'>) {
    this.#outputs = outputs;
  }

  getOutputDelta: BuildCacheReaderPort['getOutputDelta'] = ({ output, base, seq }) => {
    refuseGrowth(output.size, base.size);
    const content = this.#chunk(output.blob, seq);
    if (content === undefined) return { isPlain: true };
    const at = seq * CHUNK_BYTES;
    // Most chunks are the same in both. Otherwise the neighbours are read too.
    const twin = this.#chunk(base.blob, seq);
    const isSame = twin !== undefined && Buffer.compare(twin, content) === 0;
    const sizes = { size: output.size, baseSize: base.size };
    const window = isSame
      ? { at, bytes: twin }
      : this.#window(base.blob, deltaRange(at, content.byteLength, sizes));
    // Of a base that is gone, the whole is sent.
    const delta = window && encodeDelta({ at, content }, window);
    if (twin !== undefined) freeBytes(twin);
    if (window !== undefined && !isSame) freeBytes(window.bytes);
    if (delta === undefined || delta.byteLength > content.byteLength * PART_MAX)
      return { isPlain: true, bytes: content };
    freeBytes(content);
    return { isPlain: false, bytes: delta };
  };

  undoOutputDelta: BuildCacheReaderPort['undoOutputDelta'] = ({ size, base, seq, bytes }) => {
    refuseGrowth(size, base.size);
    const at = seq * CHUNK_BYTES;
    const content = Buffer.alloc(Math.max(0, Math.min(CHUNK_BYTES, size - at)));
    const window = this.#window(base.blob, deltaRange(at, content.length, { size, baseSize: base.size }));
    if (window === undefined) return {};
    try {
      fill(content, window, decodeDelta(bytes, { at, baseSize: base.size }));
    } catch (cause) {
      throw new BadRequest(`cannot take delta: ${messageOf(cause)}`, { cause });
    } finally {
      freeBytes(window.bytes);
    }
    return { bytes: content };
  };

  #window(blob: number, { from, to }: { readonly from: number; readonly to: number }) {
    const bytes = new Uint8Array(to - from);
    for (let seq = Math.floor(from / CHUNK_BYTES); seq * CHUNK_BYTES < to; seq++) {
      const chunk = this.#chunk(blob, seq);
      if (chunk === undefined) return undefined;
      const at = seq * CHUNK_BYTES;
      const part = chunk.subarray(Math.max(0, from - at), to - at);
      bytes.set(part, Math.max(0, at - from));
      freeBytes(chunk);
    }
    return { at: from, bytes };
  }

  #chunk(blob: number, seq: number): Uint8Array | undefined {
    return this.#outputs.getOutputChunk({ blob, seq, body: 'plain' }).bytes;
  }
}

/** @throws {Error} pieces of another length, or from outside the window */
function fill(content: Buffer, window: DeltaWindow, pieces: Iterable<DeltaPiece>): void {
  let filled = 0;
  for (const piece of pieces) {
    const place = 'from' in piece ? piece.from - window.at : 0;
    const bytes = 'bytes' in piece ? piece.bytes : window.bytes.subarray(place, place + piece.length);
    const length = 'bytes' in piece ? bytes.byteLength : piece.length;
    if (place < 0 || bytes.byteLength !== length) throw new Error('it copies from too far');
    if (filled + length > content.length) throw new Error('it has too many bytes');
    content.set(bytes, filled);
    filled += length;
  }
  if (filled !== content.length) throw new Error('it has too few bytes');
}

/** @throws {BadRequest} */
function refuseGrowth(size: number, baseSize: number): void {
  if (Math.abs(size - baseSize) <= DELTA_GROWTH_BYTES_MAX) return;
  throw new BadRequest(`no delta of ${size} bytes against ${baseSize}`);
}
