/** The bounds on time and room of repositories, in one value, as tests have shorter ones. */

import {
  GIT_COPIES_BYTES_MAX,
  GIT_FETCH_MS,
  GIT_REFS_MS,
  GIT_REPOSITORY_BYTES_MAX,
  GIT_SIZE_CHECK_MS,
} from './limits.ts';

export type GitBounds = {
  readonly refsMs: number;
  readonly fetchMs: number;
  /** Of each copy. */
  readonly copyBytesMax: number;
  readonly sizeCheckMs: number;
  /** Of all copies together. */
  readonly copiesBytesMax: number;
};

export const GIT_BOUNDS: GitBounds = {
  refsMs: GIT_REFS_MS,
  fetchMs: GIT_FETCH_MS,
  copyBytesMax: GIT_REPOSITORY_BYTES_MAX,
  sizeCheckMs: GIT_SIZE_CHECK_MS,
  copiesBytesMax: GIT_COPIES_BYTES_MAX,
};
