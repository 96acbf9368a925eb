/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { MiB } from '../core/limits.ts';

/** Frames of a chunk that are kept until it is sent; those of a larger one are made twice. */
export const PACK_HELD_BYTES_MAX = 4 * MiB;
