/** The copies of repositories below `--git-dir`, each with its size and its last use. */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { treeBytes } from './tree-bytes.ts';

export type CopySize = { readonly bytes: number; readonly usedAtMs: number };

/** All of them by the names of their directories; none where there is no such directory. */
export async function copySizes(directory: string): Promise<Map<string, CopySize>> {
  const sizes = new Map<string, CopySize>();
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const size = /^[0-9a-f]{32}$/.test(name) ? await copySize(directory, name) : undefined;
    if (size !== undefined) sizes.set(name, size);
  }
  return sizes;
}

/** Undefined: nothing was fetched. */
export async function copySize(directory: string, name: string): Promise<CopySize | undefined> {
  const path = join(directory, name);
  const found = await stat(path).catch(() => undefined);
  const bytes = await treeBytes(path);
  return found === undefined || bytes === 0 ? undefined : { bytes, usedAtMs: found.mtimeMs };
}
