/** The bounds that this room alone keeps. `core/limits.ts` has those of several rooms, and says how to read them. */

import { KiB, MiB } from '../core/limits.ts';

/** `git` processes at one time that stay on the disk, over all repositories. At half, forty zips wait twice as long; at double, they fill a Pi's memory. */
export const GIT_PROCESSES_MAX = 8;

/** `git` processes at one time that ask servers. At half, two servers that hang stop all others; at double, forty fetches fill a Pi's memory. */
export const GIT_OUTSIDE_MAX = 16;

/** Those of them at one server. At half, forty cold modules wait twice as long; at double, one server that hangs stops all others. */
export const GIT_SERVER_MAX = 8;

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

/** Lists, branches and the latest versions of all modules in a repository share refs for so long. At half, a tidy over twenty of them asks twice; at double, a push is seen that much later. */
export const GIT_REFS_FRESH_MS = 5_000;

/** Commits of one repository whose time is kept in memory, some 200 bytes each. */
export const GIT_COMMITS_KEPT_MAX = 1_000;

/** go.mod files and the like that are kept in memory, of all repositories. At half, twenty modules of one tidy still fit. */
export const GIT_FILES_KEPT_BYTES_MAX = 4 * MiB;

/** Repositories whose refs and commits are kept in memory. */
export const GIT_REPOSITORIES_MAX = 1_000;

/** A damaged copy is thrown away at most once in so long: the damage may be the server's own. */
export const GIT_HEAL_MS = 60_000;

/** Origins of module proxies that hosts of private modules name. Each has connections of its own. */
export const GIT_PROXIES_MAX = 64;

/** A repository whose server refused the login is left alone for so long. At half, accounts that are locked after ten wrong logins in ten minutes are; at double, a login that was mended is noticed later. SIGHUP ends it. */
export const GIT_REFUSED_MS = 60_000;

/** After so many refused logins in {@link GIT_REFUSALS_MS} no repository of the server is asked for. Accounts are locked after five, mostly. */
export const GIT_REFUSALS_MAX = 3;

/** The time in which refused logins of one server are counted. */
export const GIT_REFUSALS_MS = 900_000;

/** Servers, and repositories in a pause, that are remembered. */
export const GIT_SERVERS_MAX = 1_000;

/** Pages whose go-import tags are remembered; each may have 1 MiB of them. The paths of one `go get` have some ten. */
export const GO_IMPORT_PAGES_MAX = 64;

/** Pages with go-import tags that are asked for at one time; more wait. At half, the prefixes of a package's path are asked one after the other; at double, a host takes them for an attack. */
export const GO_IMPORT_REQUESTS_MAX = 8;

/** All copies together; the least recently used go. At half, a company's repositories are fetched again and again; at double, they fill an SD card. */
export const GIT_COPIES_BYTES_MAX = 16 * 1024 * MiB;

/** How long after its use a copy is measured. */
export const GIT_SWEEP_MS = 60_000;

/** Packs of one copy, after which they are joined. Each fetch of a version brings one; at double, git looks through twice as many. */
export const GIT_PACKS_MAX = 50;

/** The same for single objects: fetches of less than 100 objects bring no pack. */
export const GIT_LOOSE_MAX = 5_000;

/** The longest that joining packs may take, in the background. */
export const GIT_TIDY_MS = 1_800_000;
