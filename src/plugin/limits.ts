/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { CHUNK_BYTES, KiB, MiB, SESSION_ACTIONS_MAX } from '../core/limits.ts';
import { PUTS_OUTPUT_BYTES_MAX } from '../core/puts-wire.ts';

/** A request line of the `go` command to its cache program, without the body: real ones have under 300 bytes. */
export const PLUGIN_LINE_BYTES_MAX = 64 * KiB;

/** Uploads that wait behind a build; more are not shared. A cold build of 700 packages has 1,500. */
export const PLUGIN_UPLOADS_WAITING_MAX = 20_000;

/** A remote build cache's whole answer to one get, and the look at this host's C headers; past it the get is a miss. At half, 100 MB over a poor line never come. */
export const PLUGIN_WHOLE_MS = 10_000;

/** The least rate of an upload over its whole time: 64 kB/s. */
export const PLUGIN_UPLOAD_BYTES_PER_MS = 64;

/** An upload that makes no progress for so long is given up. */
export const PLUGIN_UPLOAD_IDLE_MS = 10_000;

/** A body that a remote build cache sends: larger ones are a miss. Go's own largest archives have some 100 MB. */
export const PLUGIN_DOWNLOAD_BYTES_MAX = 1024 * MiB;

/** A remote build cache that failed is left alone for so long, twice as long each time it fails again. */
export const PLUGIN_PAUSE_MS = 5_000;

/** The longest of these pauses. */
export const PLUGIN_PAUSE_MS_MAX = 300_000;

/** Build cache files used in so long are never trimmed: cmd/go/internal/cache asks for a day, and uses are noted by the hour. */
export const PLUGIN_KEPT_MS_MIN = 25 * 3_600_000;

/** `go` commands at one time on one plugin server. At half, a big machine's CI meets it; more go on alone. */
export const PLUGIN_SESSIONS_MAX = 256;

/** Gets of one session that wait for the remote, before no more of its input is read. `go` has one open for each core. */
export const PLUGIN_GETS_MAX = 256;

/** Answers that a session's client has not taken, before no more of its input is read: some 3,000. */
export const PLUGIN_ANSWERS_BYTES_MAX = MiB;

/** A plugin server that has not said hello in so long is taken for absent. At half, 64 go commands started at once meet it. */
export const PLUGIN_CONNECT_MS = 2_000;

/** A plugin server that owes an answer and makes no sound for so long is taken for hung: four beats. At half, a busy machine loses its cache; at double, builds stand still for 4 s. */
export const PLUGIN_SILENCE_MS = 2_000;

/** So often a plugin server that owes an answer shows that it lives. */
export const PLUGIN_BEAT_MS = 500;

/** One answer of a plugin server: real ones have under 500 bytes and a path. */
export const PLUGIN_ANSWER_BYTES_MAX = 64 * KiB;

/** Bodies whose puts are not answered that are held in memory; the rest goes to a file. At half, one output in a thousand is written twice. */
export const PLUGIN_HELD_BYTES_MAX = 16 * MiB;

/** So long outputs go to the spare directory before the cache's own is tried again. At half, a full disk costs twice the failed writes. */
export const PLUGIN_SPARE_MS = 60_000;

/** Actions that a process remembers as it could not write them, some 300 bytes each: four cold builds. More are compiled again. */
export const PLUGIN_UNWRITTEN_MAX = 10_000;

/** A file of keys in PEM: a public one has 113 bytes. */
export const KEY_FILE_BYTES_MAX = 64 * KiB;

/** Bytes of a session's index: SESSION_ACTIONS_MAX rows with a signature each. */
export const SESSION_INDEX_BYTES_MAX = 16 * MiB;

/** Short IDs of actions that a session's stream says need not be asked for: SESSION_ACTIONS_MAX of them. */
export const SESSION_APART_BYTES_MAX = 128 * KiB;

/** A delta of one chunk: a longer one would be the chunk itself. */
export const SESSION_DELTA_BYTES_MAX = CHUNK_BYTES;

/** Old outputs of one stream that are hashed as what was made of them is wrong. At half, damaged ones stay longer; at double, a server that sends nonsense costs a second of CPU. */
export const DELTA_BASES_CHECKED_MAX = 16;

/** Frames of one packed upload that are kept until it is sent; those of a larger one are made twice. Each of `-u` has so much. */
export const PLUGIN_PACKED_BYTES_HELD_MAX = 4 * MiB;

/** A server behind loopback whose quickest answer took longer is behind a tunnel. Here answers take less than 1 ms. */
export const PLUGIN_NEAR_MS = 5;

