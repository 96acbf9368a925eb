/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { KiB } from '../core/limits.ts';

/** Requests open at the upstreams at one time; more wait their turn. Go's own client opens about 20. */
export const UPSTREAM_REQUESTS_MAX = 32;

/** The same for a checksum database's files, which have places of their own: a download waits for its lookup, so the lookup must not wait behind other downloads. At half, the lookups and tiles of a cold tidy queue. */
export const UPSTREAM_PROOFS_MAX = 16;

/** Requests that wait for their turn at an upstream; more are refused with 503. */
export const UPSTREAM_QUEUE_MAX = 8192;

/** New bytes after which the tries at an upstream are counted from 0 again: as many as a resume asks for again. At half, a file that comes byte by byte holds its key for longer; at double, small files on a bad line run out of tries. */
export const RESUME_GAIN_BYTES_MIN = 4 * KiB;

/** A zip with fewer new bytes in 30 s has stalled. One TCP segment has more, so no line that moves at all stalls. */
export const STALL_BYTES_MIN = 512;

/** A small file's body may take so long at any rate. At half, lists fail on a line that forty clients fill. */
export const SMALL_ANSWER_MS = 60_000;

/** The mean rate of a small file's body after that time, measured from its headers on: 1 kB/s. At double, a modem's line fails; at half, a list of 16 MiB may hold its key for nine hours. */
export const SMALL_ANSWER_BYTES_PER_MS = 1;

/** Reads of one `file://` tree that hang. With so many, the tree is not asked until one comes back. Each holds one of libuv's four threads. */
export const HUNG_READS_MAX = 2;

/** Bytes of one upstream answer that wait for a slow consumer before its socket is paused. At half, fast lines wait for the event loop; at double, 64 downloads hold 16 MiB. */
export const UPSTREAM_BUFFER_BYTES_MAX = 128 * KiB;

/** Bytes of interim answers (1xx) before one answer. Go skips five of them; real ones have under 1 KiB each. */
export const UPSTREAM_INTERIM_BYTES_MAX = 16 * KiB;

/** The longest that a host may take to say where a module's repository is. */
export const GO_IMPORT_MS = 20_000;

/** A netrc file has a few lines. Past it, NETRC names another file. */
export const NETRC_BYTES_MAX = 1024 * KiB;
