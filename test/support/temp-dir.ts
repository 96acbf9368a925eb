/** A directory of a test's own, gone when the test is. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What a test context and a suite's `after` have in common. */
type Owner = { after(dispose: () => void): void };

/** Made at once, removed with all that is in it by `owner.after`. */
export function tempDir(owner: Owner): string {
  const directory = mkdtempSync(join(tmpdir(), 'astera-test-'));
  owner.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
