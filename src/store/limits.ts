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

/** Sets that a store keeps: ten commands of fifty projects on two platforms. Past it the least used one goes, of other namespaces than the main one while that has less than half. */
export const SESSIONS_MAX = 1_000;

/** Bytes of all sets: one of 1,400 actions has 13 kB. Past it the least used one goes. */
export const SESSIONS_BYTES_MAX = 64 * MiB;

/** Versions of a package among which the one that a client has is looked for, last stored ones first. At half, a client that was away for some days gets a package that all commits change whole; at double, a set of a thousand new outputs takes a reader half a second longer. */
export const DELTA_VERSIONS_MAX = 128;

/** Sessions in a row that an action's set may do without it. At half, two branches in turn drive each other out; at double, an old commit's outputs are fetched twice as often for nothing. */
export const SESSION_MISSED_MAX = 3;

/** Names that wait for the bucket, some 100 bytes each. At half, a bucket that is gone for a week misses files of a busy node; at double, the queue alone has 200 MB. */
export const UPLOADS_WAITING_MAX = 1_000_000;

/** Versions that came into a list while it was known, some 80 bytes each. At half, a hostile upstream drives out a year's of a busy house sooner. */
export const SIGHTINGS_MAX = 100_000;

/** Rows of the queue in one answer. */
export const UPLOADS_PER_CALL_MAX = 1_000;

/** The longest wait for another try, twice what `tier` asks for. A time that is farther off was written by a clock that was wrong. */
export const UPLOAD_WAIT_MS_MAX = 2 * 3_600_000;

/** Stored files that one transaction queues: some 10 ms, so that clients' writes come in between. */
export const UPLOADS_QUEUED_PER_CALL = 2_000;

/** Versions of one module that are sorted for a list. The largest real modules have some 5,000; past it the list lacks some. At double, a Pi's thread takes a fifth of a second for it. */
export const VERSIONS_SORTED_MAX = 10_000;

/** After a session its set waits so long for the bucket: what a cold build has put may still be on its way. At half, a slow line's last results wait for the next session; at double, so does whoever builds the same next. */
export const SET_UPLOAD_AFTER_MS = 20_000;
