/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { MiB } from '../core/limits.ts';

/**
 * One output of the build cache. The largest of the standard library's is 13 MB, a linked test of a large program some
 * hundred; at half of it debug builds of such programs would not be shared.
 */
export const BUILD_OUTPUT_BYTES_MAX = 1024 * MiB;

/** An action in memory is not looked up in the store for so long. One that expires is given for that time. */
export const BUILD_ACTION_HELD_MS = 60_000;

/** Bytes of outputs that are read ahead for each stream of a session. At half, a fast line waits for the readers; at double, eight streams hold 16 MiB. */
export const SESSION_AHEAD_BYTES_MAX = MiB;

/** The same for all streams together: with many each has its part, and one chunk at least. At half, sixteen fast lines wait for the readers; at double, they hold 8 MiB more. */
export const SESSIONS_AHEAD_BYTES_MAX = 8 * MiB;

/** Chunks that streams have read and others may want soon: machines that start together want the same. At half, one that is a tenth of a second behind reads all of it again; at double, it holds 8 MiB more. */
export const SESSIONS_SHARED_BYTES_MAX = 8 * MiB;

/** Chunks that are read ahead for each of them: small outputs go through the readers in batches of so many. */
export const SESSION_AHEAD_CHUNKS_MAX = 64;

/** Filters in memory, one a namespace: of 100,000 actions it has 128 KiB. Past it the one that nobody asked for longest is made anew. */
export const FILTERS_MAX = 64;

/** Filters that are made at one time, beside the main namespace's: each reads all actions of its namespace. At double, a reader who names namespaces keeps the readers from others' work. */
export const FILTER_LOADS_MAX = 2;

/** Clients that wait for such a filter; more get 503 and ask for each action. */
export const FILTER_LOADS_WAITING_MAX = 64;

/** Actions put last that a filter remembers: a client that has it from before them is sent these alone. Four cold builds. */
export const FILTER_ADDED_MAX = 8_192;

/** Streams of sessions at one time: each holds its index, its part of what is read ahead, a piece of 256 KiB, and 1.6 MB to pack with. Past it a client gets a 404, and asks for outputs one by one. At half, forty clients that start together meet it. */
export const SESSION_STREAMS_MAX = 64;

/** Of these, streams that are packed as one with a window of 4 MiB and level 3, which hold 5 MB each. Others get chunks as they are stored, or, if they don't take them, 1 MiB and level 2: they are a twentieth longer. At double, sixteen machines hold 10 MB more, and take half as much CPU again. */
export const SESSION_LONG_WINDOWS_MAX = 2;

/** Puts of deltas at one time: each holds 1 MiB here, and up to 2 in a reader. Past it an output is put whole. At half, eight clients with four uploads each meet it often; at double, they take 64 MiB. */
export const DELTA_PUTS_MAX = 16;

/** What a stream of a session has waits no longer for what comes next, as that may come out of a bucket. At half, a busy machine sends smaller pieces. */
export const SESSION_LATE_MS = 10;

/** Chunks that are packed at one time, each by a stream of 1.3 MB: libuv has so many threads. More wait, and their uploads with them. */
export const FRAME_PACKERS_MAX = 4;
