/** Thread entry of a builder: CPU work over stored chunks or over bytes that were moved here. */

import { workerData } from 'node:worker_threads';
import type { BuilderPort, FileBuilderPort } from '../core/store-port.ts';
import { YoungGarbage } from '../flight/young-garbage.ts';
import { bufferSource, readExactly } from '../modzip/byte-source.ts';
import { hashGoMod } from '../modzip/go-mod-hash.ts';
import { checkZip } from '../modzip/zip-check.ts';
import { checkContent, hashZip } from '../modzip/zip-hash.ts';
import { ChunkSource } from '../store/chunk-source.ts';
import { FileSource } from '../store/file-source.ts';
import { openBody } from '../store/stored-body.ts';
import type { Frame } from '../wire/frame.ts';
import { freeRequests, packReplies, runCall, unpackRequests } from './serve-calls.ts';
import type { ZipTask } from './zip-mail.ts';

const handlers: BuilderPort & FileBuilderPort = {
  checkZip({ module, version, blob, size, content, hash, bytes }) {
    const source = bytes === undefined ? openBlob(blob, size) : bufferSource(bytes);
    try {
      if (hash) return { h1: hashZip(source, { module, version }).h1 };
      if (content) checkContent(source, { module, version });
      else checkZip(source, { module, version });
      return {};
    } finally {
      if (source instanceof ChunkSource) source.close();
    }
  },
  hashStored({ key, kind, module, version }) {
    const stored = openBody(dbPath, key);
    if (stored === undefined) return {};
    try {
      const { body, sha256 } = stored;
      const source = body instanceof ChunkSource ? noting(body) : bufferSource(body);
      const whole = { offset: 0, length: source.size };
      const h1 =
        kind === 'zip' ? hashZip(source, { module, version }).h1 : hashGoMod(readExactly(source, whole));
      return { hashed: { h1, sha256 } };
    } finally {
      stored.close();
    }
  },
  checkZipFile({ module, version, path }) {
    const source = new FileSource(path);
    try {
      checkZip(source, { module, version });
      return { size: source.size };
    } finally {
      source.close();
    }
  },
};

function openBlob(blob: number, size: number): ChunkSource {
  return noting(new ChunkSource(dbPath, blob, size));
}

/** Its chunks are garbage one after the other. */
function noting(source: ChunkSource): ChunkSource {
  source.onLoad = (bytes) => garbage.note(bytes);
  return source;
}

const { dbPath } = workerData as { dbPath: string };

/** Its young generation is small, and a round over it takes a fraction of a millisecond. */
const ROUND_BYTES = 4 * 1024 * 1024;

const garbage = new YoungGarbage(ROUND_BYTES);

/** Makes a zip out of Git. */
export async function serveZip(task: ZipTask): Promise<void> {
  const { runZipTask } = await import('./zip-task.ts');
  await runZipTask(task, (bytes) => garbage.note(bytes));
}

export default function serveBuilds(frame: Frame): unknown {
  const [request] = unpackRequests(frame);
  if (request === undefined) throw new Error('cannot build: an empty task');
  const reply = runCall(handlers, request);
  freeRequests([request]);
  return packReplies([reply]);
}
