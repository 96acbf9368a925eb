/** The cache program as `npm run build` made it: one file, for clients to fetch. */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { StoredFile } from '../core/answer.ts';
import { NotFound } from '../core/errors.ts';

/** Reads it when it is first asked for. @throws {NotFound} it was not built */
export function cacheProgram(): () => Promise<StoredFile> {
  let read: Promise<StoredFile> | undefined;
  return () => {
    read ??= load();
    read.catch(() => {
      read = undefined;
    });
    return read;
  };
}

async function load(): Promise<StoredFile> {
  const body = await readFile(new URL('../../dist/cacheprog.mjs', import.meta.url)).catch(() => {
    throw new NotFound('cannot give cacheprog.mjs: it was not built here; run npm run build on the server');
  });
  const sha256 = createHash('sha256').update(body).digest('hex');
  return new StoredFile({
    kind: 'program',
    status: 200,
    size: body.byteLength,
    body: new Uint8Array(body),
    blob: undefined,
    sha256,
    freshUntilMs: Infinity,
    visibility: 'public',
  });
}
