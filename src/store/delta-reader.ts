/** Reads outputs as deltas: `core/delta.ts`. */

import type { BuildCacheReaderPort } from '../core/build-cache-port.ts';
import { deltaRange, encodeDelta } from '../core/delta.ts';
import { BadRequest } from '../core/errors.ts';
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
    if (Math.abs(output.size - base.size) > DELTA_GROWTH_BYTES_MAX)
      throw new BadRequest(`no delta of ${output.size} bytes against ${base.size}`);
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
