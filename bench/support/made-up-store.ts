/** A store of as many made-up module versions as wanted, written by the store's own writer, in a child process. */

import type { MadeUpModule } from '../../test/support/module-zip.ts';
import { inChild } from './child.ts';

/** A module has so many. */
const VERSIONS_PER_MODULE = 10;

/** About half of the real zips are smaller; the others would fill the disk. */
const ZIP_CONTENT_BYTES = 18_000;

/** Version number `at` of all those that are made up for `name`. */
export function madeUpVersion(name: string, at: number, contentBytes = ZIP_CONTENT_BYTES): MadeUpModule {
  return {
    path: `made-up.example/${name}/m${Math.floor(at / VERSIONS_PER_MODULE)}`,
    version: `v1.${at % VERSIONS_PER_MODULE}.0`,
    contentBytes,
  };
}

export type Filling = {
  readonly db: string;
  readonly name: string;
  /** Versions from `from` on, up to and without `to`. */
  readonly from: number;
  readonly to: number;
  /** Of each zip; by default as much as growth is measured with. */
  readonly contentBytes?: number;
};

/** Nobody else may have the store open for writing. */
export function fillStore(filling: Filling): Promise<{ readonly contentBytes: number }> {
  return inChild('made-up-store-main.ts', filling);
}
