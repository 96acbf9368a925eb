/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { MiB } from '../core/limits.ts';

/** Frames of a chunk that are kept until it is sent; those of a larger one are made twice. */
export const PACK_HELD_BYTES_MAX = 4 * MiB;

/** Content of a chunk, unpacked: some 4 MiB of the bucket. An output that goes past it is the chunk's last one. At half, a fresh machine sends twice the requests; at double, the change of one commit weighs more. */
export const PACK_CONTENT_BYTES = 16 * MiB;

/** Commands in a row that did without an action before it leaves its set. At half, two branches drop each other's; at double, a set is heavier by the changes of four commits. */
export const PACK_MISSED_MAX = 3;

/** Chunks of less than half of PACK_CONTENT_BYTES in a set before they are joined: each commit adds one. At half, they are packed anew more often; at double, a fresh machine sends eight requests more. */
export const PACK_SMALL_CHUNKS_MAX = 8;
