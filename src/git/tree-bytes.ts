/** The size of all files below a directory. */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** 0 if there is none. Files that go meanwhile count nothing. */
export async function treeBytes(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
