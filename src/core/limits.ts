/**
 * The bounds on everything that a client or an upstream can make grow. Each comment says what it bounds, and what
 * breaks at half and at double. Durations are in ms, sizes in bytes.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

/** The size of a chunk, the unit of store and cache. Each new store records it. At half, a 20 MB zip costs twice the thread round trips; at double, forty slow clients hold twice the memory. Chosen with bench/store-settings.ts. */
export const CHUNK_BYTES = 256 * KiB;

/** The size of an `.info`, `.mod`, list or `@latest`: Go's own bound for go.mod (x/mod/zip MaxGoMod). */
export const SMALL_BYTES_MAX = 16 * MiB;

/** The size of a module zip, and of all its files together (x/mod/zip MaxZipFile). At half, toolchains fail. */
export const ZIP_BYTES_MAX = 500 * MiB;

/** Files in a module zip. Go has no bound; the largest real zips have some 40,000. */
export const ZIP_ENTRIES_MAX = 200_000;

/** A zip's central directory, read whole. At half, 200,000 entries must have names under 100 bytes. */
export const ZIP_DIRECTORY_BYTES_MAX = 64 * MiB;

/** A name in a zip. Linux opens no path longer than this, so `go` could not unzip it. */
export const ZIP_NAME_BYTES_MAX = 4096;

/** Files of a zip and all directories above them: without a bound, a few deep names would make millions. */
export const ZIP_PATHS_MAX = 500_000;

/** A body up to this size goes out by one call if it is in memory. Bodies of this size, except zips, are held as a whole. At half, the answers for half of all zips cost half as much again; at double, a full socket makes uWebSockets copy more. */
export const WHOLE_BODY_BYTES_MAX = 64 * KiB;

/**
 * A body of several chunks up to this size becomes one piece in memory when it is asked for again, and goes out by one
 * send. Four or five sends cost the kernel half as much again. At half, this leaves out a zip of 1 MB; at double, forty
 * of them at once block all other clients for 20 ms.
 */
export const ONE_SEND_BYTES_MAX = 5 * CHUNK_BYTES;

/** Bodies up to this size are stored inline beside their key. At half, many go.mod files cost a second row; at double, pages hold few rows. */
export const INLINE_BYTES_MAX = 8 * KiB;

/** Values up to this size travel between threads inside a frame; larger ones are moved beside it. */
export const FRAME_VALUE_BYTES_MAX = 4 * KiB;

/** Characters of an escaped module path and version in a URL. Go's own paths are far shorter; longer ones get 400. */
export const KEY_LENGTH_MAX = 2048;

/** Keys being fetched at one time. A `go mod tidy` has some 20 requests open; at half, forty of them meet 503s. */
export const FETCH_FLIGHTS_MAX = 4096;

/** Clients waiting for one flight. At half, a thousand machines asking for one key meet 503s. */
export const FLIGHT_WAITERS_MAX = 4096;

/** Requests open at the upstreams at one time; more wait their turn. Go's own client opens about 20. */
export const UPSTREAM_REQUESTS_MAX = 32;

/** The same for a checksum database's files, which have places of their own: a download waits for its lookup, so the lookup must not wait behind other downloads. At half, the lookups and tiles of a cold tidy queue. */
export const UPSTREAM_PROOFS_MAX = 16;

/** Requests that wait for their turn at an upstream; more are refused with 503. */
export const UPSTREAM_QUEUE_MAX = 8192;

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

/** Stored 404s and 410s, as anyone can ask for made-up paths. Of more, the least recently used are dropped. */
export const NEGATIVE_ROWS_MAX = 200_000;

/** A partial download that nobody asks for is kept so long. */
export const PARTIAL_KEPT_MS = 7 * 24 * 3_600_000;

/** A response that takes no bytes is checked again after so long. uWebSockets would cut it off after 11 s of silence. */
export const PUMP_AGAIN_MS = 4_000;

/** Answers in flight at SIGTERM may take so long. */
export const STOP_GRACE_MS = 10_000;

/** A checksum database's lookup answer or tree head: Go's own bound for a tree head (x/mod/sumdb/tlog ParseTree). Real ones have under 1 KiB. */
export const SUMDB_ANSWER_BYTES_MAX = MiB;

/** The last bytes of a partial download, which are compared if the upstream sends no validator. At half, two files agree by chance more often; at double, each break costs more. */
export const RESUME_TAIL_BYTES = 4 * KiB;

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

/** Redirects followed for one request: the `go` command's own bound (cmd/go/internal/web/http.go). */
export const UPSTREAM_REDIRECTS_MAX = 10;

/** A request that has passed so many Asteras counts as a loop. A house, an office and a region in line are three. */
export const VIA_ASTERAS_MAX = 4;

/** Characters of a client's own Via header. A longer one counts as a loop. */
export const VIA_LENGTH_MAX = 1024;

/** Proven tiles of each checksum database in memory, 8 KiB each. At half, lookups read and hash the upper tiles again; at double, each database takes 8 MiB. */
export const SUMDB_TILES_TRUSTED_MAX = 512;

