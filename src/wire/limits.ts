/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { KiB } from '../core/limits.ts';

/** Values up to this size travel between threads inside a frame; larger ones are moved beside it. */
export const FRAME_VALUE_BYTES_MAX = 4 * KiB;
