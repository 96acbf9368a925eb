/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { MiB } from '../core/limits.ts';

/** A partial download that nobody asks for is kept so long. */
export const PARTIAL_KEPT_MS = 7 * 24 * 3_600_000;

/** An unfinished upload of a build output is dropped after so long without progress. No client resumes one. */
export const OUTPUT_PARTIAL_KEPT_MS = 3_600_000;

/** Actions that one step of an expiry drops. Each may have a blob of its own. At double, the server's own writes wait twice as long. */
export const ACTIONS_PER_STEP = 256;

/** Stored bytes that one step of an expiry drops. At double, the server's own writes wait twice as long. */
export const EXPIRED_BYTES_PER_STEP = 64 * MiB;
