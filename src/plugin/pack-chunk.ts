/** Outputs packed into a chunk, and a chunk's content. The layout: `pack-index.ts`. */

import { closeSync, openSync, readSync } from 'node:fs';
import { zstdFrames } from '../core/zstd-frames.ts';
import type { LocalEntry } from './cache-directory.ts';
import type { RequestBody } from './http-peer.ts';
import { PLUGIN_PACKED_BYTES_HELD_MAX } from './limits.ts';
import { crypto } from './node-modules.ts';
import { PACK_FRAME_BYTES, PACK_FRAME_STORED_BYTES_MAX, type PackChunk } from './pack-index.ts';
import type { ZstdPacker, ZstdUnpacker } from './zstd-streams.ts';

/** What is packed of an output. */
export type PackedEntry = Pick<LocalEntry, 'outputId' | 'size' | 'path'>;

export type MadeChunk = {
  readonly chunk: PackChunk;
  /** Its frames are made again for each time that it is sent where they are too large to be held. */
  readonly body: RequestBody;
};

/** Packs outputs in their order. @throws {Error} a file can't be read, or is not what its name says */
export async function makeChunk(entries: readonly PackedEntry[], packer: ZstdPacker): Promise<MadeChunk> {
  const hash = crypto().createHash('sha256');
  let held: Buffer[] | undefined = [];
  let size = 0;
  for await (const frame of framesOf(entries, packer)) {
    hash.update(frame);
    size += frame.length;
    if (size > PLUGIN_PACKED_BYTES_HELD_MAX) held = undefined;
    held?.push(frame);
  }
  const frames = { [Symbol.asyncIterator]: () => framesOf(entries, packer) };
  const contentBytes = entries.reduce((sum, entry) => sum + entry.size, 0);
  return {
    chunk: { sha256: hash.digest('hex'), storedBytes: size, contentBytes },
    body: held === undefined ? { size, frames } : { size, body: Buffer.concat(held) },
  };
}

/** The content of a chunk, piece by piece. @throws {Error} no such frames, or what `body` throws */
export async function* chunkContent(
  body: AsyncIterable<Uint8Array>,
  unpacker: ZstdUnpacker,
): AsyncGenerator<Buffer, void, void> {
  for await (const frame of zstdFrames(body, PACK_FRAME_STORED_BYTES_MAX))
    yield* await unpacker.unpack(frame);
}

async function* framesOf(
  entries: readonly PackedEntry[],
  packer: ZstdPacker,
): AsyncGenerator<Buffer, void, void> {
  for (const content of contentOf(entries)) yield await packer.pack(content);
}

/** In pieces of PACK_FRAME_BYTES. Each has a buffer of its own. */
function* contentOf(entries: readonly PackedEntry[]): Generator<Buffer, void, void> {
  let left = entries.reduce((sum, { size }) => sum + size, 0);
  let piece = Buffer.allocUnsafe(Math.min(left, PACK_FRAME_BYTES));
  let filled = 0;
  for (const { path, size, outputId } of entries) {
    const hash = crypto().createHash('sha256');
    const fd = openSync(path, 'r');
    try {
      for (let at = 0; at < size; ) {
        const count = readSync(fd, piece, filled, Math.min(piece.length - filled, size - at), at);
        if (count === 0) throw new Error(`an output that is cut: ${path}`);
        hash.update(piece.subarray(filled, filled + count));
        at += count;
        filled += count;
        if (filled < piece.length) continue;
        yield piece;
        left -= filled;
        piece = Buffer.allocUnsafe(Math.min(left, PACK_FRAME_BYTES));
        filled = 0;
      }
    } finally {
      closeSync(fd);
    }
    if (hash.digest('hex') !== outputId) throw new Error(`an output that is damaged: ${path}`);
  }
}
