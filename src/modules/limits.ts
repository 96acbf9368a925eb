/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

/** Chunks that are held for the clients of a download that can't be stored. The slowest client sets its pace. */
export const WINDOW_CHUNKS_MAX = 8;

/** Refused keys that are remembered, each for `--negative-ttl`. */
export const REFUSED_KEYS_MAX = 1_000;
