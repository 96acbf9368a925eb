/** Outputs packed into a chunk, and a chunk's content. The layout: `pack-index.ts`. */

import { crypto } from '../core/node-modules.ts';
import { zstdFrames } from '../core/zstd-frames.ts';
import { PACK_HELD_BYTES_MAX } from './limits.ts';
import { PACK_FRAME_BYTES, PACK_FRAME_STORED_BYTES_MAX, type PackChunk } from './pack-index.ts';
import type { ZstdPacker, ZstdUnpacker } from './zstd-streams.ts';

/** What is packed of an output. */
export type PackedEntry = { readonly outputId: string; readonly size: number };

/** The content of an output, while it is packed. */
export type PackReader = {
  /** Copies bytes from `at` on into `into`, as many as come at once. @returns how many; 0: it is cut */
  read(into: Buffer, at: number): number | Promise<number>;
  close(): void;
};

export type PackTools<E extends PackedEntry> = {
  readonly packer: ZstdPacker;
  readonly open: (entry: E) => PackReader;
};

export type MadeChunk = {
  readonly chunk: PackChunk;
  /** Its frames are made again for each time that it is sent where they are too large to be held. */
  readonly body: { readonly size: number } & (
    | { readonly body: Buffer }
    | { readonly frames: AsyncIterable<Buffer> }
  );
};

/** Packs outputs in their order. @throws {Error} a file can't be read, or is not what its name says */
export async function makeChunk<E extends PackedEntry>(
  entries: readonly E[],
  tools: PackTools<E>,
): Promise<MadeChunk> {
  const hash = crypto().createHash('sha256');
  let held: Buffer[] | undefined = [];
  let size = 0;
  for await (const frame of framesOf(entries, tools)) {
    hash.update(frame);
    size += frame.length;
    if (size > PACK_HELD_BYTES_MAX) held = undefined;
    held?.push(frame);
  }
  const frames = { [Symbol.asyncIterator]: () => framesOf(entries, tools) };
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

async function* framesOf<E extends PackedEntry>(
  entries: readonly E[],
  { packer, open }: PackTools<E>,
): AsyncGenerator<Buffer, void, void> {
  for await (const content of contentOf(entries, open)) yield await packer.pack(content);
}

/** In pieces of PACK_FRAME_BYTES. Each has a buffer of its own. */
async function* contentOf<E extends PackedEntry>(
  entries: readonly E[],
  open: PackTools<E>['open'],
): AsyncGenerator<Buffer, void, void> {
  let left = entries.reduce((sum, { size }) => sum + size, 0);
  let piece = Buffer.allocUnsafe(Math.min(left, PACK_FRAME_BYTES));
  let filled = 0;
  for (const entry of entries) {
    const { outputId, size } = entry;
    const hash = crypto().createHash('sha256');
    const reader = open(entry);
    try {
      for (let at = 0; at < size; ) {
        const count = await reader.read(piece.subarray(filled, filled + size - at), at);
        if (count === 0) throw new Error(`an output that is cut: ${outputId}`);
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
      reader.close();
    }
    if (hash.digest('hex') !== outputId) throw new Error(`an output that is damaged: ${outputId}`);
  }
}
