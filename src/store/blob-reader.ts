/** Reads of blobs: one chunk, or all of them into a file. */

import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { messageOf, StoreFailed } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import type { ReaderPort } from '../core/store-port.ts';
import { type Connection, chunkId } from './schema.ts';

export class BlobReader {
  readonly #chunk;
  readonly #sha256;

  constructor(db: Connection) {
    this.#chunk = db.prepare<[number], { bytes: Buffer }>('SELECT bytes FROM chunk WHERE id = ?');
    this.#sha256 = db.prepare<[number], Buffer | null>('SELECT sha256 FROM blob WHERE id = ?').pluck();
  }

  getChunk: ReaderPort['getChunk'] = ({ blob, seq }) => {
    const row = this.#chunk.get(chunkId(blob, seq));
    return row === undefined ? {} : { bytes: row.bytes };
  };

  writeBlob: ReaderPort['writeBlob'] = ({ blob, size, path }) => {
    let file: number | undefined;
    try {
      // The caller made a regular file. If there is a symbolic link now, somebody else put it there.
      file = openSync(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW);
      const sha256 = this.#sha256.get(blob);
      for (let at = 0, seq = 0; at < size; seq++) at += this.#writeChunk(file, chunkId(blob, seq));
      // Each chunk was read by itself: the number may have become another blob's, after a restart say.
      const isSame = sha256 != null && this.#sha256.get(blob)?.equals(sha256) === true;
      if (!isSame) throw new Error(`blob ${blob} was replaced meanwhile; run it again`);
      return {};
    } catch (cause) {
      throw new StoreFailed(`cannot write ${quote(path)}: ${messageOf(cause)}`, { cause });
    } finally {
      if (file !== undefined) closeSync(file);
    }
  };

  /** @returns its bytes */
  #writeChunk(file: number, id: number): number {
    const row = this.#chunk.get(id);
    if (row === undefined) throw new Error(`there is no chunk ${id}; run it again`);
    const { bytes } = row;
    const { byteLength } = bytes;
    for (let written = 0; written < byteLength; ) written += writeSync(file, bytes, written);
    // Given back at once: the collector would let them gather, and walk the heap for them again and again.
    if (bytes.buffer instanceof ArrayBuffer) bytes.buffer.transfer(0);
    return byteLength;
  }
}
