/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { CHUNK_BYTES } from '../core/limits.ts';

/**
 * A body of several chunks up to this size becomes one piece in memory when it is asked for again, and goes out by one
 * send. Four or five sends cost the kernel half as much again. At half, this leaves out a zip of 1 MB; at double, forty
 * of them at once block all other clients for 20 ms.
 */
export const ONE_SEND_BYTES_MAX = 5 * CHUNK_BYTES;

/** Names whose last use waits to be written; past it new ones wait for their next use. A cold `go build` has some 1,500. */
export const LAST_USES_MAX = 20_000;
