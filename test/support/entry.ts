/** The file that a process of ours is started with. */

import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from './corpus.ts';

/** As `bin/astera` chooses it: `dist/main.js`, or the slower `src/main.ts` if a source is newer than the build. */
export function mainEntry(): string {
  const built = statSync(join(CHECKOUT, 'dist/.built'), { throwIfNoEntry: false });
  const sources = globSync('src/{*,*/*}.ts', { cwd: CHECKOUT });
  const isBuilt =
    built !== undefined &&
    sources.every((source) => statSync(join(CHECKOUT, source)).mtimeMs <= built.mtimeMs);
  return join(CHECKOUT, isBuilt ? 'dist/main.js' : 'src/main.ts');
}
