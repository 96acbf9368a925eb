/**
 * The bounds on everything that a client or an upstream can make grow, here those of several rooms. A bound of one room
 * is in that room's `limits.ts`. Each comment says what the bound is on, and what breaks at half and at double of it.
 * Durations are in ms, sizes in bytes.
 */

export const KiB = 1024;
export const MiB = 1024 * KiB;

/** The size of a chunk, the unit of store and cache. Each new store records it. At half, a 20 MB zip costs twice the thread round trips; at double, forty slow clients hold twice the memory. Chosen with bench/store-settings.ts. */
export const CHUNK_BYTES = 256 * KiB;

/** The size of an `.info`, `.mod`, list or `@latest`: Go's own bound for go.mod (x/mod/zip MaxGoMod). */
export const SMALL_BYTES_MAX = 16 * MiB;

/** The size of a module zip, and of all its files together (x/mod/zip MaxZipFile). At half, toolchains fail. */
export const ZIP_BYTES_MAX = 500 * MiB;

/** Files in a module zip. Go has no bound; the largest real zips have some 40,000. */
export const ZIP_ENTRIES_MAX = 200_000;

/** A body up to this size goes out by one call if it is in memory. Bodies of this size, except zips, are held as a whole. At half, the answers for half of all zips cost half as much again; at double, a full socket makes uWebSockets copy more. */
export const WHOLE_BODY_BYTES_MAX = 64 * KiB;

/** Bodies up to this size are stored inline beside their key. At half, many go.mod files cost a second row; at double, pages hold few rows. */
export const INLINE_BYTES_MAX = 8 * KiB;

/** Characters of an escaped module path and version in a URL. Go's own paths are far shorter; longer ones get 400. */
export const KEY_LENGTH_MAX = 2048;

/** Stored 404s and 410s, as anyone can ask for made-up paths. Of more, the least recently used are dropped. */
export const NEGATIVE_ROWS_MAX = 200_000;

/** A checksum database's lookup answer or tree head: Go's own bound for a tree head (x/mod/sumdb/tlog ParseTree). Real ones have under 1 KiB. */
export const SUMDB_ANSWER_BYTES_MAX = 1024 * KiB;

/** The last bytes of a partial download, which are compared if the upstream sends no validator. At half, two files agree by chance more often; at double, each break costs more. */
export const RESUME_TAIL_BYTES = 4 * KiB;

/** Redirects followed for one request: the `go` command's own bound (cmd/go/internal/web/http.go). */
export const UPSTREAM_REDIRECTS_MAX = 10;

/** A request that has passed so many Asteras counts as a loop. A house, an office and a region in line are three. */
export const VIA_ASTERAS_MAX = 4;

/** Characters of a client's own Via header. A longer one counts as a loop. */
export const VIA_LENGTH_MAX = 1024;

/** Rows in one answer to a listing of keys. At half, an export of small files waits twice as often; at double, a frame of 2 KiB keys holds 4 MiB. */
export const KEYS_PER_CALL_MAX = 1024;

/** Tiles that come with one lookup to prove it. The record's path and the edges of both trees have about fifteen. */
export const SUMDB_GIVEN_TILES_MAX = 64;

/** The longest wait before the checksum database is asked again about a file that it does not know. The wait doubles each time. At half, it hears twice a day of a private module that no setting names. */
export const SUMDB_UNKNOWN_MS_MAX = 24 * 3_600_000;

/** Chunks of a blob, whose rowids are blob * 2^20 + seq: 2^20 chunks of 256 KiB are 256 GiB. */
export const CHUNKS_PER_BLOB = 2 ** 20;

/** The last blob whose chunks' rowids JavaScript counts exactly. One blob a millisecond takes 99 days to get there. */
export const BLOB_ID_MAX = Math.floor(Number.MAX_SAFE_INTEGER / CHUNKS_PER_BLOB) - 1;

/** Actions used within so long stay in the build cache. It is a day and an hour: a running build reads files that it found earlier, and uses are reported late. */
export const BUILD_CACHE_KEPT_MS = 25 * 3_600_000;

/** Namespaces that one get of an action looks into: its own, its team's and the main one. */
export const NAMESPACES_PER_CALL_MAX = 8;

/** Characters of a namespace's name, as in a file's name. */
export const NAMESPACE_LENGTH_MAX = 255;

/** Text beside an action: a signature and the name of its key have some 200 characters. */
export const ACTION_NOTE_LENGTH_MAX = 1024;

/** Actions of a build cache's set. A cold build of 700 packages asks for 1,400; past it the last ones are not prefetched. */
export const SESSION_ACTIONS_MAX = 16_384;

/** Characters of a session's label: all settings together have some 200. */
export const SESSION_LABEL_LENGTH_MAX = 255;

/** Actions in one answer to a listing of short IDs: 64 KiB. */
export const SHORT_IDS_PER_CALL_MAX = 8_192;

/** A filter that is older rules out no misses: for so long a client may compile what a neighbour has just put. At half, each client asks twice as often; at double, two that build the same commit at once share less. */
export const FILTER_FRESH_MS = 30_000;

/** A smaller output is sent whole: all smaller ones of a build have a hundredth of its bytes. */
export const DELTA_BYTES_MIN = 4 * KiB;

/** Bytes of the old output before and behind a part's place among which its copies are looked for, beside those by which both outputs differ. What moved farther is sent again. At half, more of it is; at double, each part takes half as long again. */
export const DELTA_REACH_BYTES = 128 * KiB;

/** Bytes by which two outputs may differ in size. Each part of a delta reads so many more of the old one, and such outputs have little in common. */
export const DELTA_GROWTH_BYTES_MAX = 1024 * KiB;