/** Free bytes of the disk that Astera does not use. The largest WAL and its checkpoint need as much. */
export const DISK_RESERVE_BYTES = 128 * MiB;

/** The same for a small disk, as a part of its size. */
export const DISK_RESERVE_PART = 0.1;

/** Chunks that are held for the clients of a download that can't be stored. The slowest client sets its pace. */
export const WINDOW_CHUNKS_MAX = 8;

/** Rows in one answer to a listing of keys. At half, an export of small files waits twice as often; at double, a frame of 2 KiB keys holds 4 MiB. */
export const KEYS_PER_CALL_MAX = 1024;

/** Connections to the control socket at one time. A command has one, and a user rarely runs four commands at once. */
export const CONTROL_CONNECTIONS_MAX = 16;

/** Calls a control connection may have open. At half, a `warm` with 16 fetches open has no room for another command's. */
export const CONTROL_CALLS_MAX = 64;

/** Bytes that one command may have on their way to the server's writer. At half, the writer idles between groups; at double, the server's own writes wait twice as long behind them. */
export const CONTROL_BYTES_IN_FLIGHT_MAX = 4 * MiB;

/** One message on the control socket: the largest small answer and its key. */
export const CONTROL_FRAME_BYTES_MAX = SMALL_BYTES_MAX + 16 * KiB;

/** The length of a CPU profile, as in `?seconds=`. */
export const PROFILE_SECONDS_MAX = 300;

/** Samples of one thread in a CPU profile. Long profiles take fewer samples in each second. At double, the front parses 2 MB of them in one go. */
export const PROFILE_SAMPLES_MAX = 30_000;

/** A checksum database's newest tree head is fresh for so long. */
export const SUMDB_LATEST_MS = 5_000;

/** Tiles that come with one lookup to prove it. The record's path and the edges of both trees have about fifteen. */
export const SUMDB_GIVEN_TILES_MAX = 64;

/** A lookup's answer in memory goes out with the same tree head for so long. */
export const SUMDB_LOOKUP_MS = 60_000;

/** A finished download waits so long for the checksum database, and is then kept as unconfirmed. */
export const SUMDB_WAIT_MS = 10_000;

/** The longest wait before the checksum database is asked again about a file that it does not know. The wait doubles each time. At half, it hears twice a day of a private module that no setting names. */
export const SUMDB_UNKNOWN_MS_MAX = 24 * 3_600_000;

/** Refused keys that are remembered, each for `--negative-ttl`. */
export const REFUSED_KEYS_MAX = 1_000;

/** Chunks of a blob, whose rowids are blob * 2^20 + seq: 2^20 chunks of 256 KiB are 256 GiB. */
export const CHUNKS_PER_BLOB = 2 ** 20;

/** The last blob whose chunks' rowids JavaScript counts exactly. One blob a millisecond takes 99 days to get there. */
export const BLOB_ID_MAX = Math.floor(Number.MAX_SAFE_INTEGER / CHUNKS_PER_BLOB) - 1;

/** Actions used within so long stay in the build cache. It is a day and an hour: a running build reads files that it found earlier, and uses are reported late. */
export const BUILD_CACHE_KEPT_MS = 25 * 3_600_000;

/** An unfinished upload of a build output is dropped after so long without progress. No client resumes one. */
export const OUTPUT_PARTIAL_KEPT_MS = 3_600_000;

/** Actions that one step of an expiry drops. Each may have a blob of its own. At double, the server's own writes wait twice as long. */
export const ACTIONS_PER_STEP = 256;

/** Stored bytes that one step of an expiry drops. At double, the server's own writes wait twice as long. */
export const EXPIRED_BYTES_PER_STEP = 64 * MiB;

/** Namespaces that one get of an action looks into: its own, its team's and the main one. */
export const NAMESPACES_PER_CALL_MAX = 8;

/** Characters of a namespace's name, as in a file's name. */
export const NAMESPACE_LENGTH_MAX = 255;

/** Text beside an action: a signature and the name of its key have some 200 characters. */
export const ACTION_NOTE_LENGTH_MAX = 1024;

/** Bytes of log lines that wait while stderr takes none, about 1,000 lines. At half, lines are lost in shorter pauses. */
export const LOG_WAITING_BYTES_MAX = 256 * KiB;

/** A request line of the `go` command to its cache program, without the body: real ones have under 300 bytes. */
export const PLUGIN_LINE_BYTES_MAX = 64 * KiB;

/** Uploads that wait behind a build; more are not shared. A cold build of 700 packages has 1,500. */
export const PLUGIN_UPLOADS_WAITING_MAX = 20_000;

/** A remote build cache's whole answer to one get; past it the get is a miss. At half, 100 MB over a poor line never come. */
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

/** A request's body that nobody reads is thrown away up to here; a longer one is refused, and its connection ends. */
export const UNREAD_BODY_BYTES_MAX = 64 * KiB;

