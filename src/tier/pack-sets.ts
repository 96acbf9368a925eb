/** The sets of the bucket's packs, as the build cache's sessions ask for them. The layout: `packs/pack-index.ts`. */

import { isServeError } from '../core/errors.ts';
import type { SharedSet, SharedSets } from '../core/shared-sets.ts';
import { soon } from '../core/soon.ts';
import { PACK_INDEX_WAIT_MS } from './limits.ts';
import type { PackArrivals } from './pack-arrivals.ts';
import type { PackIndexes } from './pack-indexes.ts';

export type PackSetsOptions = {
  readonly indexes: Pick<PackIndexes, 'find'>;
  readonly arrivals: Pick<PackArrivals, 'bring'>;
  /** Whether neither the bucket nor the store would be of any use now. */
  readonly isIdle: () => boolean;
};

export function packSets({ indexes, arrivals, isIdle }: PackSetsOptions): SharedSets {
  const setOf = (found: Awaited<ReturnType<PackIndexes['find']>>): SharedSet | undefined => {
    if (found === undefined) return undefined;
    const { key, index } = found;
    return { key, rows: index.rows, apart: index.apart, bring: (wish) => arrivals.bring(index, wish) };
  };
  return {
    find: async (name) => {
      if (isIdle()) return undefined;
      return setOf(await soon(indexes.find(name).catch(ofBucket), PACK_INDEX_WAIT_MS));
    },
    read: async (key) => setOf(await indexes.find({ key, project: key })),
  };
}

/** A bucket that fails has no set. */
function ofBucket(error: unknown): undefined {
  if (!isServeError(error)) throw error;
}
