/** The status page's files as `npm run build` made them. Each is read when it is first asked for, and kept. */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { NotFound } from '../core/errors.ts';
import type { PageFile } from '../front/headers.ts';

/** @returns a function that rejects with NotFound if the page was not built */
export function pageFiles(): (name: string) => Promise<PageFile> {
  const read = new Map<string, Promise<PageFile>>();
  return (name) => {
    const known = read.get(name);
    if (known !== undefined) return known;
    const file = load(name);
    read.set(name, file);
    file.catch(() => read.delete(name));
    return file;
  };
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

async function load(name: string): Promise<PageFile> {
  const bytes = await readFile(new URL(`../../dist/page/${name}`, import.meta.url)).catch(() => {
    throw new NotFound('cannot show the status page: it was not built here; run npm run build on the server');
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { type: types[extname(name)] ?? 'application/octet-stream', body: new Uint8Array(bytes), sha256 };
}