/** One that took so long needs no second answer: it is far. At half, a busy machine packs on loopback; at double, a tunnel of 20 ms costs two more round trips. */
export const PLUGIN_FAR_MS = 18;

/** Answers after which it is known. */
export const PLUGIN_PROBES_MAX = 4;
/** A get waits for what comes within so long, by the rate of the stream; else it is asked for alone. At half, more outputs come twice; at double, gets wait for large outputs before theirs. */
export const PREFETCH_NEAR_MS = 500;

/** And for what comes within so many bytes, whatever the rate is: a stream that has only begun shows none, nor one on a busy machine. Packed they take 0.6 s of 50 Mbit/s. */
export const PREFETCH_NEAR_BYTES = 16 * MiB;

/** It waits no longer, whatever the rate was. */
export const PREFETCH_WAIT_MS = 2_000;

/** So long gets wait in vain in all; then none waits for the stream any more. At half, a machine that is busy for a while goes without; at double, a line that crawls holds a build up for 20 s. */
export const PREFETCH_VAIN_MS_MAX = 10_000;

/** Commands of one kind that start within so long share what the first of them fetches, though it has come already. At double, more of what others put meanwhile is asked for one by one. */
export const PREFETCH_SHARED_MS = 30_000;

/** Prefetches of one plugin server at one time; further sessions ask for each action alone. Each holds an index of 0.3 MB, at most SESSION_INDEX_BYTES_MAX. */
export const PREFETCHES_MAX = 16;

/** A filter of a server's actions: of ten million it has 16 MiB. */
export const FILTER_BYTES_MAX = 32 * MiB;

/** A get waits so long for a filter, and is then asked for. At half, a busy server's filter comes too late for the first gets. */
export const FILTER_WAIT_MS = 500;

/** Files below the directories of C headers, for `--share-cgo=same-host`. A host with many libraries has some 30,000. */
export const HEADER_FILES_MAX = 200_000;

/** All of them together; more are not read. At half, a host with large C++ libraries meets it. */
export const HEADER_BYTES_MAX = 1024 * MiB;

/** A compiler that says where its headers are takes some 20 ms. */
export const HEADER_PROGRAM_MS = 10_000;

/** A request that a bucket's server puts off (SlowDown) or fails at is sent so often in all. At half, one bad second leaves the bucket alone for 5 s; at double, a get waits 2 s. */
export const BUCKET_TRIES = 3;

/** Before the second try, and twice as long before each other one; up to half of it less, so that clients spread. */
export const BUCKET_BACKOFF_MS = 100;

/** An action in a bucket: 64 hex digits, a space and up to 19 digits. */
export const BUCKET_ACTION_BYTES_MAX = 256;

/** What a bucket's server says of an error: real ones have some 300 bytes of XML. */
export const BUCKET_ERROR_BYTES_MAX = 4 * KiB;

/** An output of so many bytes is asked for before it is uploaded. At half, most small ones cost a request more; at double, some are sent for nothing. */
export const BUCKET_ASKED_BYTES_MIN = 64 * KiB;

/** Objects of a bucket, chunks of its packs and outputs in them that a process remembers as wrong, of each kind. More are not replaced. */
export const BUCKET_WRONG_MAX = 10_000;

/** Chunks of one command that are fetched at one time, the one that is read among them. At half, a line of 20 ms stands still between two; at double, each is later. */
export const PACK_AHEAD_CHUNKS_MAX = 5;

/** Bytes of chunks that a process holds ahead of their reading, over all commands. A chunk has some 4 MiB. */
export const PACK_AHEAD_BYTES_MAX = 12 * MiB;

/** A chunk whose body breaks is asked for so often in all, and goes on where it broke. */
export const PACK_TRIES = 2;

/** Chunks that are packed or sent at one time: each holds 4 MiB. One packer makes their frames. */
export const PACK_WRITES_MAX = 2;

/** Commands whose chunks are written while they run, in one plugin server. Others' are written at their end. */
export const PACK_EARLY_SETS_MAX = 32;

/** Outputs of one command that are packed while it runs: as many as a set has. */
export const PACK_EARLY_OUTPUTS_MAX = SESSION_ACTIONS_MAX;

/** Sets that are left to the next run; past it the oldest are not shared. */
export const PACK_LEFT_MAX = 16;

/** Indexes that a process remembers, some 500 kB each. More are read again. */
export const PACK_INDEXES_MAX = 16;

/** A smaller output is uploaded whole: those go many in one request. */
export const DELTA_PUT_BYTES_MIN = PUTS_OUTPUT_BYTES_MAX;

/** Bytes of all deltas of one output that is uploaded: they are held until it is sent. */
export const DELTA_PUT_BYTES_MAX = 2 * MiB;
