/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { MiB } from '../core/limits.ts';

/** A file of users and tokens: 5,000 lines. Past it somebody named the wrong file. */
export const AUTH_FILE_BYTES_MAX = MiB;
