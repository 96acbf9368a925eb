/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { MiB } from '../core/limits.ts';

/** A zip's central directory, read whole. At half, 200,000 entries must have names under 100 bytes. */
export const ZIP_DIRECTORY_BYTES_MAX = 64 * MiB;

/** A name in a zip. Linux opens no path longer than this, so `go` could not unzip it. */
export const ZIP_NAME_BYTES_MAX = 4096;

/** Files of a zip and all directories above them: without a bound, a few deep names would make millions. */
export const ZIP_PATHS_MAX = 500_000;
