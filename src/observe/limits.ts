/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { KiB } from '../core/limits.ts';

/** Samples of one thread in a CPU profile. Long profiles take fewer samples in each second. At double, the front parses 2 MB of them in one go. */
export const PROFILE_SAMPLES_MAX = 30_000;

/** Bytes of log lines that wait while stderr takes none, about 1,000 lines. At half, lines are lost in shorter pauses. */
export const LOG_WAITING_BYTES_MAX = 256 * KiB;

/** While connections are refused for lack of descriptors, one line in so long goes to the log. */
export const REFUSED_LOG_MS = 60_000;

/** Minutes that the status page shows, the current one among them. At double, each look at it brings 10 kB. */
export const MINUTES_KEPT = 60;

/** A version that the policy refuses is logged once in so long. */
export const POLICY_LOG_MS = 3_600_000;

/** Versions that this is remembered of; past it the longest known ones are logged anew. */
export const POLICY_LOG_KEYS_MAX = 1_000;
