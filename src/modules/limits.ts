/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

/** Chunks that are held for the clients of a download that can't be stored. The slowest client sets its pace. */
export const WINDOW_CHUNKS_MAX = 8;

/** Refused keys that are remembered, each for `--negative-ttl`. */
export const REFUSED_KEYS_MAX = 1_000;

/** Lines of versions whose ages are looked up at one time, for all lists. They take half of the places at the upstreams at most. */
export const AGE_CHECKS_MAX = 16;

/** Lines that wait for that, over all lists. A cold `go get -u` of 300 modules has some thousand. */
export const AGE_QUEUE_MAX = 50_000;

/** Lines with fixes that are looked through in one list. At half, fixes to lines that are still cared for are missed; at double, a cold `go get -u` asks for half as much again. */
export const AGE_LINES_MAX = 8;

/** `.info` files that are fetched for one list. Those of further versions are fetched for its next one. */
export const AGE_FETCHES_MAX = 200;

/** The longest that a list waits for the times of its versions. At half, a slow line shows too few at first; `go` has no bound. */
export const AGE_WAIT_MS = 20_000;

/** Versions in one list that a policy looks at: 0.2 s of the front's time at most. The longest lists of real modules have 5,000. */
export const LISTED_VERSIONS_MAX = 10_000;
