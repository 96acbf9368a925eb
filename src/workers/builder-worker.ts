/** Thread entry of a builder: CPU work over stored chunks or over bytes that were moved here. */

import { workerData } from 'piscina';
import type { BuilderPort } from '../core/store-port.ts';
import { bufferSource } from '../modzip/byte-source.ts';
import { checkZip } from '../modzip/zip-check.ts';
import { hashZip } from '../modzip/zip-hash.ts';
import { ChunkSource } from '../store/chunk-source.ts';
import type { Frame } from '../wire/frame.ts';
import { packReplies, runAsyncCall, unpackRequests } from './serve-calls.ts';

const handlers: BuilderPort = {
  async checkZip({ module, version, blob, size, content, bytes }) {
    const source = bytes === undefined ? openBlob(blob, size) : bufferSource(bytes);
    try {
      checkZip(source, { module, version });
      if (content) await hashZip(source, { module, version });
      return {};
    } finally {
      if (source instanceof ChunkSource) source.close();
    }
  },
};

function openBlob(blob: number, size: number): ChunkSource {
  return new ChunkSource((workerData as { dbPath: string }).dbPath, blob, size);
}

export default async function serveBuilds(frame: Frame): Promise<unknown> {
  const [request] = unpackRequests(frame);
  if (request === undefined) throw new Error('cannot build: an empty task');
  return packReplies([await runAsyncCall(handlers, request)]);
}
