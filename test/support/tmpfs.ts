/** A small disk of a test's own. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Its directory; undefined where this machine does not allow to mount one. @param size such as `1m` */
export function tmpfs(t: Pick<TestContext, 'after'>, size: string): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'astera-disk-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory]);
  t.after(() => {
    if (status === 0) execFileSync('umount', ['-l', directory]);
    rmSync(directory, { recursive: true });
  });
  return status === 0 ? directory : undefined;
}
