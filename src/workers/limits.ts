/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { MiB } from '../core/limits.ts';

/** Bytes queued for the writer before downloads pause. At half, commits get small; at double, memory doubles. */
export const WRITE_QUEUE_BYTES_MAX = 8 * MiB;

/** Bytes of one transaction: the writer takes a group of up to this size from its queue. */
export const WRITE_GROUP_BYTES_MAX = 4 * MiB;

/** The same for an import that has the store to itself. The pages stay in memory until the commit. At half, it is a tenth slower; at double, it takes 32 MiB more. */
export const BULK_GROUP_BYTES_MAX = 32 * MiB;

/** Reads in the queue; more are refused with 503. */
export const READ_QUEUE_MAX = 65_536;

/** Reads in one task. At half, small rows cost more CPU; at double, a batch of chunks blocks its reader. */
export const READ_BATCH_MAX = 64;

/** The same for chunks: 4 MiB. At four times as much, zips out of the store cost a third more CPU (bench/store-only.ts), and each batch may make V8 collect the front's whole heap. V8 counts the new chunks before the ones that they push out. */
export const READ_BATCH_CHUNKS_MAX = 16;

/** Free bytes of the disk that Astera does not use. The largest WAL and its checkpoint need as much. */
export const DISK_RESERVE_BYTES = 128 * MiB;

/** The same for a small disk, as a part of its size. */
export const DISK_RESERVE_PART = 0.1;

/** Below so many of these reserves, a store with --max-size gives room back before storing has to stop. At 1 it would stop first. */
export const EVICTION_RESERVES = 2;

/**
 * Bytes of the WAL past which nothing is stored until it can be emptied. At half, a backup of a large store stops a fast line's
 * files from being stored; at double, a disk must have 2 GiB beside --max-size.
 */
export const WAL_BYTES_MAX = 1024 * MiB;