/** Bytes of a request's body that wait for their reader before its socket is paused. At half, a fast line waits for the event loop. */
export const REQUEST_BODY_AHEAD_BYTES = 256 * KiB;

/** The same for all bodies together, as a fast client sends some MiB before the pause works. Beyond this a body is refused with 503. At half, ten fast clients on loopback reach it. */
export const REQUEST_BODY_BYTES_HELD_MAX = 64 * MiB;

/** `git` processes at one time, over all repositories. At half, forty cold modules wait twice as long; at double, forty fetches fill a Pi's memory. */
export const GIT_PROCESSES_MAX = 8;

/** Requests that wait for their turn at a `git` process or at a repository. */
export const GIT_QUEUE_MAX = 4096;

/** Output of `git` that is read whole: 500,000 refs, or the tree of 200,000 files with long names. */
export const GIT_OUTPUT_BYTES_MAX = 64 * MiB;

/** The error text of `git`. The middle of a longer text is dropped. */
export const GIT_WORDS_BYTES_MAX = 8 * KiB;

/** The longest that `git` may take for work on the local disk: a tree of 200,000 files on an SD card. */
export const GIT_LOCAL_MS = 120_000;

/** A page with go-import tags, of which only the head is read. Real ones have under 500 KB. */
export const GO_IMPORT_PAGE_BYTES_MAX = MiB;

/** The place of a module's repository is remembered so long. At half, hosts are asked twice as often; at double, a move is noticed later. */
export const GIT_PLACE_MS = 600_000;

/** A path without a repository is remembered so long: for one `go get`. */
export const GIT_NO_PLACE_MS = 5_000;

/** Remembered places, about 300 bytes each. */
export const GIT_PLACES_MAX = 10_000;

/** File descriptors that clients' connections leave free: for 48 requests at upstreams, 16 commands, programs and the store's files. Without one left, uWebSockets asks the kernel for the next connection in a loop that takes a core. */
export const DESCRIPTORS_KEPT = 192;

/** While connections are refused for lack of descriptors, one line in so long goes to the log. */
export const REFUSED_LOG_MS = 60_000;

/** The longest that a repository's server may take to list its refs. At half, 500,000 refs over a poor line never come. */
export const GIT_REFS_MS = 120_000;

/** The longest that a fetch may take. At half, 500 MiB over 10 Mbit/s never come. */
export const GIT_FETCH_MS = 1_800_000;

/** The size of a repository on the disk. A larger one is fetched again with less history. The largest module zips are 500 MiB. */
export const GIT_REPOSITORY_BYTES_MAX = 4096 * MiB;

/** How often the size of a repository is looked at while it is fetched. */
export const GIT_SIZE_CHECK_MS = 2_000;

/** A list of refs is asked for again after so long if an older one could hide new versions. The `.info`, `.mod` and `.zip` of one version come together. */
export const GIT_REFS_KEPT_MS = 60_000;

/** Commits of one repository whose time is kept in memory, some 200 bytes each. */
export const GIT_COMMITS_KEPT_MAX = 1_000;

/** Repositories whose refs and commits are kept in memory. */
export const GIT_REPOSITORIES_MAX = 1_000;

/** Passwords that are checked at one time: each takes a thread of Node's pool, 16 MiB and some 100 ms. At double, file work waits behind them. */
export const LOGINS_CHECKED_MAX = 2;

/** Logins that wait for their check; past it 503. At half, forty clients that start together meet it; at double, a guesser's last one waits 10 s. */
export const LOGINS_WAITING_MAX = 64;

/** A good login is not checked again for so long: `go` sends it with every request. */
export const LOGIN_REMEMBERED_MS = 600_000;

/** Good logins that are remembered; past it the oldest is checked again. */
export const LOGINS_REMEMBERED_MAX = 1_024;

/** Wrong logins that an address has free. Each further one doubles the time in which it gets no check: 2 s, 4 s, … */
export const LOGIN_FAILURES_FREE = 5;

/** The longest of these times; an address that is quiet for as long again starts anew. At double, a mistyped `.netrc` locks its user out for longer. */
export const LOGIN_PAUSE_MS_MAX = 60_000;

/** Addresses whose wrong logins are counted; past it the oldest is forgotten. */
export const LOGIN_ADDRESSES_MAX = 4_096;

/** A file of users and tokens: 5,000 lines. Past it somebody named the wrong file. */
export const AUTH_FILE_BYTES_MAX = MiB;

/**
 * One output of the build cache. The largest of the standard library's is 13 MB, a linked test of a large program some
 * hundred; at half of it debug builds of such programs would not be shared.
 */
export const BUILD_OUTPUT_BYTES_MAX = 1024 * MiB;

/** An action in memory is not looked up in the store for so long. One that `forget` drops is given for that time. */
export const BUILD_ACTION_HELD_MS = 60_000;

/** Actions whose last use waits to be written; past it new ones wait for their next use. A cold `go build` has some 1,500. */
export const USED_ACTIONS_MAX = 20_000;

/** The longest that a host may take to say where a module's repository is. */
export const GO_IMPORT_MS = 20_000;
