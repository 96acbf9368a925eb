/** Makes the kernel forget a file, so that the next to read it reads the disk. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Dirty pages are written first. Pages that some process maps stay. */
export async function dropFromPageCache(file: string): Promise<void> {
  await run('sync', [file]);
  await run('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
}
