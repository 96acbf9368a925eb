/**
 * Which zips are never evicted: those of modules that a pattern of GOPRIVATE's form matches, and with the word `import`
 * those that an import brought.
 */

import { isServeError } from './errors.ts';
import { prefixMatcher } from './glob.ts';
import { parseResource } from './resource.ts';
import type { ZipRow } from './store-port.ts';

/** The word that stands for all that `astera import` brought. No module path is so short. */
const IMPORT = 'import';

/** The test for one list of patterns. A key that is no module's file is not pinned. */
export function pinsOf(patterns: string): (zip: Pick<ZipRow, 'key' | 'source'>) => boolean {
  const isPinned = prefixMatcher(patterns);
  const areImportsPinned = patterns.split(',').includes(IMPORT);
  return ({ key, source }) => {
    if (areImportsPinned && source === 'import') return true;
    try {
      const module = parseResource(key)?.module;
      return module !== undefined && isPinned(module);
    } catch (error) {
      if (isServeError(error)) return false;
      throw error;
    }
  };
}
