/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { KiB, MiB } from '../core/limits.ts';

/** Requests open at a bucket at one time. At half, a cold `go mod download` through a far bucket waits twice as long; at double, a small server has 64 sockets more. */
export const BUCKET_REQUESTS_MAX = 64;

/** Requests that wait for a place; more are misses. */
export const BUCKET_QUEUE_MAX = 4096;

/** To the first byte of an answer. At half, a bucket across an ocean is a miss when it is busy; at double, a bucket that hangs holds up each of the first clients for so long. */
export const BUCKET_ANSWER_MS = 4_000;

/** To keys from whoever has them, such as a service of the machine. At half, a login service far away is too slow on a poor line. */
export const BUCKET_KEYS_MS = 20_000;

/** Between two bytes of a body. A store that is behind holds a body up for some seconds. */
export const BUCKET_SILENCE_MS = 15_000;

/** To the answer to an upload: it comes when the server has all of it on its disks. */
export const BUCKET_UPLOAD_ANSWER_MS = 30_000;

/** A request that the server puts off (SlowDown), fails at or cuts is sent so often in all. At half, one bad second is a miss; at double, a client waits 3 s for a miss. */
export const BUCKET_TRIES_MAX = 3;

/** Before the second try, and twice as long before each other one; up to half of it less, so that nodes spread. */
export const BUCKET_BACKOFF_MS = 100;

/** After so many failures in a row the bucket is left alone. One failure may be one object's. */
export const BUCKET_FAILURES_MAX = 3;

/** For so long, and twice as long each time that it fails again. */
export const BUCKET_PAUSE_MS = 2_000;

/** The longest of these pauses: a bucket that is back is noticed within so long. */
export const BUCKET_PAUSE_MS_MAX = 60_000;

/** What a server says of an error: real ones have some 300 bytes of XML. */
export const BUCKET_ERROR_BYTES_MAX = 8 * KiB;

/** Objects on one page of a listing: S3 never has more. */
export const BUCKET_PAGE_KEYS_MAX = 1_000;

/** One page of a listing: its keys of at most 1 KiB, escaped, and 300 bytes beside each. */
export const BUCKET_PAGE_BYTES_MAX = 8 * MiB;
