/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { KiB, MiB } from '../core/limits.ts';

/** Rows of the queue that are taken at one time. */
export const PUMP_ROWS_MAX = 256;

/** Rows whose ends are written in one transaction. A crash uploads them once more. */
export const PUMP_ENDS_MAX = 64;

/** Sets that are packed at one time: each holds a chunk of 4 MiB and 10 MB of zstd. */
export const PUMP_SETS_MAX = 2;

/** The mean rate of uploads while no client is served: 16 MiB/s. At half, a night does not take a large import to the bucket. */
export const PUMP_BYTES_PER_MS = 16 * KiB;

/** The same within a second of a client's answer: 512 kB/s, or 32 objects a second. An upload shares the front's thread with answers (bench/bucket.ts). */
export const PUMP_BUSY_BYTES_PER_MS = 512;

/** So long after an answer the server counts as busy. */
export const PUMP_BUSY_MS = 1_000;

/** The longest wait for one piece: the rate may change meanwhile. */
export const PACE_WAIT_MS_MAX = 2_000;

/** What an object costs of that rate beside its bytes: at most 1,000 small objects a second. */
export const PUMP_OBJECT_BYTES = 16 * KiB;

/** What may go out at once after a rest. */
export const PUMP_BURST_BYTES = MiB;

/** Between a commit and the look at the queue: files come together, and most commits queue nothing. */
export const PUMP_LOOK_MS = 250;

/** After a bucket that can't be reached the pump looks again so often. */
export const PUMP_RETRY_MS = 2_000;

/** Before a row that the bucket refused is tried again; twice as long each time. */
export const UPLOAD_RETRY_MS = 60_000;

/** Tries that a row has. The last one comes two hours after the first, in which keys and policies can be mended. */
export const UPLOAD_TRIES_MAX = 8;

/** Before an object that is larger is uploaded it is asked for: another node may have written it. */
export const UPLOAD_ASKED_BYTES_MIN = 64 * KiB;

/** Pages of a listing of one module: 300,000 versions. */
export const LIST_PAGES_MAX = 1_000;

/** Objects that are remembered as wrong, to be replaced. */
export const WRONG_OBJECTS_MAX = 10_000;

/** An action's object: 64 hex digits, a space and up to 19 digits. */
export const ACTION_OBJECT_BYTES_MAX = 256;

/** A miss of the bucket counts for so long: another node may put the action meanwhile, and then it is compiled twice. At half, a cold build behind a far bucket asks for each miss twice. */
export const ACTION_MISS_MS = 60_000;

/** Misses that are remembered, some 150 bytes each. */
export const ACTION_MISSES_MAX = 50_000;

/** A get of the build cache waits so long for the bucket; then it is a miss, and the fetch goes on. */
export const ACTION_WAIT_MS = 5_000;

/** A download out of the bucket that breaks is gone on with so often without progress. */
export const DOWNLOAD_TRIES_MAX = 3;

/** An index of a set counts as new for so long: forty machines that start together read it once. At double, what another node has just packed is asked for one by one. */
export const PACK_INDEX_FRESH_MS = 5_000;

/** A request for a set waits so long for its index in the bucket; the program's own limit is a second. At half, a busy server's clients go without the set. */
export const PACK_INDEX_WAIT_MS = 800;

/** Indexes in memory, by their number and by their bytes in the bucket; in memory they take some three times as many. A set of 2,700 actions has 250 kB. */
export const PACK_INDEXES_MAX = 64;
export const PACK_INDEXES_BYTES_MAX = 16 * MiB;

/** Indexes that are read at one time: each has up to PACK_INDEX_BYTES_MAX. */
export const PACK_INDEX_READS_MAX = 4;

/** Indexes that wait for that; more are not read. */
export const PACK_INDEX_READS_WAITING_MAX = 256;

/** Chunks of packs that are read at one time, over all clients: each holds 3 MiB. At half, a line of 200 ms stands still between two; at double, the first chunk, which clients wait for, comes with the sixth. */
export const PACK_CHUNKS_READ_MAX = 3;

/** Outputs out of chunks that are on their way into the store at one time: small ones are held whole, so 16 MiB at most. At half, the writer waits for the next ones. */
export const PACK_OUTPUTS_MAX = 64;

/** Bytes of outputs that one client's request brings: a client may state any bound. */
export const PACK_BRING_BYTES_MAX = 4096 * MiB;

/** Actions on their way out of packs, over all clients, some 1 kB each. */
export const PACK_COMING_MAX = 65_536;

/** A chunk whose body breaks is asked for so often in all, and goes on where it broke. */
export const PACK_TRIES = 2;

/** What a server has read or written of an index counts as known for so long, before a set that it seems to have is looked up again. */
export const PACK_KNOWN_MS = 60_000;

/** Content of packs for each byte that goes out: uploads keep their rate as they are packed. */
export const PACK_PLAIN_BYTES_A_BYTE = 4;
